"""The recipe taken from a model, the guarded fit, and the compile state of the result."""

import functools

import keras
import numpy as np
import pytest

from tfunlearn import data, models, training
from tfunlearn.training import Recipe

X, Y = np.random.default_rng(0).normal(size=(8, 4)).astype("float32"), np.arange(8) % 3


@keras.saving.register_keras_serializable("tests")
class Known(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(keras.ops.max(y_pred))


class Unknown(Known):
    pass


def _net(**compiled):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    if compiled:
        model.compile(**{"loss": "sparse_categorical_crossentropy", **compiled})
    return model


def _batches():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)


def _finished(model):
    student = models.copy(model)
    Recipe.of(model).compile(student)
    training.fit(student, _batches(), epochs=1)
    return training.finish(student, model)


def test_recipe_is_the_models_own():
    model = _net(
        optimizer=keras.optimizers.Adam(0.25, beta_1=0.5), metrics=["accuracy", Known(name="known")]
    )
    student = models.copy(model)
    Recipe.of(model).compile(student, jit_compile=False)
    assert student.optimizer is not model.optimizer
    assert student.optimizer.get_config() == model.optimizer.get_config()
    assert student.loss == model.loss
    history = training.fit(student, _batches(), epochs=2)
    assert sorted(history.history) == ["accuracy", "known", "loss"]
    assert float(model.optimizer.iterations) == 0


def test_recipe_is_overridden():
    optimizer = keras.optimizers.SGD(0.5)
    recipe = Recipe.of(_net(), loss="sparse_categorical_crossentropy", optimizer=optimizer)
    first, second = _net(), _net()
    recipe.compile(first)
    recipe.compile(second)
    assert first.optimizer is not second.optimizer
    assert float(first.optimizer.learning_rate) == 0.5
    assert type(Recipe.of(_net(), loss="mse", optimizer="adam").optimizer) is dict


@pytest.mark.parametrize(
    ("given", "name"),
    [({}, "loss"), ({"loss": "mse"}, "optimizer"), ({"optimizer": "sgd"}, "loss")],
)
def test_an_uncompiled_model_needs_what_is_missing(given, name):
    with pytest.raises(ValueError, match=f"^{name}: the model is not compiled"):
        Recipe.of(_net(), **given)


@pytest.mark.parametrize("loss", [["mse", "mae"], {"a": "mse", "b": "mse"}])
def test_several_losses_are_refused(loss):
    with pytest.raises(ValueError, match="loss: expected one loss"):
        Recipe.of(_net(optimizer="sgd"), loss=loss)


def test_a_training_that_diverges_is_an_error():
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((4,)), dense(4), dense(3)])
    model.compile(
        keras.optimizers.SGD(1e20), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    with pytest.raises(RuntimeError, match=r"training diverged: \d of 4 weights.*learning rate"):
        training.fit(model, _batches(), epochs=5)


def test_a_training_that_changes_nothing_is_an_error():
    with pytest.raises(RuntimeError, match="changed none of the 2 weights"):
        training.fit(_net(optimizer=keras.optimizers.SGD(0.0)), _batches(), epochs=1)


def test_metrics_that_cannot_be_rebuilt_are_named():
    model = _net(optimizer="sgd", metrics=[Unknown(name="odd")])
    with pytest.warns(UserWarning, match=r"metrics of 'sequential.*Unknown") as caught:
        result = _finished(model)
    own = [one for one in caught if "metrics of" in str(one.message)]
    assert len(own) == 2  # once for the training, once for the result
    assert result.get_compile_config()["metrics"] is None


def test_the_result_has_the_originals_compile_state():
    model = _net(
        optimizer=keras.optimizers.SGD(0.5, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy", Known(name="known")],
        jit_compile=True,
    )
    result = _finished(model)
    expected, received = model.get_compile_config(), result.get_compile_config()
    assert {**received, "metrics": None} == {**expected, "metrics": None}
    assert result.jit_compile is True
    assert int(result.optimizer.iterations) == 0  # fresh
    scores = result.evaluate(X, Y, return_dict=True, verbose=0)
    assert sorted(scores) == ["accuracy", "known", "loss"]


def test_an_uncompiled_original_gives_an_uncompiled_result():
    student = _net(optimizer="sgd")
    result = training.finish(student, _net())
    assert getattr(result, "optimizer", None) is None
    np.testing.assert_array_equal(result.get_weights()[0], student.get_weights()[0])


def test_a_learning_rate_schedule_survives():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.5, staircase=True)
    model = _net(optimizer=keras.optimizers.SGD(schedule))
    student, rates = models.copy(model), []
    Recipe.of(model).compile(student)
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: rates.append(float(student.optimizer.learning_rate))
    )
    training.fit(student, _batches(), epochs=2, callbacks=[look])
    assert rates == pytest.approx([0.25, 0.125])
    result = training.finish(student, model)
    assert result.optimizer.get_config() == model.optimizer.get_config()
    assert float(result.optimizer.learning_rate) == 0.5


def test_the_result_saves_and_loads_with_its_optimizer(tmp_path):
    """An optimizer that was never built is left out with a warning, which is an error here."""
    from tfunlearn.methods import finetune
    from tfunlearn.testing.tasks import original, tiny_split

    result = finetune(original("plain"), tiny_split(), epochs=1, batch_size=32)
    result.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert len(loaded.optimizer.variables) == len(result.optimizer.variables) > 1


def test_another_loss_rescues_a_model_compiled_for_one_hot_labels():
    from tfunlearn.methods import finetune
    from tfunlearn.testing.tasks import original, tiny_split

    model = original("plain")
    one_hot = keras.losses.CategoricalCrossentropy(from_logits=True)
    metrics = [keras.metrics.CategoricalAccuracy()]
    model.compile(keras.optimizers.SGD(0.01), one_hot, metrics=metrics)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    seen = keras.callbacks.History()
    result = finetune(model, tiny_split(), epochs=1, batch_size=16, loss=loss, callbacks=[seen])
    assert result.loss is model.loss
    assert sorted(seen.history) == ["accuracy", "loss"]  # its metrics would misread these labels


def test_a_model_with_an_optimizer_and_no_loss_gives_one_that_is_not_compiled():
    from tfunlearn.methods import finetune
    from tfunlearn.testing.tasks import original, tiny_split

    model = models.copy(original("plain"))
    model.compile(keras.optimizers.SGD(0.01))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    result = finetune(model, tiny_split(), epochs=1, batch_size=16, loss=loss)
    assert getattr(result, "optimizer", None) is None


def test_what_weight_decay_leaves_out_stays_left_out():
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile(optimizer, "mse")
    twin = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, bias_initializer="ones")])
    training.Recipe.of(model).compile(twin)
    twin.optimizer.build(twin.trainable_variables)
    twin.optimizer.apply([keras.ops.zeros_like(v) for v in twin.trainable_variables])
    assert twin.get_weights()[1].tolist() == [1.0, 1.0]


def test_weight_decay_that_leaves_out_variables_by_identity_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[model.weights[1]])
    model.compile(optimizer, "mse")
    with pytest.raises(ValueError, match="optimizer: its weight decay leaves out variables"):
        training.Recipe.of(model)


def test_a_rate_is_given_or_a_share_of_the_models_own():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.5)
    for optimizer in (keras.optimizers.Adam(0.5, beta_1=0.3), keras.optimizers.SGD(schedule)):
        model = _net(optimizer=optimizer)
        fresh = training.optimizer_like(model, scale=0.1)
        assert type(fresh) is type(optimizer)
        assert float(fresh.learning_rate) == pytest.approx(0.05)
        assert float(training.optimizer_like(model, learning_rate=0.2).learning_rate) == (
            pytest.approx(0.2)
        )
        assert float(model.optimizer.learning_rate) == 0.5
    assert training.optimizer_like(_net(optimizer=keras.optimizers.Adam(beta_1=0.3))).beta_1 == 0.3
    given = keras.optimizers.SGD(0.7)
    assert float(training.optimizer_like(model, optimizer=given, scale=0.1).learning_rate) == (
        pytest.approx(0.7)
    )


def test_a_scaled_rate_reaches_the_optimizer_inside_mixed_precision():
    wrapped = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))
    fresh = training.optimizer_like(_net(optimizer=wrapped), scale=0.1)
    assert float(fresh.inner_optimizer.learning_rate) == pytest.approx(0.05)


def test_an_optimizer_and_a_rate_together_are_refused():
    with pytest.raises(ValueError, match="learning_rate: expected an optimizer or a learning rate"):
        training.optimizer_like(_net(), optimizer="sgd", learning_rate=0.1)


def test_passes_train_as_fits_one_after_the_other():
    model = _net(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    twin = _net(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    twin.set_weights(model.get_weights())
    parts = [_batches().take(1), _batches().skip(1)]
    seen = []
    look = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append("start"),
        on_epoch_begin=lambda epoch, logs: seen.append(epoch),
        on_epoch_end=lambda epoch, logs: seen.append(sorted(logs)),
        on_train_end=lambda logs: seen.append("end"),
    )
    history = training.fit_passes(model, lambda epoch: parts[epoch:], epochs=2, callbacks=[look])
    assert seen == ["start", 0, ["loss"], 1, ["loss"], "end"]
    assert len(history.history["loss"]) == 2
    for part in (*parts, parts[1]):
        twin.fit(part, shuffle=False, verbose=0)
    for left, right in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_steps_see_every_batch_and_logs_are_means():
    model, seen = _net(optimizer="sgd"), []

    def step(x, y):
        seen.append(len(y))
        return {"loss": model.train_on_batch(x, y), "count": len(seen)}

    history = training.fit_steps(model, step, _batches(), epochs=2)
    assert seen == [4, 4, 4, 4]
    assert history.history["count"] == [1.5, 3.5]


@pytest.mark.parametrize("how", ["passes", "steps"])
def test_a_callback_can_stop_between_epochs(how):
    model, epochs = _net(optimizer="sgd"), []

    def stop(epoch, logs):
        epochs.append(epoch)
        model.stop_training = epoch == 1

    watch = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    if how == "passes":
        training.fit_passes(model, lambda epoch: [_batches()], epochs=5, callbacks=[watch])
    else:

        def step(x, y):
            return model.train_on_batch(x, y, return_dict=True)

        training.fit_steps(model, step, _batches(), epochs=5, callbacks=[watch])
    assert epochs == [0, 1]


@pytest.mark.parametrize("function", [training.fit_passes, training.fit_steps])
def test_passes_and_steps_are_guarded(function):
    model = _net(optimizer=keras.optimizers.SGD(0.0))
    if function is training.fit_passes:
        arguments = (model, lambda epoch: [_batches()])
    else:
        arguments = (model, lambda x, y: {}, _batches())
    with pytest.raises(RuntimeError, match="changed none of the 2 weights"):
        function(*arguments, epochs=1)
    with pytest.raises(ValueError, match="epochs: expected a whole number"):
        function(*arguments, epochs=0)

    def explode(*_):
        model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
        return {}

    with pytest.raises(RuntimeError, match="training diverged: 2 of 2"):
        training.fit_steps(model, explode, _batches(), epochs=1)


def test_the_result_has_the_originals_form_and_the_students_weights():
    model = _net(optimizer="sgd")
    student = models.logits_model(model)
    student.set_weights([weight + 1 for weight in model.get_weights()])
    result = training.finish(training.adopt(model, student), model)
    assert result.layers[-1].activation is keras.activations.softmax
    for got, old in zip(result.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, old + 1)
    with pytest.raises(ValueError, match=r"student: its weights must be.*Received: \[\(4, 2\)"):
        training.adopt(model, keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))


@pytest.mark.parametrize("train", ["fit", "fit_passes", "fit_steps"])
def test_orders_are_the_same_under_a_strategy(train):
    import tensorflow as tf

    split = data.by_index(X, Y, forget=[0], test=(X, Y))

    def weights():
        model = _net(optimizer=keras.optimizers.SGD(0.5))
        model.set_weights([np.ones(weight.shape) for weight in model.weights])
        stream = data.batches(split, "retain", batch_size=3, shuffle=True, seed=4)
        if train == "fit":
            training.fit(model, stream, epochs=3)
        elif train == "fit_passes":
            training.fit_passes(model, lambda epoch: [stream, stream], epochs=3)
        else:
            step = functools.partial(model.train_on_batch, return_dict=True)
            training.fit_steps(model, step, stream, epochs=3)
        return model.get_weights()

    alone = weights()
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        together = weights()
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_rate_of_an_optimizer_is_read_under_a_strategy():
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = _net(optimizer=keras.optimizers.SGD(0.5))
        assert float(training.optimizer_like(model, scale=0.1).learning_rate.numpy()) == (
            pytest.approx(0.05)
        )


def test_a_schedule_starts_again_at_a_share_of_its_height():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 2, 0.5, staircase=True)
    model = _net(optimizer=keras.optimizers.SGD(schedule))
    model.optimizer.iterations.assign(100)  # its own rate is next to nothing by now
    for scale, expected in ((1.0, 0.25), (0.1, 0.025)):
        student = models.copy(model)
        Recipe.of(model, scale=scale).compile(student)
        training.fit(student, _batches(), epochs=1)
        assert float(student.optimizer.learning_rate) == pytest.approx(expected)


def test_the_results_dropout_follows_the_seed():
    layers = [keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    outputs = [
        np.asarray(training.adopt(model, model, seed=seed)(X, training=True)) for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])
