"""CF-k and EU-k: which layers train, and that these train by the formula."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.methods.cf_k import freeze_others, last_layers

layers = keras.layers
BOTH = pytest.mark.parametrize("method", [methods.cf_k, methods.eu_k])


@pytest.fixture
def deep():
    """A convolution in front of a linear head; the head is nested with normalisation."""
    inner = keras.Input((2, 2, 2))
    hidden = layers.Flatten()(layers.BatchNormalization(name="norm")(inner))
    body = keras.Model(inner, layers.Dense(3, bias_initializer="ones", name="head")(hidden))
    inputs = keras.Input((2, 2, 1))
    hidden = layers.Conv2D(2, 2, padding="same", activation="relu", name="stem")(inputs)
    model = keras.Model(inputs, body(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01), loss)
    return model


def _features(model, x):
    """The head's inputs, with batch normalisation in inference mode."""
    hidden = keras.ops.convert_to_numpy(model.get_layer("stem")(x)).astype("float64")
    norm = model.layers[-1].get_layer("norm")
    return (hidden / np.sqrt(1 + norm.epsilon)).reshape(len(x), -1)


@BOTH
def test_the_head_trains_by_the_formula(deep, split, by_hand, method):
    start = deep.get_weights()[-2:]
    if method is methods.eu_k:
        start = models.reinitialized(deep, seed=4).get_weights()[-2:]
        assert not np.array_equal(start[0], deep.get_weights()[-2])
    hand = by_hand(start, 0.1, weight_decay=0.01)
    x, y = split.retain
    for _ in range(2):
        hand.step(_features(deep, x), y)
    result = method(deep, split, seed=4, epochs=2, batch_size=8)
    for got, want in zip(result.get_weights()[-2:], hand.weights, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    for old, new in zip(deep.weights[:-2], result.weights[:-2], strict=True):
        assert np.array_equal(old, new), old.path  # weight decay and statistics included
    assert all(layer.trainable for layer in models.iter_layers(result))


@BOTH
def test_all_layers(deep, split, method):
    """All layers of CF-k are fine-tuning, and of EU-k retraining."""
    options = {"seed": 2, "epochs": 2, "batch_size": 4}
    whole = methods.finetune if method is methods.cf_k else methods.retrain
    same, result = whole(deep, split, **options), method(deep, split, k=2, **options)
    assert models.weight_distance(same, result) == 0


def test_normalisation_goes_with_the_layer_before_it():
    model = models.small_cnn(seed=0)
    convs = [x.name for x in models.iter_layers(model) if isinstance(x, layers.Conv2D)]
    names = [layer.name for layer in last_layers(model, 2)]
    assert names[0] == convs[-1]
    assert names[1].startswith("batch_normalization")
    assert names[2:] == ["head"]
    freeze_others(model, last_layers(model, 2))
    assert len(model.trainable_variables) == 1 + 2 + 2
    assert model.get_layer("body").trainable  # open for what is inside it
    assert not model.get_layer("stem").trainable


def test_normalisation_before_any_kernel_goes_with_the_first():
    stack = [layers.BatchNormalization(name="norm"), layers.Dense(2, name="head")]
    model = keras.Sequential([keras.Input((3,)), *stack])
    assert [layer.name for layer in last_layers(model, 1)] == ["norm", "head"]


def test_a_layer_with_weights_and_layers_of_its_own():
    class Scaled(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.inside = layers.Dense(2)

        def build(self, shape):
            self.scale = self.add_weight((2, 2), name="scale")
            self.inside.build(shape)

        def call(self, x):
            return self.inside(x) @ self.scale

    model = keras.Sequential([keras.Input((3,)), Scaled(), layers.Dense(2)])
    freeze_others(model, last_layers(model, 2))
    assert [w.name for w in model.trainable_variables] == ["kernel", "bias", "kernel", "bias"]
    assert [layer.name for layer in last_layers(model, 1)] == [model.layers[-1].name]


class HeadFirst(keras.Model):
    """Names its head before the body, and runs it after."""

    def __init__(self, order=("head", "stem"), **options):
        super().__init__(**options)
        self.order = order
        for name in order:
            setattr(self, name, layers.Dense({"head": 3, "stem": 4}[name], name=name))
        self.flat = layers.Flatten()

    def call(self, x):
        return self.head(self.stem(self.flat(x)))

    def get_config(self):
        return {**super().get_config(), "order": self.order}


@pytest.mark.parametrize("method", [methods.cf_k, methods.eu_k, methods.rni])
def test_layers_named_in_another_order_than_they_run_are_refused(split, method):
    model = HeadFirst()
    model(split.retain[0])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match="Received: stem named last, but head run last"):
        method(model, split, epochs=1)
    assert len(last_layers(model, 2)) == 2  # all of them, in whatever order


def test_a_subclassed_model_in_order(split):
    model = HeadFirst(("stem", "head"))
    model(split.retain[0])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    result = methods.cf_k(model, split, epochs=1)
    assert np.array_equal(result.stem.kernel, model.stem.kernel)
    assert not np.array_equal(result.head.kernel, model.head.kernel)


@BOTH
def test_frozen_layers_do_not_count(deep, split, method):
    deep.get_layer("stem").trainable = False
    with pytest.raises(ValueError, match=r"k: expected a whole number from 1 to 1\b.*Received: 2"):
        method(deep, split, epochs=1, k=2)
    result = method(deep, split, epochs=1, k=1)
    assert np.array_equal(result.get_layer("stem").kernel, deep.get_layer("stem").kernel)
    assert not result.get_layer("stem").trainable


@BOTH
@pytest.mark.parametrize("k", [0, -1, 3, 1.5, "1"])
def test_other_numbers_of_layers_are_refused(deep, split, method, k):
    with pytest.raises(ValueError, match="k: expected a whole number from 1 to 2"):
        method(deep, split, epochs=1, k=k)
