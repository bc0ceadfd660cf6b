"""Fisher forgetting against the formula in NumPy float64: information, bounds, noise."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods
from tfunlearn.models.seeding import seeded

layers = keras.layers


@pytest.fixture
def classes():
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(18, 2, 2, 1)).astype("float32"), np.arange(18) % 3
    return data.by_class(x, y, classes=[1], test=(x[:3], y[:3]))


def _net(*stack, shape=(2, 2, 1), softmax=True):
    with seeded(0):
        head = layers.Dense(3, "softmax" if softmax else None, bias_initializer="ones")
        return keras.Sequential([keras.Input(shape), *stack, layers.Flatten(), head])


def _information(kernel, bias, x):
    """E_x sum_y p(y|x) grad^2 of the two weights of a linear softmax model."""
    flat = x.reshape(len(x), -1).astype("float64")
    scores = np.exp(flat @ kernel.astype("float64") + bias)
    p = scores / scores.sum(-1, keepdims=True)
    found = [np.zeros(kernel.shape), np.zeros(bias.shape)]
    for a, q in zip(flat, p, strict=True):
        for label in range(3):
            error = q - np.eye(3)[label]
            found[0] += q[label] * np.outer(a, error) ** 2 / len(x)
            found[1] += q[label] * error**2 / len(x)
    return found


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("clear_head", [True, False])
def test_equals_the_formula(classes, softmax, clear_head):
    net = _net(softmax=softmax)
    kernel, bias = net.get_weights()
    numbers = np.random.default_rng(5)
    information = _information(kernel, bias, classes.retain[0])
    expected = []
    for weight, fisher in zip((kernel, bias), information, strict=True):
        variance = np.minimum(1 / (fisher + 1e-8), 100)
        if weight.ndim == 2:
            variance = np.broadcast_to(variance.mean(0), weight.shape)
        variance, mean = 0.01 * variance * 10, weight.copy()
        if clear_head:
            mean[..., 1], variance = 0, variance.copy()
            variance[..., 1] = 1e-3
        expected.append(mean + np.sqrt(variance) * numbers.standard_normal(weight.shape, "float32"))
    kwargs = {"seed": 5, "alpha": 0.01, "clear_head": clear_head, "batch_size": 5}
    result = methods.fisher_forgetting(net, classes, **kwargs)
    for got, want in zip(result.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_weights_before_the_head_have_the_other_bounds(classes):
    body = [layers.DepthwiseConv2D(2, use_bias=False), layers.Conv2D(4, 1, activation="relu")]
    net = _net(*body, layers.BatchNormalization())
    _, conv, bias, *_ = net.get_weights()
    net.layers[1].set_weights([np.zeros_like(conv), bias - 1.0])  # all units dead: F = 0
    result = methods.fisher_forgetting(net, classes, seed=1, alpha=1e-4)
    numbers = np.random.default_rng(1)
    old, new = net.get_weights(), result.get_weights()
    for place, factor in ((0, 1), (1, 1), (2, 10)):  # kernels, then a bias
        noise = numbers.standard_normal(old[place].shape, "float32")
        np.testing.assert_allclose(
            new[place] - old[place], np.sqrt(1e-4 * 1e3 * factor) * noise, atol=1e-5
        )
    assert [w.tobytes() for w in old[5:7]] == [w.tobytes() for w in new[5:7]]  # statistics


def test_the_mean_is_over_the_inputs_of_a_kernel(classes):
    net = _net(layers.Conv2D(2, 1, activation="relu"), layers.Conv2D(3, 2))
    kernel = net.get_weights()[2]  # (2, 2, 2, 3)
    quiet = methods.fisher_forgetting(net, classes, seed=2, alpha=1e-4)
    numbers = np.random.default_rng(2)
    noises = [numbers.standard_normal(w.shape, "float32") for w in net.get_weights()]
    deviation = (quiet.get_weights()[2] - kernel) / noises[2]
    assert deviation.shape == (2, 2, 2, 3)
    np.testing.assert_allclose(deviation[:, :, 0], deviation[:, :, 1], rtol=1e-2)
    assert deviation.std() > 0


def test_the_batch_size_has_no_effect(classes):
    net = _net(layers.Conv2D(2, 2, activation="relu"))
    one, all_at_once = (
        methods.fisher_forgetting(net, classes, batch_size=size).get_weights() for size in (1, 12)
    )
    for left, right in zip(one, all_at_once, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)


def test_a_class_that_stays_in_part_keeps_its_head(split):
    with seeded(0):
        net = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(3)])
    results = [
        methods.fisher_forgetting(net, split, clear_head=clear).get_weights()
        for clear in (True, False)
    ]
    for left, right in zip(*results, strict=True):
        assert left.tobytes() == right.tobytes()


def test_frozen_weights_stay(classes):
    net = _net(layers.Conv2D(2, 2))
    net.layers[0].trainable = False
    result = methods.fisher_forgetting(net, classes, alpha=1e-3)
    assert net.get_weights()[0].tobytes() == result.get_weights()[0].tobytes()
    assert net.get_weights()[2].tobytes() != result.get_weights()[2].tobytes()


def test_other_options_are_refused(classes):
    net = _net()
    with pytest.raises(ValueError, match="alpha: expected a number of at least 0"):
        methods.fisher_forgetting(net, classes, alpha=-1.0)
    with pytest.raises(ValueError, match=r"alpha: the noise changed no weight.*Received: 0.0"):
        methods.fisher_forgetting(net, classes, alpha=0.0, clear_head=False)
    last = [layers.Conv2D(1, 1), layers.Reshape((4,)), layers.Activation("softmax")]
    odd = keras.Sequential([keras.Input((2, 2, 1)), *last])
    with pytest.raises(ValueError, match=r"model: its last kernel must give the class scores.*4"):
        methods.fisher_forgetting(odd, classes)
