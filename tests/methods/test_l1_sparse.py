"""Fine-tuning under a fading L1 penalty against its formula, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.data import batches


def _expected(net, split, by_hand, strengths):
    """One full batch an epoch: the gradient of cross-entropy plus strength times the signs."""
    hand = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    x, y = split.retain
    flat = x.reshape(len(x), -1).astype("float64")
    for strength in strengths:
        scores = np.exp(flat @ hand.weights[0] + hand.weights[1])
        errors = (scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]) / len(y)
        for place, gradient in enumerate((flat.T @ errors, errors.sum(0))):
            gradient = gradient + strength * np.sign(hand.weights[place])
            hand.velocity[place] = 0.9 * hand.velocity[place] - 0.1 * gradient
            hand.weights[place] = 0.999 * hand.weights[place] + hand.velocity[place]
    return hand


@pytest.mark.parametrize(
    ("free_epochs", "shares"),
    [(0, [1, 2 / 3, 1 / 3]), (1, [1, 1 / 2, 0])],
    ids=["all", "last free"],
)
def test_equals_the_formula(net, split, by_hand, free_epochs, shares):
    hand = _expected(net, split, by_hand, [0.3 * share for share in shares])
    options = {"strength": 0.3, "free_epochs": free_epochs}
    hand.agrees(methods.l1_sparse(net, split, epochs=3, batch_size=8, **options))


def test_without_strength_it_is_fine_tuning(net, split, by_hand):
    hand = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    hand.step(*split.retain)
    hand.agrees(methods.l1_sparse(net, split, epochs=1, batch_size=8, strength=0.0))


def test_the_strength_is_read_at_each_step_and_is_no_weight(net, split):
    """A schedule in a Python number would be frozen when the step is traced."""
    unlearner = methods.L1Sparse(models.logits_model(net), strength=1.0)
    unlearner.compile(keras.optimizers.SGD(0.0))
    stream = batches(split, "retain", batch_size=8, named=True)
    l1 = sum(np.abs(weight).sum() for weight in net.get_weights())
    losses = []
    for strength in (0.0, 1.0, 0.25):
        unlearner.strength.assign(strength)
        losses.append(unlearner.fit(stream, shuffle=False, verbose=0).history["loss"][0])
    np.testing.assert_allclose(np.subtract(losses[1:], losses[0]), [l1, l1 / 4], rtol=1e-5)
    assert len(unlearner.weights) == len(net.weights)


def test_low_precision(split):
    head = keras.layers.Dense(3, dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), head])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    result = methods.l1_sparse(model, split, epochs=2, strength=0.1)
    assert models.weight_distance(model, result) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -1.0}, "strength: expected a number of at least 0"),
        ({"strength": float("nan")}, "strength: expected"),
        ({"free_epochs": 2}, "free_epochs: expected a whole number from 0 to 1. Received: 2"),
        ({"free_epochs": 0.5}, "free_epochs: expected"),
        ({"optimizer": "sgd", "learning_rate": 0.1}, "learning_rate: expected an optimizer or"),
    ],
)
def test_other_numbers_are_refused(net, split, options, message):
    with pytest.raises(ValueError, match=message):
        methods.l1_sparse(net, split, epochs=2, **options)
