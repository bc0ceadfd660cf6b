"""Boundary shrink against its formula, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods
from tfunlearn.data import by_class
from tfunlearn.methods.boundary_shrink import _bounds

ONE = {"epochs": 1, "batch_size": 4, "learning_rate": 0.1, "stop_accuracy": None, "k": None}


@pytest.fixture
def split():
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(12, 2, 2, 1)).astype("float32"), np.arange(12) % 3
    return by_class(x, y, classes=[0], test=(x[:3], y[:3]))


def neighbours(weights, x, y, epsilon, bounds, exclude_true):
    kernel, bias = weights
    flat = x.reshape(len(x), -1).astype("float64")
    scores = np.exp(flat @ kernel + bias)
    slopes = (scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]) @ kernel.T
    logits = np.clip(flat + epsilon * np.sign(slopes), *bounds) @ kernel + bias
    if exclude_true:
        logits[np.arange(len(y)), y] = -np.inf
    return logits.argmax(-1)


@pytest.mark.parametrize(
    ("epsilon", "bounds", "exclude_true"),
    [(0.1, None, True), (0.1, None, False), (3.0, None, False), (3.0, (0.0, 1.0), False)],
)
def test_equals_the_formula(net, split, by_hand, epsilon, bounds, exclude_true):
    numbers = np.random.default_rng(5)
    net.layers[0].kernel.assign(numbers.normal(size=(2, 2, 1, 3)))
    net.compile(keras.optimizers.SGD(0.1, momentum=0.9), net.loss)
    hand, (x, y) = by_hand(net.get_weights(), 0.1), split.forget
    ends = (x.min(), x.max()) if bounds is None else bounds
    labels = neighbours(hand.weights, x, y, epsilon, ends, exclude_true)
    assert (labels != y).any()
    hand.step(x, labels)
    own = {"epsilon": epsilon, "bounds": bounds, "exclude_true": exclude_true}
    hand.agrees(methods.boundary_shrink(net, split, **ONE, **own))


def test_bounds_are_those_of_the_inputs(split):
    x = split.forget[0]
    found = _bounds(split.dataset("forget", batch_size=3))
    assert found == (float(x.min()), float(x.max()))
    assert found[0] < 0 < 1 < found[1]


@pytest.mark.parametrize("bounds", [(1.0, 0.0), (0.0, 0.0), 1.0, (0.0, 1.0, 2.0)])
def test_bounds_are_checked(net, split, bounds):
    with pytest.raises(ValueError, match=r"^bounds: expected"):
        methods.boundary_shrink(net, split, bounds=bounds)


@pytest.mark.parametrize("epsilon", [0.0, -0.1, np.inf])
def test_epsilon_is_checked(net, split, epsilon):
    with pytest.raises(ValueError, match=r"^epsilon: expected"):
        methods.boundary_shrink(net, split, epsilon=epsilon)


@pytest.mark.parametrize(("k", "still"), [(1, 1), (2, 0), (3, 0), (None, 0)])
def test_the_last_layers_train(split, dropout_net, k, still):
    options = {**ONE, "exclude_true": True, "k": k}
    result = methods.boundary_shrink(dropout_net, split, **options)
    pairs = zip(dropout_net.get_weights(), result.get_weights(), strict=True)
    assert [np.array_equal(*pair) for pair in pairs][::2] == [bool(still), False]


@pytest.mark.parametrize("k", [0, -1, "all"])
def test_k_is_checked(net, split, k):
    with pytest.raises(ValueError, match=r"^k: expected"):
        methods.boundary_shrink(net, split, k=k)


def test_parts_of_a_class_are_refused(net, split):
    part = split.relabelled("retain", np.zeros(split.size("retain"), int))
    with pytest.raises(ValueError, match="whole classes"):
        methods.boundary_shrink(net, part)
