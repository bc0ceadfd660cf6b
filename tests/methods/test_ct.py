"""Convolution transpose: kernels turned over, then training by the formula."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models

layers = keras.layers


def test_equals_the_formula(net, split, by_hand):
    kernel, bias = net.get_weights()
    turned = np.stack([kernel[:, :, 0, unit].T for unit in range(3)], axis=-1)[:, :, None]
    hand = by_hand([turned, bias], 0.1, weight_decay=0.01)
    for share in (1.0, 0.5 * (1 + np.cos(np.pi / 2))):  # the cosine over two epochs
        hand.rate = 0.1 * share
        hand.step(*split.retain)
    hand.agrees(methods.ct(net, split, epochs=2, batch_size=8))


def _net(*stack, shape=(6, 6, 2)):
    return keras.Sequential([keras.Input(shape), *stack])


def test_every_kind_of_convolution_at_every_depth():
    inner = _net(layers.DepthwiseConv2D(2, depth_multiplier=2, name="depth"), shape=(4, 4, 3))
    model = _net(
        layers.Conv2D(3, 3, name="plain"),
        inner,
        layers.Conv2D(4, 1, name="point"),
        layers.SeparableConv2D(2, 2, name="separable"),
        layers.Conv2DTranspose(2, 3, name="back"),
        layers.Conv2D(2, 3, name="frozen"),
        layers.Flatten(),
        layers.Dense(2, name="head"),
    )
    model.get_layer("frozen").trainable = False
    before = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    changed, same = methods.transpose_kernels(model)
    assert changed == ["plain", "depth", "separable", "back"]
    assert same == ["point", "frozen"]
    for weight in model.weights:
        old = before[weight.path]
        new = keras.ops.convert_to_numpy(weight)
        if weight.path.split("/")[-2] in changed and len(old.shape) == 4:
            old = np.einsum("hw...->wh...", old)
        np.testing.assert_array_equal(new, old, err_msg=weight.path)


def test_twice_is_the_identity():
    model = models.small_cnn(seed=0)
    before = model.get_weights()
    for _ in range(2):
        methods.transpose_kernels(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("kernel", [(2, 1), (3, 2)])
def test_kernels_that_are_not_square_are_refused(kernel):
    model = _net(layers.Conv2D(2, 3, name="square"), layers.Conv2D(2, kernel, name="odd"))
    before = model.get_weights()
    expected = f"layers: only square kernels.*{kernel[0]} x {kernel[1]} in 'odd'"
    with pytest.raises(ValueError, match=expected):
        methods.transpose_kernels(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert methods.transpose_kernels(model, ["square"]) == (["square"], [])


@pytest.mark.parametrize(
    "convolution",
    [
        layers.Conv2D(2, 1, name="conv"),
        layers.Conv2D(2, 3, kernel_initializer="ones", name="conv"),
        layers.Conv2D(2, 3, trainable=False, name="conv"),
    ],
    ids=["1 x 1", "symmetric", "frozen"],
)
def test_nothing_to_transpose_is_an_error(convolution):
    with pytest.raises(ValueError, match=r"changed no kernel.*Received: \['conv'\]"):
        methods.transpose_kernels(_net(convolution))


def test_a_model_without_convolutions_is_refused(dropout_net, split):
    with pytest.raises(ValueError, match="model: expected a two-dimensional convolution"):
        methods.ct(dropout_net, split, epochs=1)


def test_a_training_that_changes_nothing_is_an_error(net, split):
    with pytest.raises(RuntimeError, match="training changed none"):
        methods.ct(net, split, epochs=1, learning_rate=0.0)
