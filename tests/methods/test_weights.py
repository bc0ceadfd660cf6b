"""Class and sample weights in the loss of every method that trains on retain."""

import functools

import keras
import numpy as np
import pytest

from tests import elsewhere
from tfunlearn import data, methods, models, unlearn
from tfunlearn.data import batches
from tfunlearn.methods import Unlearner
from tfunlearn.training import iterate

COUNT, FORGET = 60, list(range(0, 60, 5))
CLASS_WEIGHT = {0: 1.0, 2: 20.0}  # class 1 is not named


def examples():
    """Images whose first value is their position."""
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(COUNT, 4)).astype("float32")
    x[:, 0] = np.arange(COUNT) / COUNT
    return x, numbers.integers(0, 3, COUNT), numbers.uniform(0, 3, COUNT)


def net():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(3, "softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return models.reinitialized(model, seed=5)


def compiled_net():
    model = net()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def sliced(*parts):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(parts)


def make(stream=False):
    x, y, _ = examples()
    if stream:
        return data.from_dataset(sliced(x, y).batch(16), forget=FORGET, test=(x, y))
    return data.by_index(x, y, forget=FORGET, test=(x, y))


@functools.cache
def by_keras(classes=False, samples=False, epochs=2):
    """Returns the weights after Keras' own ``fit``, on the batches that `retrain` has."""
    model = models.reinitialized(net(), seed=7)
    model.compile("adam", "sparse_categorical_crossentropy")
    stream = batches(make(), "retain", batch_size=8, shuffle=True, seed=7)
    options = {"batch_size": 8, "shuffle": False, "epochs": 1, "verbose": 0}
    if classes and not samples:
        options["class_weight"] = {0: 1.0, 1: 1.0, 2: 20.0}
    for _ in range(epochs):
        x, y = (np.concatenate(p) for p in zip(*map(as_arrays, iterate(stream)), strict=True))
        if samples:
            own = examples()[2][np.rint(x[:, 0] * COUNT).astype(int)]
            options["sample_weight"] = own * np.array([1.0, 1.0, 20.0])[y] if classes else own
        model.fit(x, y, **options)
    return model


def as_arrays(batch):
    return [keras.ops.convert_to_numpy(part) for part in batch]


def gap(left, right):
    pairs = zip(left.get_weights(), right.get_weights(), strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


class LooksAtBatches(keras.callbacks.Callback):
    """With which a training is Keras' own ``fit``."""

    def on_train_batch_end(self, batch, logs=None):
        """Does nothing."""


PATHS = {
    "in one graph": (False, ()),
    "plain fit": (False, (LooksAtBatches(),)),
    "stream": (True, ()),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("classes", "samples"), [(True, False), (False, True), (True, True)])
def test_retrain_equals_keras_fit(path, classes, samples):
    stream, callbacks = PATHS[path]
    weights = {"class_weight": CLASS_WEIGHT} if classes else {}
    weights |= {"sample_weight": examples()[2]} if samples else {}
    options = {"seed": 7, "epochs": 2, "batch_size": 8, "callbacks": callbacks}
    found = methods.retrain(compiled_net(), make(stream), **options, **weights)
    assert gap(found, by_keras(classes, samples)) < 1e-5
    assert gap(found, by_keras()) > 1e-3


def test_sample_weights_of_the_split_are_used():
    x, y, w = examples()
    options = {"seed": 7, "epochs": 2, "batch_size": 8}
    given = methods.retrain(compiled_net(), make(), sample_weight=w, **options)
    weighted = data.by_index(x, y, forget=FORGET, test=(x, y), sample_weight=w)
    stream = data.from_dataset(sliced(x, y, w).batch(9), forget=FORGET, test=(x, y))
    for split in (weighted, stream):
        assert gap(given, methods.retrain(compiled_net(), split, **options)) < 1e-6


def retrained_elsewhere():
    _, _, w = examples()
    options = {"seed": 7, "epochs": 2, "batch_size": 8}
    weights = {"class_weight": CLASS_WEIGHT, "sample_weight": w}
    found = methods.retrain(compiled_net(), make(), **options, **weights)
    l1 = methods.l1_sparse(compiled_net(), make(), **options, **weights)
    scrubbed = methods.scrub(compiled_net(), make(), **options, **weights)
    finite = all(np.isfinite(part).all() for part in (*l1.get_weights(), *scrubbed.get_weights()))
    return [float(gap(found, by_keras(True, True))), bool(finite)]


@pytest.mark.slow
@pytest.mark.parametrize("backend", elsewhere.BACKENDS)
def test_on_other_backends(backend):
    found, finite = elsewhere.on(backend, retrained_elsewhere)
    assert found < 1e-5
    assert finite


class Parts(Unlearner):
    """Terms that are given, whole or in two parts."""

    pair = True

    def terms(self, x, y, logits):
        """Returns the label plus the inputs' sum, weighted in part or as a whole."""
        own = keras.ops.cast(y["retain"], "float32") + 0 * logits["retain"][:, 0]
        rest = keras.ops.sum(x["retain"], axis=1)
        return {"retain": (own, rest) if self.pair else own + rest}


@pytest.mark.parametrize("pair", [True, False])
def test_weights_multiply_the_first_part_of_a_term(pair):
    x, y, w = np.eye(4, dtype="float32"), np.array([1, 2, 0, 2]), np.array([0.0, 3.0, 1.0, 0.5])
    unlearner = Parts(models.mnist_dense(4, seed=0))
    unlearner.pair = pair
    unlearner.compile("sgd")
    found = unlearner.train_on_batch({"retain": x}, {"retain": y}, {"retain": w}, return_dict=True)
    whole = w * y + x.sum(1) if pair else w * (y + x.sum(1))
    np.testing.assert_allclose(found["loss"], whole.mean(), rtol=1e-6)
    np.testing.assert_allclose(found["retain_loss"], whole.mean(), rtol=1e-6)


def distilling(name, model):
    if name == "scrub":
        return methods.SCRUB(model, classification=1.0)
    teacher = models.logits_model(model)
    if name == "kde":
        return methods.KDE(models.logits_model(model), teacher)
    if name == "prmq":
        return methods.PRMQ(models.logits_model(model), teacher, [1.0, 1.0, 1.0])
    return methods.L1Sparse(models.logits_model(model), 0.01)


@pytest.mark.parametrize("name", ["scrub", "kde", "prmq", "l1_sparse"])
def test_the_weighted_part_is_the_loss_on_labels(name):
    x, y, _ = (part[:6] for part in examples())
    unlearner = distilling(name, net())
    logits = unlearner({"retain": x}, training=False)
    first, rest = unlearner.terms({"retain": x}, {"retain": y}, logits)["retain"]
    scores = keras.ops.convert_to_numpy(net()(x))
    expected = -np.log(scores[np.arange(6), y])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(first), expected, rtol=1e-4, atol=1e-6)
    assert tuple(rest.shape) == (6,)


@pytest.mark.parametrize("name", ["ssd", "gradient_ascent", "negmerge", "bad_teacher"])
def test_methods_without_a_loss_on_retain_refuse_them(name):
    for option in ({"class_weight": CLASS_WEIGHT}, {"sample_weight": np.ones(COUNT)}):
        with pytest.raises(ValueError, match=rf"{next(iter(option))}: {name} does not take it"):
            unlearn(compiled_net(), make(), name, **option)


def test_both_or_neither_option():
    with_class, with_samples = (
        {name for name in methods.names() if option in methods.describe(name).options}
        for option in ("class_weight", "sample_weight")
    )
    assert with_class == with_samples
    assert {"retrain", "finetune", "scrub", "salun", "vision_confuser", "msg"} <= with_class


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"class_weight: .*0 to 2"):
        unlearn(compiled_net(), make(), "finetune", class_weight={5: 1.0})
    with pytest.raises(ValueError, match=r"sample_weight: .*\(60,\)"):
        methods.scrub(compiled_net(), make(), sample_weight=np.ones(3))
    with pytest.raises(ValueError, match=r"class_weight: .*Received both"):
        methods.vision_confuser(compiled_net(), make(), class_weight={0: 1}, class_weights=[1] * 3)
