"""PRMQ: which weights are drawn anew and from where, and the loss, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.data import by_index

layers = keras.layers


def _softmax(flat, weights):
    scores = np.exp(flat @ weights[0] + weights[1])
    return scores / scores.sum(-1, keepdims=True)


def _entropy(p):
    return -(p * np.log(p)).sum(-1, keepdims=True)


def _drawn(kernel, share, seed):
    """The smallest of 12 weights replaced by draws within 1 / sqrt(4)."""
    smallest = np.argsort(np.abs(kernel).reshape(-1), kind="stable")[: round(share * 12)]
    new = np.random.default_rng(seed).uniform(-0.5, 0.5, kernel.shape).astype("float32")
    result = kernel.copy().reshape(-1)
    result[smallest] = new.reshape(-1)[smallest]
    return result.reshape(kernel.shape)


@pytest.mark.parametrize("share", [0.75, 1.0])
def test_equals_the_formula(net, split, by_hand, share):
    kernel, bias = net.get_weights()
    hand = by_hand([_drawn(kernel, share, 5), bias], 0.1, weight_decay=0.01)
    x, y = split.retain
    flat = x.reshape(len(x), -1).astype("float64")
    target = _entropy(_softmax(flat, by_hand([kernel, bias], 0).weights))
    counts = np.bincount(y)
    weights = (counts**-0.1)[y]
    weights = weights / weights.sum()  # as PyTorch's cross-entropy with class weights
    for _ in range(2):
        p = _softmax(flat, hand.weights)
        entropy = _entropy(p)
        slope = -p * (np.log(p) + entropy)  # of the entropy, by logit
        errors = weights[:, None] * (p - np.eye(3)[y])
        errors += 2 * (entropy - target) * slope / len(y)
        for place, gradient in enumerate((flat.T @ errors, errors.sum(0))):
            hand.velocity[place] = 0.9 * hand.velocity[place] - 0.1 * gradient
            hand.weights[place] = 0.999 * hand.weights[place] + hand.velocity[place]
    hand.agrees(methods.prmq(net, split, seed=5, epochs=2, batch_size=8, pruned=share))


def test_rounding_to_half_precision_is_the_last_step(net, split):
    options = {"epochs": 1, "batch_size": 8}
    exact = methods.prmq(net, split, **options)
    rounded = methods.prmq(net, split, half_precision=True, **options)
    for full, half in zip(exact.get_weights(), rounded.get_weights(), strict=True):
        assert half.dtype == np.float32
        assert np.array_equal(full.astype("float16").astype("float32"), half)
    net.set_weights([net.get_weights()[0], np.full(3, 1e5, "float32")])
    with pytest.raises(RuntimeError, match=r"half_precision: '.*bias' does not fit.*at most 65504"):
        methods.prmq(net, split, half_precision=True, **options)


def test_the_smallest_weights_of_all_layers_together_go():
    inner = keras.Sequential([keras.Input((4, 4, 2)), layers.DepthwiseConv2D(2, name="depth")])
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), inner, layers.Flatten(), layers.Dense(4), layers.Dense(3)]
    )
    depth, wide, last = (w for w in model.trainable_variables if w.name == "kernel")
    depth.assign(np.full(depth.shape, 10.0))
    wide.assign(np.full(wide.shape, 0.001))
    last.assign(np.full(last.shape, 1.0))
    share = (18 * 4 + 12) / (8 + 18 * 4 + 12)  # the two Dense layers
    methods.prune_and_draw(model, share, seed=0)
    assert (keras.ops.convert_to_numpy(depth) == 10).all()
    for kernel, fan_in in ((wide, 18), (last, 4)):
        drawn = keras.ops.convert_to_numpy(kernel)
        assert len(np.unique(drawn)) == drawn.size
        assert 0.8 / np.sqrt(fan_in) < np.abs(drawn).max() <= 1 / np.sqrt(fan_in)
    methods.prune_and_draw(model, 1.0, seed=0)
    assert 0.4 < np.abs(keras.ops.convert_to_numpy(depth)).max() <= 1 / 2  # 4 inputs a unit


def test_frozen_kernels_stay_and_count_for_nothing(dropout_net, split):
    first = dropout_net.layers[1]
    first.trainable = False
    result = methods.prmq(dropout_net, split, epochs=1)
    assert np.array_equal(result.layers[1].kernel, first.kernel)
    dropout_net.layers[-1].trainable = False
    with pytest.raises(ValueError, match="model: expected a layer with a kernel"):
        methods.prmq(dropout_net, split, epochs=1)


def test_classes_that_are_not_there_have_no_weight(net):
    """A class that was forgotten whole, and one that the model knows and the split does not."""
    x, y = np.random.default_rng(0).normal(size=(9, 2, 2, 1)), np.arange(9) % 2
    split = by_index(x, y, forget=np.flatnonzero(y == 0), test=(x, y))
    assert models.num_classes(net) == 3
    assert split.num_classes == 2
    seen = []
    look = keras.callbacks.LambdaCallback(on_train_begin=lambda _: seen.append(look.model))
    methods.prmq(net, split, epochs=1, callbacks=[look])
    np.testing.assert_allclose(seen[0].class_weights, [0, 1, 0])


@pytest.mark.parametrize("pruned", [0.0, -0.1, 1.1])
def test_other_shares_are_refused(net, split, pruned):
    with pytest.raises(ValueError, match=r"pruned: expected a share inside \(0, 1\]"):
        methods.prmq(net, split, epochs=1, pruned=pruned)
