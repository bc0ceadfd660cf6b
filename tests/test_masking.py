"""Held weights stay to the last bit, whatever the optimizer does; the others train as ever."""

import keras
import numpy as np
import pytest

from tfunlearn import masking

X, Y = np.random.default_rng(0).normal(size=(8, 3)).astype("float32"), np.arange(8) % 2


def _net(**options):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, **options)])
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1)
    net.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return net


def test_held_entries_keep_their_bytes_under_momentum_and_decay():
    net, free = _net(), np.array([[True, False], [False, False], [True, True]])
    before = net.get_weights()
    masking.train_only(net, [free, np.array([False, True])])
    net.fit(X, Y, epochs=3, verbose=0)
    kernel, bias = net.get_weights()
    assert np.array_equal(kernel[~free], before[0][~free])
    assert (kernel[free] != before[0][free]).all()
    assert bias[0] == before[1][0]
    assert bias[1] != before[1][1]


def test_free_entries_train_as_without_masks():
    masked, plain = _net(), _net()
    plain.set_weights(masked.get_weights())
    masking.train_only(masked, [np.ones((3, 2), bool), np.ones(2, bool)])
    for net in (masked, plain):
        net.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for left, right in zip(masked.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-7)


def test_a_weights_own_constraint_comes_first():
    net = _net(kernel_constraint=keras.constraints.NonNeg())
    net.set_weights([np.full((3, 2), 0.01, "float32"), np.zeros(2, "float32")])
    masking.train_only(net, [np.array([[True, False]] * 3), np.ones(2, bool)])
    net.fit(X, Y, epochs=5, verbose=0)
    kernel = net.get_weights()[0]
    assert (kernel >= 0).all()
    assert (kernel[:, 1] == np.float32(0.01)).all()


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([np.ones((3, 2), bool)], r"one mask per trainable variable.*Expected: 2. Received: 1"),
        ([np.ones((2, 2), bool), np.ones(2, bool)], r"held: .*Expected: \(3, 2\)"),
        ([np.zeros((3, 2), bool), np.zeros(2, bool)], "at least one entry to train"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        masking.train_only(_net(), masks)


def test_a_refused_call_leaves_no_mask_behind():
    net = _net()
    with pytest.raises(ValueError, match="held: "):
        masking.train_only(net, [np.zeros((3, 2), bool), np.ones(3, bool)])
    assert [weight.constraint for weight in net.weights] == [None, None]


def test_a_second_call_replaces_the_masks_of_the_first():
    net = _net(kernel_constraint=keras.constraints.NonNeg())
    before = net.get_weights()
    masking.train_only(net, [np.zeros((3, 2), bool), np.array([True, False])])
    masking.train_only(net, [np.ones((3, 2), bool), np.array([False, False])])
    net.fit(X, Y, verbose=0)
    kernel, bias = net.get_weights()
    assert (kernel >= 0).all()
    assert (kernel != before[0]).any()
    assert np.array_equal(bias, before[1])
