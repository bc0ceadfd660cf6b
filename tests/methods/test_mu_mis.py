"""MU-Mis against its formula, computed by hand for a linear model, whose slopes are its weights."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods
from tfunlearn.methods import MUMis

ONE = {"epochs": 1, "batch_size": 4, "learning_rate": 0.01, "stop_accuracy": None}


def by_formula(kernel, y, weights, rate):
    """One step on the mean of ||K e_y||^2 - ||K w||^2 over examples, in float64."""
    kernel = kernel.reshape(-1, 3).astype("float64")
    gradient = np.zeros_like(kernel)
    for label, row in zip(y, weights, strict=True):
        true = np.eye(3)[label]
        for sign, w in ((1, true), (-1, row)):
            gradient += sign * 2 * np.outer(kernel @ w, w) / len(y)
    return (kernel - rate * gradient).reshape(2, 2, 1, 3)


def draws(**shape):
    return np.array(keras.random.randint(seed=keras.random.SeedGenerator(3), **shape))


def test_one_other_class_equals_the_formula(net, split):
    place = int(draws(shape=(), minval=1, maxval=3))
    y = split.forget[1]
    expected = by_formula(net.get_weights()[0], y, np.eye(3)[(y + place) % 3], 0.01)
    result = methods.mu_mis(net, split, seed=3, others="one", **ONE)
    np.testing.assert_allclose(result.get_weights()[0], expected, atol=1e-5)
    np.testing.assert_array_equal(result.get_weights()[1], net.get_weights()[1])  # the bias


def test_all_other_classes_equal_the_formula(net, split):
    signs = 2.0 * draws(shape=(3,), minval=0, maxval=2) - 1
    y = split.forget[1]
    weights = (1 - np.eye(3)[y]) * signs / np.sqrt(2)
    expected = by_formula(net.get_weights()[0], y, weights, 0.01)
    result = methods.mu_mis(net, split, seed=3, **ONE)
    np.testing.assert_allclose(result.get_weights()[0], expected, atol=1e-5)


def test_signs_average_to_the_mean_over_the_other_classes(net):
    calm = MUMis(net, seed=0)
    true = keras.ops.one_hot(np.array([1]), 3)
    rows = np.array([keras.ops.convert_to_numpy(calm.other_classes(true))[0] for _ in range(400)])
    np.testing.assert_allclose(rows.T @ rows / 400, np.diag([0.5, 0, 0.5]), atol=0.06)


def deep():
    layers = keras.layers
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten()])
    for layer in (layers.Dense(5, "tanh"), layers.BatchNormalization(), layers.Dense(3)):
        model.add(layer)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_the_default_rate_does_not_depend_on_the_scale_of_the_inputs(split):
    x, y = split.source("forget").x, split.source("forget").y
    wide = data.by_index(x / 100, y, forget=split.ids["forget"], test=split.test)
    model, twin = deep(), deep()
    kernel, *others = model.get_weights()
    twin.set_weights([100 * kernel, *others])
    free = {"epochs": 2, "batch_size": 4, "stop_accuracy": None}
    one, other = methods.mu_mis(model, split, **free), methods.mu_mis(twin, wide, **free)
    np.testing.assert_allclose(other.get_weights()[-2], one.get_weights()[-2], rtol=1e-3)


@pytest.mark.parametrize(("k", "moved"), [(1, 1), (2, 4), (None, 4)])
def test_the_last_layers_train(split, k, moved):
    """With the first Dense layer come the scale and the offset that follow it."""
    model = deep()
    result = methods.mu_mis(model, split, k=k, epochs=2, batch_size=4, stop_accuracy=None)
    pairs = zip(model.get_weights(), result.get_weights(), strict=True)
    assert sum(not np.array_equal(old, new) for old, new in pairs) == moved
    assert all(weight.trainable for weight in result.trainable_weights)
    assert len(result.trainable_weights) == len(model.trainable_weights)


def test_the_true_sensitivity_falls_beside_the_others(split):
    def gap(model):
        calm, (x, y) = MUMis(model), split.forget
        rows = [np.eye(3, dtype="float32")[(y + place) % 3] for place in range(3)]
        true, *others = (float(keras.ops.mean(calm.sensitivity(x, row))) for row in rows)
        return true - np.mean(others)

    model = deep()
    result = methods.mu_mis(model, split, **{**ONE, "epochs": 20, "learning_rate": 0.1})
    assert gap(result) < gap(model) - 0.05


def test_a_learning_rate_of_zero_changes_nothing(net, split):
    with pytest.raises(RuntimeError, match="changed none"):
        methods.mu_mis(net, split, **{**ONE, "learning_rate": 0.0})


def test_a_model_that_does_not_look_at_its_inputs(net, split):
    net.set_weights([0 * weight for weight in net.get_weights()])
    with pytest.raises(ValueError, match="model: its logits do not depend on the inputs"):
        methods.mu_mis(net, split)


def test_other_options_are_refused(net, split):
    with pytest.raises(ValueError, match="others: expected 'all' or 'one'"):
        methods.mu_mis(net, split, others="none")
    with pytest.raises(ValueError, match="k: expected a whole number from 1 to 1"):
        methods.mu_mis(net, split, k=2)
    with pytest.raises(ValueError, match="learning_rate: expected an optimizer or"):
        methods.mu_mis(net, split, optimizer="sgd", learning_rate=0.1)
