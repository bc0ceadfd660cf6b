"""UNSIR against its formula, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.data import by_class
from tfunlearn.methods.unsir import ImpairRepair, _sample, error_maximising_noise

ONE = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}


@pytest.fixture
def arrays():
    numbers = np.random.default_rng(0)
    return numbers.normal(size=(12, 2, 2, 1)).astype("float32"), np.arange(12) % 3


@pytest.fixture
def split(arrays):
    return by_class(*arrays, classes=[0], test=arrays)


def probabilities(weights, flat):
    scores = np.exp(flat @ weights[0] + weights[1])
    return scores / scores.sum(-1, keepdims=True)


def noise_by_hand(weights, start, label, steps):
    noise = start.reshape(len(start), -1).astype("float64")
    m, v = np.zeros_like(noise), np.zeros_like(noise)
    for step in range(1, steps + 1):
        ascent = (probabilities(weights, noise) - np.eye(3)[label]) @ weights[0].T
        g = (0.2 * noise - ascent) / len(noise)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        noise -= 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return noise


@pytest.mark.parametrize("steps", [1, 5])
def test_noise_equals_the_formula(net, by_hand, steps):
    hand, student = by_hand(net.get_weights(), 0.1), models.logits_model(net)
    start = np.random.default_rng([3, 1]).standard_normal((4, 2, 2, 1), "float32")
    found = error_maximising_noise(student, 1, start.shape, steps=steps, seed=[3, 1])
    expected = noise_by_hand(hand.weights, start, 1, steps)
    np.testing.assert_allclose(found.reshape(4, -1), expected, atol=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_equals_the_formula(net, split, by_hand, share):
    net.compile(keras.optimizers.SGD(0.1, momentum=0.9), net.loss)
    hand, (x, y) = by_hand(net.get_weights(), 0.1), split.retain
    start = np.random.default_rng([0, 0]).standard_normal((8, 2, 2, 1), "float32")
    noise = noise_by_hand(hand.weights, start, 0, 3)
    flat = np.concatenate([noise, x.reshape(8, -1)])
    labels, parts = np.append(np.zeros(8, int), y), np.repeat([share, 1 - share], 8)[:, None]
    errors = parts * (probabilities(hand.weights, flat) - np.eye(3)[labels]) / 8
    for place, gradient in enumerate((flat.T @ errors, errors.sum(0))):
        hand.velocity[place] = -0.1 * gradient
        hand.weights[place] += hand.velocity[place]
    hand.step(x, y)
    own = {"noise_size": 8, "noise_steps": 3, "noise_share": share}
    hand.agrees(methods.unsir(net, split, **ONE, **own))


def test_images_to_forget_are_never_looked_at(net, split, arrays):
    spoiled = arrays[0].copy()
    spoiled[split.ids["forget"]] = np.nan
    blind = by_class(spoiled, arrays[1], classes=[0], test=arrays)
    first, second = (methods.unsir(net, part, **ONE).get_weights() for part in (split, blind))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_classes_may_be_given(net, split):
    given = methods.unsir(net, split, **ONE, classes=[0])
    for one, other in zip(
        given.get_weights(), methods.unsir(net, split, **ONE).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    for classes in ([1], [3], [], [0, 2]):
        with pytest.raises(ValueError, match=r"^classes: expected.*some of \[0\]"):
            methods.unsir(net, split, classes=classes)


def test_the_sample_holds_so_many_of_each_class(split):
    labels = split.labels("retain")[_sample(split, 3, seed=0)]
    assert np.bincount(labels).tolist() == [0, 3, 3]
    assert len(_sample(split, 1000, seed=0)) == split.size("retain")


def test_noise_moves_no_batch_statistics(split):
    net = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )
    impair = ImpairRepair(net, 0.5, frozen_statistics=False)
    before = keras.ops.convert_to_numpy(net.layers[1].moving_mean).copy()
    x = np.ones((4, 2, 2, 1), "float32")
    impair({"forget": x}, training=True)
    np.testing.assert_array_equal(net.layers[1].moving_mean, before)
    impair({"forget": x, "retain": x}, training=True)
    assert not np.array_equal(net.layers[1].moving_mean, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [("samples", 0), ("noise_size", 0), ("noise_steps", 0), ("noise_share", 0.0)],
)
def test_options_are_checked(net, split, name, value):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        methods.unsir(net, split, **{name: value})
