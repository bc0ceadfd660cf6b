"""UAM against its formula, computed by hand: where each gradient is taken, and what it moves."""

import math

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.gradients.kept import KeptGradients, norm

ONE = {"batch_size": 8, "learning_rate": 0.1, "anneal": False}


def gradients(weights, x, y):
    flat = x.reshape(len(x), -1).astype("float64")
    scores = np.exp(flat @ weights[0] + weights[1])
    errors = (scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]) / len(y)
    return [flat.T @ errors, errors.sum(0)]


def step(hand, split, rho, rate):
    """One step: up the forget loss, the retain gradient there, applied to where it began."""
    up = gradients(hand.weights, *split.forget)  # in a batch of 8 each of the four stands twice
    length = math.sqrt(sum(float((part**2).sum()) for part in up))
    high = [w + rho * part / length for w, part in zip(hand.weights, up, strict=True)]
    for place, slope in enumerate(gradients(high, *split.retain)):
        hand.velocity[place] = 0.9 * hand.velocity[place] - rate * slope
        hand.weights[place] += hand.velocity[place] - rate * 0.01 * high[place]  # decoupled decay


@pytest.mark.parametrize("rho", [0.0, 0.5, 3.0])
def test_equals_the_formula(net, split, by_hand, rho):
    expected = by_hand(net.get_weights(), 0.1)
    for _ in range(3):
        step(expected, split, rho, 0.1)
    expected.agrees(methods.uam(net, split, epochs=3, rho=rho, **ONE))


def test_annealed_it_equals_the_formula(net, split, by_hand):
    expected = by_hand(net.get_weights(), 0.1)
    for done in range(4):
        share = (1 + math.cos(math.pi * done / 4)) / 2
        step(expected, split, share * 2.0, share * 0.1)
    expected.agrees(methods.uam(net, split, epochs=4, rho=2.0, **{**ONE, "anneal": True}))


def test_without_a_way_up_it_is_fine_tuning(net, split):
    net.compile(keras.optimizers.Adam(0.1), net.loss)
    one = methods.uam(net, split, epochs=2, rho=0.0, batch_size=4, anneal=False)
    other = methods.finetune(net, split, epochs=2, batch_size=4)
    assert models.weight_distance(one, other) < 1e-5


@pytest.mark.parametrize("frozen", [False, True])
def test_batch_statistics_come_from_the_retain_set_once_a_step(split, frozen):
    layers = keras.layers
    norm = layers.BatchNormalization(momentum=0.5)
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), norm])
    model.add(layers.Dense(3, "softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    result = methods.uam(model, split, epochs=1, frozen_statistics=frozen, **ONE)
    mean = split.retain[0].reshape(-1, 4).mean(0)
    expected = np.zeros(4) if frozen else 0.5 * mean
    np.testing.assert_allclose(result.layers[1].moving_mean, expected, atol=1e-6)


def test_callbacks_see_epochs_with_both_roles(net, split):
    seen = keras.callbacks.History()
    methods.uam(net, split, epochs=3, callbacks=[seen], **ONE)
    roles = {"forget_loss", "retain_loss", "forget_accuracy", "retain_accuracy"}
    assert set(seen.history) == roles
    assert len(seen.epoch) == 3


def test_kept_gradients_change_nothing(net, split):
    x, y = split.retain
    before, kept = net.get_weights(), KeptGradients()
    net.compile(kept, net.loss)
    for _ in range(2):
        net.train_on_batch(x, y)
    for old, new in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    weights = [before[0].reshape(4, 3).astype("float64"), before[1]]
    expected = gradients(weights, x, y)
    for want, got in zip(expected, kept.values(), strict=True):
        np.testing.assert_allclose(np.reshape(got, want.shape), want, atol=1e-6)
    length = math.sqrt(sum(float((part**2).sum()) for part in expected))
    assert norm(kept.values()) == pytest.approx(length, rel=1e-5)


def test_other_options_are_refused(net, split):
    with pytest.raises(ValueError, match="rho: expected a number of at least 0"):
        methods.uam(net, split, rho=-1.0)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    with pytest.raises(ValueError, match="optimizer: this method changes the learning rate"):
        methods.uam(net, split, optimizer=keras.optimizers.SGD(schedule))
    methods.uam(net, split, epochs=1, optimizer=keras.optimizers.SGD(schedule), anneal=False)
