"""SalUn: the mask and the masked training under random labels, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.methods.salun import saliency

layers = keras.layers


def _gradients(weights, x, y):
    flat = x.reshape(len(x), -1).astype("float64")
    scores = np.exp(flat @ weights[0] + weights[1])
    errors = (scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]) / len(y)
    return flat.T @ errors, errors.sum(0)


def _top(parts, count):
    """The largest of all entries together, by size."""
    flat = np.abs(np.concatenate([part.reshape(-1) for part in parts]))
    free = np.zeros(len(flat), bool)
    free[np.argsort(-flat)[:count]] = True
    return free[:12].reshape(4, 3), free[12:]


def test_equals_the_formula(net, split, by_hand):
    hand = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    start = [weight.copy() for weight in hand.weights]
    free = _top(_gradients(start, *split.forget), 7)  # half of 15, rounded down

    def step(x, y):
        hand.step(x, y)
        hand.weights = [np.where(*parts) for parts in zip(free, hand.weights, start, strict=True)]

    for epoch in range(3):
        labels = np.random.default_rng([2, epoch]).integers(0, 3, 4)
        step(split.forget[0], labels)
        step(*split.retain)
    result = methods.salun(net, split, seed=2, epochs=3, batch_size=8, learning_rate=0.1)
    hand.agrees(result)
    for mask, old, new in zip(free, net.get_weights(), result.get_weights(), strict=True):
        same = old.reshape(mask.shape) == new.reshape(mask.shape)
        assert np.array_equal(same, ~mask)


def test_the_mask_is_of_the_sum_over_batches(net, split, by_hand):
    """Signs may cancel between batches: it is |sum|, not the sum of sizes or one mean."""
    x, y = split.forget
    parts = [(x[:3], y[:3]), (x[3:], y[3:])]
    weights = by_hand(net.get_weights(), 0).weights
    sums = [sum(two) for two in zip(*(_gradients(weights, *part) for part in parts), strict=True)]
    masks = saliency(models.logits_model(net), parts, 0.4)
    for mask, want in zip(masks, _top(sums, 6), strict=True):
        assert np.array_equal(mask.reshape(want.shape), want)


@pytest.mark.parametrize("frozen_statistics", [True, False])
def test_held_weights_keep_their_bytes(split, frozen_statistics):
    """Neither momentum nor weight decay moves them, as both did in the published code."""
    inner = keras.Sequential(
        [keras.Input((2, 2, 4)), layers.BatchNormalization(), layers.Flatten(), layers.Dense(3)]
    )
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.Conv2D(4, 2, padding="same"), inner])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.1), loss)
    options = {"epochs": 2, "batch_size": 2, "share": 0.25, "learning_rate": 0.1}
    result = methods.salun(model, split, frozen_statistics=frozen_statistics, **options)
    free = saliency(
        models.logits_model(model), split.dataset("forget", batch_size=2), options["share"]
    )
    pairs = zip(free, model.trainable_variables, result.trainable_variables, strict=True)
    for mask, old, new in pairs:
        assert np.array_equal(np.equal(old, new) | mask, np.ones(mask.shape, bool))
        assert not np.equal(old, new)[mask].all() or not mask.any()
    assert sum(mask.sum() for mask in free) == int(0.25 * sum(mask.size for mask in free))


def test_count_is_over_all_layers_together(dropout_net, split):
    masks = saliency(models.logits_model(dropout_net), [split.forget], 0.5)
    assert sum(mask.sum() for mask in masks) == sum(mask.size for mask in masks) // 2
    assert [mask.shape for mask in masks] == [w.shape for w in dropout_net.trainable_variables]


def test_labels_are_fresh_each_epoch_and_the_own_may_be_among_them(net, split):
    """With a learning rate of nearly 0 the loss tells the labels apart."""
    look = keras.callbacks.History()
    options = {"learning_rate": 1e-3, "batch_size": 8, "callbacks": [look]}
    methods.salun(net, split, seed=1, epochs=4, **options)
    assert len(set(np.round(look.history["forget_loss"], 2))) > 1
    assert len(set(np.round(look.history["retain_loss"], 2))) == 1


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, 0.01])
def test_other_shares_are_refused(net, split, share):
    with pytest.raises(ValueError, match="share: expected"):
        methods.salun(net, split, epochs=1, share=share)
