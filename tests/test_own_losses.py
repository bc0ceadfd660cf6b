"""The original's own loss trains what comes after it, on whichever labels it was written for."""

import keras
import numpy as np
import pytest
from keras import ops

from tfunlearn import data, losses, methods, models, unlearn
from tfunlearn.audit import ReferenceBank
from tfunlearn.audit.bank_key import loss_config
from tfunlearn.losses import OnLabels
from tfunlearn.training import Recipe
from tfunlearn.training.label_form import on_class_ids

L = keras.losses
NUMBERS = np.random.default_rng(0)
X = NUMBERS.normal(size=(40, 5)).astype("float32")
Y = np.arange(40) % 3
ROWS = np.eye(3, dtype="float32")[Y]
FORGET = range(4)


def own_ids(labels, scores):
    return ops.mean(2 * L.sparse_categorical_crossentropy(labels, scores))


def own_rows(labels, scores):
    return -ops.sum(labels * ops.log(scores + 1e-7) * (1 - scores) ** 2, axis=-1)


def weighted_rows(labels, scores):
    return -ops.sum(ops.convert_to_tensor([1.0, 5.0, 2.0]) * labels * ops.log(scores), axis=-1)


def own_column(labels, scores):
    return -ops.log(ops.take_along_axis(scores, ops.cast(labels, "int32"), axis=1)[:, 0])


def own_either(labels, scores):
    if len(labels.shape) < 2 or labels.shape[-1] == 1:
        labels = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), scores.shape[-1])
    return L.categorical_crossentropy(labels, scores)


def own_other(labels, scores):
    """Takes both forms, and is another loss on each."""
    if len(labels.shape) < 2 or labels.shape[-1] == 1:
        return L.sparse_categorical_crossentropy(labels, scores)
    return L.mean_squared_error(labels, scores)


def own_none(labels, scores):
    return ops.mean(scores, axis=-1)


class OwnRows(L.Loss):
    def __init__(self, power=2.0, **options):
        super().__init__(**options)
        self.power = power

    def call(self, labels, scores):
        return ops.sum(ops.abs(labels - scores) ** self.power, axis=-1)

    def get_config(self):
        return {**super().get_config(), "power": self.power}


def of_second(labels, scores):
    """Reads the score of the second of two classes; a column of ids broadcasts over the batch."""
    return -(labels * ops.log(scores[:, 1]) + (1 - labels) * ops.log(scores[:, 0]))


ROWWISE = {
    "cross-entropy": "categorical_crossentropy",
    "cross-entropy, a function": L.categorical_crossentropy,
    "smoothed": L.CategoricalCrossentropy(label_smoothing=0.1),
    "focal": L.CategoricalFocalCrossentropy(),
    "divergence": "kl_divergence",
    "squares": "mse",
    "hinge": L.CategoricalHinge(),
    "poisson": "poisson",
    "binary": "binary_crossentropy",
    "dice": L.Dice(),
    "sum": L.CategoricalCrossentropy(reduction="sum"),
    "a list": ["mse"],
    "own function": own_rows,
    "own weights": weighted_rows,
    "own class": OwnRows(3.0),
}


def _net(loss, classes=3, metrics=("accuracy",), rate=0.05):
    layers = [keras.layers.Dense(4, "tanh"), keras.layers.Dense(classes, "softmax")]
    net = keras.Sequential([keras.Input((5,)), *layers])
    net.compile(keras.optimizers.SGD(rate), loss, metrics=list(metrics))
    return net


def _split(y=Y):
    return data.by_index(X, y, forget=FORGET, test=(X, y))


def _assert_close(left, right):
    for one, other in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def _by_keras(start, loss, y, epochs=3, rate=0.05, sample_weight=None):
    """Trains a model by Keras' own fit, one batch an epoch."""
    start.compile(keras.optimizers.SGD(rate), loss, run_eagerly=True)
    x, y = np.delete(X, FORGET, axis=0), np.delete(y, FORGET, axis=0)
    start.fit(x, y, batch_size=len(x), epochs=epochs, shuffle=False, verbose=0)
    return start


@pytest.mark.parametrize("loss", ROWWISE.values(), ids=ROWWISE)
def test_a_retrained_model_is_keras_own_fit_on_one_hot_labels(loss):
    net = _net(loss)
    result = methods.retrain(net, _split(), seed=1, epochs=3, batch_size=40)
    _assert_close(result, _by_keras(models.reinitialized(net, seed=1), loss, ROWS))
    assert result.get_compile_config()["loss"] == net.get_compile_config()["loss"]


@pytest.mark.parametrize("loss", ["mse", own_rows, L.CategoricalCrossentropy(label_smoothing=0.1)])
def test_fine_tuning_is_keras_own_fit_on_one_hot_labels(loss):
    net = _net(loss)
    result = methods.finetune(net, _split(), epochs=2, batch_size=40)
    _assert_close(result, _by_keras(models.copy(net), loss, ROWS, epochs=2))
    before = result.get_weights()
    result.fit(X, ROWS, verbose=0)  # as before, on one-hot labels
    assert not np.array_equal(before[0], result.get_weights()[0])


@pytest.mark.parametrize("method", ["scrub", "ssd"])
def test_a_formula_on_logits_is_the_same_whatever_the_loss(method):
    nets = [_net(loss) for loss in ("sparse_categorical_crossentropy", own_rows)]
    nets[1].set_weights(nets[0].get_weights())
    options = {"epochs": 1, "forget_epochs": 1} if method == "scrub" else {"selection": 1.0}
    _assert_close(*(unlearn(net, _split(), method, **options) for net in nets))


FORMS = {
    "sparse": ("sparse_categorical_crossentropy", "ids"),
    "sparse, a class is ignored": (L.SparseCategoricalCrossentropy(ignore_class=2), "ids"),
    "by class": (losses.WeightedSparseCategoricalCrossentropy([1.0, 2.0, 3.0]), "ids"),
    "Keras chooses": ("crossentropy", "ids"),
    "generalized": (L.CategoricalGeneralizedCrossEntropy(), "ids"),
    "own on ids": (own_ids, "ids"),
    "own on either, the same": (own_either, "ids"),
    "own on a column": (own_column, "column"),
    "own on rows": (own_rows, "one_hot"),
    "own class on rows": (OwnRows(), "one_hot"),
    "squares": (L.MeanSquaredError(), "one_hot"),
    "percentages": ("mape", "one_hot"),
}


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize(("loss", "form"), FORMS.values(), ids=FORMS)
def test_the_form_of_labels_is_found(loss, form, classes):
    if isinstance(loss, losses.WeightedSparseCategoricalCrossentropy):
        loss = losses.WeightedSparseCategoricalCrossentropy(np.ones(classes))
    found = on_class_ids(loss, _net("mse", classes))
    assert getattr(found, "form", "ids") == form
    assert (found is loss) is (form == "ids")


def test_ids_that_broadcast_over_the_batch_are_not_taken():
    assert on_class_ids(of_second, _net("mse", 2)) is of_second


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (own_none, r"own_none works on none of these.*OnLabels\(loss, form\).*Received: ids: the"),
        (own_other, r"own_other works on more than one of these.*'one_hot'.*one_hot: works"),
        (["mse", "mse"], "expected one loss. Received several"),
        ({"a": "mse", "b": "mse"}, "expected one loss. Received several"),
    ],
)
def test_a_loss_on_unknown_labels_is_refused(loss, words):
    with pytest.raises(ValueError, match=f"^loss: {words}"):
        on_class_ids(loss, _net("mse"))


def test_the_form_can_be_said():
    net = _net(own_other)
    with pytest.raises(ValueError, match=r"^loss: own_other"):
        methods.retrain(net, _split(), epochs=1)
    said = OnLabels(own_other, "one_hot")
    result = methods.retrain(net, _split(), seed=1, epochs=3, batch_size=40, loss=said)
    _assert_close(result, _by_keras(models.reinitialized(net, seed=1), own_other, ROWS))
    with pytest.raises(ValueError, match=r"form: expected one of \('ids', 'column', 'one_hot'\)"):
        OnLabels("mse", "rows")


def test_metrics_of_one_hot_labels_do_not_meet_class_ids():
    seen = keras.callbacks.History()
    net = _net("mse", metrics=[keras.metrics.F1Score(), keras.metrics.CategoricalAccuracy()])
    result = methods.finetune(net, _split(), epochs=1, batch_size=8, callbacks=[seen])
    assert sorted(seen.history) == ["accuracy", "loss"]
    assert 0 < seen.history["accuracy"][0] < 1
    assert len(result.get_compile_config()["metrics"]) == 2


@pytest.mark.parametrize(
    "inner", [L.CategoricalFocalCrossentropy(reduction="sum"), own_rows, "mse"]
)
def test_the_wrapped_loss_is_the_inner_one_and_comes_back_from_its_config(inner):
    loss = OnLabels(inner, "one_hot")
    weights = NUMBERS.random(40).astype("float32")
    scores = ops.softmax(NUMBERS.normal(size=(40, 3)).astype("float32"))
    plain = keras.Sequential([keras.Input((3,))])
    plain.compile(loss=inner)
    for own in ({}, {"sample_weight": weights}):
        expected = float(plain.compute_loss(None, ROWS, scores, **own))
        assert float(loss(Y, scores, **own)) == pytest.approx(expected, rel=1e-6)
        assert float(loss(Y[:, None], scores, **own)) == pytest.approx(expected, rel=1e-6)
    with keras.saving.custom_object_scope({"own_rows": own_rows}):
        again = keras.losses.get(loss_config(loss))
    assert (type(again), again.form) == (OnLabels, "one_hot")
    assert float(again(Y, scores)) == pytest.approx(float(loss(Y, scores)))
    assert loss_config(loss) != loss_config(OnLabels("mae", "one_hot"))


def test_a_lambda_inside_is_refused_as_one_outside():
    loss = OnLabels(lambda labels, scores: ops.mean(labels - scores), "one_hot")
    with pytest.raises(ValueError, match="loss: a bank is kept under its loss"):
        loss_config(loss)


def test_a_bank_is_trained_by_the_models_own_loss(tmp_path):
    net, split = _net(L.CategoricalCrossentropy(label_smoothing=0.1)), _split()
    bank = ReferenceBank(tmp_path, net, split, epochs=2, batch_size=40, threads=None, say=None)
    bank.fill(1)
    again = models.logits_model(methods.retrain(net, split, epochs=2, batch_size=40))
    np.testing.assert_allclose(bank.logits("test")[0], again.predict(X, verbose=0), atol=1e-5)
    other = ReferenceBank(tmp_path, _net(own_rows), split, epochs=2, batch_size=40, say=None)
    assert other.folder != bank.folder


def test_mixed_precision_and_xla_take_one_hot_losses():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        net = _net(L.CategoricalCrossentropy(label_smoothing=0.1))
    finally:
        keras.config.set_dtype_policy("float32")
    result = methods.retrain(net, _split(), seed=1, epochs=1, batch_size=40)
    assert np.isfinite(result.get_weights()[0]).all()
    full = _net(own_rows)
    compiled = methods.retrain(full, _split(), seed=1, epochs=1, batch_size=40, jit_compile=True)
    _assert_close(compiled, methods.retrain(full, _split(), seed=1, epochs=1, batch_size=40))


def test_recipes_keep_the_loss_as_it_is_where_it_takes_ids():
    assert Recipe.of(_net("sparse_categorical_crossentropy")).loss == (
        "sparse_categorical_crossentropy"
    )
    assert Recipe.of(_net({"class_name": "KLDivergence", "config": {}})).loss.form == "one_hot"
