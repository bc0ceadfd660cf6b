"""RNI: a fresh head, then a few noised weights an epoch, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models

layers = keras.layers


@pytest.fixture
def linear():
    """Two linear layers and a normalisation that trains always."""
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            layers.Flatten(),
            layers.Dense(3, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(3, name="head"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    return model


class Weights(keras.callbacks.Callback):
    """Keeps the weights after each epoch, and which of them train."""

    def __init__(self):
        super().__init__()
        self.seen, self.open, self.rates = [], [], []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.model.get_weights())
        self.open.append([k for k, w in enumerate(self.model.weights) if w.trainable])
        self.rates.append(float(self.model.optimizer.learning_rate))


def test_one_weight_an_epoch_by_the_formula(net, split, by_hand):
    """Kernel and bias: one trains in each of two epochs, then both."""
    head = models.reinitialized(net, seed=6).get_weights()
    hand = by_hand(head, 0.1, weight_decay=0.01)
    numbers, trained = np.random.default_rng(6), set()
    for epoch in range(3):
        chosen = [int(numbers.permutation(2)[0])] if epoch < 2 else [0, 1]
        if epoch == 1:
            noise = numbers.standard_normal([(2, 2, 1, 3), (3,)][chosen[0]], dtype="float32")
            if chosen[0] not in trained:
                hand.weights[chosen[0]] += 0.5 * noise.reshape(hand.weights[chosen[0]].shape)
        trained.update(chosen)
        held = [hand.weights[place].copy() for place in (0, 1)]
        hand.velocity = [np.zeros_like(weight) for weight in held]  # a fresh optimizer
        hand.rate = 0.1 * (5 if epoch == 2 else 1)
        hand.step(*split.retain)
        for place in {0, 1} - set(chosen):
            hand.weights[place] = held[place]
    assert trained == {0, 1}
    options = {"share": 0.5, "noised": 1.0, "stddev": 0.5, "full_epochs": 1, "last_rate": 5.0}
    hand.agrees(methods.rni(net, split, seed=6, epochs=3, batch_size=8, **options))


def test_what_trains_is_what_moves(linear, split):
    look = Weights()
    result = methods.rni(
        linear, split, seed=1, epochs=5, batch_size=4, share=0.25, full_epochs=2, callbacks=[look]
    )
    assert [len(places) for places in look.open] == [3, 3, 3, 6, 6]  # gamma, beta, one of four
    start = linear.get_weights()[:-2] + models.reinitialized(linear, seed=1).get_weights()[-2:]
    statistics = {k for k, weight in enumerate(linear.weights) if "moving" in weight.name}
    for before, after, places in zip([start, *look.seen], look.seen, look.open, strict=False):
        same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        assert {k for k, equal in enumerate(same) if not equal} - statistics == set(places)
    assert all(layer.trainable for layer in result.layers)
    assert all(weight.trainable for weight in result.get_layer("first").weights)


def test_noise_reaches_only_weights_that_have_not_trained(linear, split):
    """With all weights in each epoch there is nothing left to noise after the first."""
    options = {"seed": 1, "epochs": 3, "batch_size": 8, "share": 1.0, "full_epochs": 1}
    loud = methods.rni(linear, split, stddev=10.0, **options)
    assert models.weight_distance(loud, methods.rni(linear, split, stddev=0.0, **options)) == 0
    options["share"] = 0.25
    loud = methods.rni(linear, split, stddev=10.0, **options)
    assert models.weight_distance(loud, methods.rni(linear, split, stddev=0.0, **options)) > 1


def test_learning_rates_and_lengths(net, split):
    look = Weights()
    options = {"learning_rate": 0.2, "last_rate": 0.5, "share": 0.5, "callbacks": [look]}
    methods.rni(net, split, epochs=9, batch_size=8, **options)
    assert look.rates == pytest.approx([0.2] * 8 + [0.1])
    assert [len(names) for names in look.open] == [1] * 5 + [2] * 4


def test_frozen_layers_have_no_part(linear, split):
    linear.get_layer("first").trainable = False
    result = methods.rni(linear, split, epochs=2, batch_size=8, stddev=1.0)
    assert np.array_equal(result.get_layer("first").kernel, linear.get_layer("first").kernel)


@pytest.mark.parametrize(
    "options",
    [
        {"share": 0.0},
        {"share": 1.5},
        {"noised": -0.1},
        {"noised": 1.1},
        {"stddev": -1.0},
        {"stddev": np.inf},
        {"full_epochs": 0},
        {"full_epochs": 4},
        {"last_rate": 0.0},
    ],
    ids=str,
)
def test_other_numbers_are_refused(net, split, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        methods.rni(net, split, epochs=3, **options)
