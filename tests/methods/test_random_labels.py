"""Random labels against the formula, computed by hand, and how the labels are drawn."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods
from tfunlearn.methods import random_labels as function
from tfunlearn.methods.random_labels import _draw, _seed, _union

RATE = {"learning_rate": 0.1}


@pytest.fixture
def many():
    x, y = np.zeros((3000, 2), "float32"), np.arange(3000) % 3
    return data.by_index(x, y, forget=np.arange(1500), test=(x, y), num_classes=4)


@pytest.mark.parametrize(
    ("once", "own", "exclude"),
    [
        (False, {}, False),
        (True, {}, True),  # as in amnesiac unlearning
        (True, {"exclude_true": False}, False),
        (False, {"exclude_true": True}, True),
    ],
)
def test_forget_pass_then_retain_pass_equal_the_formula(net, split, by_hand, once, own, exclude):
    expected = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    for epoch in range(2):
        labels = _draw(split, 7, 0 if once else epoch, exclude)
        expected.step(split.forget[0], labels)
        expected.step(*split.retain)
    result = function(net, split, epochs=2, batch_size=8, seed=7, once=once, **own, **RATE)
    expected.agrees(result)


def test_a_union_is_shuffled_together(net, split, by_hand):
    expected = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    changed = split.relabelled("forget", _draw(split, 3, 0, False))
    everything = _union(changed)
    assert everything.size("retain") == 12
    options = {"batch_size": 5, "shuffle": True, "seed": _seed(3, 0)}
    batches = list(everything.dataset("retain", **options).as_numpy_iterator())
    assert [len(x) for x, _ in batches] == [5, 5, 2]
    for x, y in batches:
        expected.step(x, y)
    expected.agrees(function(net, split, epochs=1, batch_size=5, seed=3, order="union", **RATE))


def test_labels_may_be_the_true_one_and_are_drawn_anew_for_each_epoch(many):
    first, second = (_draw(many, 0, epoch, False) for epoch in (0, 1))
    true = many.labels("forget")
    assert not np.array_equal(first, second)
    assert np.mean(first == true) == pytest.approx(0.25, abs=0.04)
    assert np.bincount(first, minlength=4) / 1500 == pytest.approx([0.25] * 4, abs=0.04)


def test_amnesiac_labels_are_never_the_true_one(many):
    drawn, true = _draw(many, 0, 0, True), many.labels("forget")
    assert not np.any(drawn == true)
    assert np.bincount(drawn[true == 0], minlength=4)[1:] / 500 == pytest.approx(
        [1 / 3] * 3, abs=0.07
    )
    assert drawn.min() >= 0
    assert drawn.max() <= 3


def test_forget_labels_themselves_have_no_part(net, split):
    other = split.relabelled("forget", (split.labels("forget") + 1) % 3)
    one, two = (function(net, part, epochs=1, batch_size=8) for part in (split, other))
    for left, right in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_batch_statistics_stay_or_come_from_the_retain_set(split):
    layers = keras.layers
    flat = layers.Flatten()
    norm = layers.BatchNormalization(momentum=0.5)
    model = keras.Sequential([keras.Input((2, 2, 1)), flat, norm, layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    options = {"epochs": 1, "batch_size": 8, **RATE}
    frozen = function(model, split, **options).layers[1]
    moved = function(model, split, frozen_statistics=False, **options).layers[1]
    np.testing.assert_array_equal(frozen.moving_mean, np.zeros(4))
    mean = split.retain[0].reshape(-1, 4).mean(0)
    np.testing.assert_allclose(moved.moving_mean, 0.5 * mean, atol=1e-6)


def test_callbacks_see_epochs_with_both_roles(net, split):
    seen = keras.callbacks.History()
    function(net, split, epochs=3, batch_size=8, callbacks=[seen])
    assert {"forget_loss", "retain_loss", "retain_accuracy"} <= set(seen.history)
    assert len(seen.epoch) == 3


def test_another_order_is_refused(net, split):
    with pytest.raises(ValueError, match=r"order: expected one of .*Received: 'zip'"):
        methods.random_labels(net, split, order="zip")
