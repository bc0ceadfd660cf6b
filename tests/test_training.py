"""The recipe taken from a model, the guarded fit, and the compile state of the result."""

import keras
import numpy as np
import pytest

from tfunlearn import models, training
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


@pytest.mark.parametrize(
    "loss",
    [
        "categorical_crossentropy",
        keras.losses.CategoricalCrossentropy(),
        keras.losses.categorical_crossentropy,
        keras.losses.CategoricalFocalCrossentropy(),
    ],
)
def test_losses_on_one_hot_labels_are_refused(loss):
    with pytest.raises(ValueError, match=r"loss: labels are integers.*pass loss="):
        Recipe.of(_net(optimizer="sgd", loss=loss))


@pytest.mark.parametrize("loss", [["mse"], {"a": "mse"}])
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
