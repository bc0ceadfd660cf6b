"""MSG: the weights of smallest gradient are drawn anew; the others make a tenth of each update."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.data import by_index
from tfunlearn.methods.msg import scaled_updates

layers = keras.layers


def _gradient(weights, x, y):
    flat = x.reshape(len(x), -1).astype("float64")
    scores = np.exp(flat @ weights[0] + weights[1])
    return flat.T @ (scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]) / len(y)


@pytest.mark.parametrize("others", [0.1, 0.5])
def test_equals_the_formula(net, split, by_hand, others):
    kernel, bias = net.get_weights()
    start = by_hand([kernel, bias], 0).weights
    chosen = np.sort(np.random.default_rng(3).permutation(8)[:4])  # as many as there are to forget
    x, y = split.retain
    pull = _gradient(start, x[chosen], y[chosen]) - _gradient(start, *split.forget)
    small = np.zeros(12, bool)
    small[np.argsort(np.abs(pull).reshape(-1))[:4]] = True  # 0.3 of 12
    small = small.reshape(4, 3)
    drawn = np.random.default_rng(3).normal(0, np.sqrt(2 / 12), (4, 3))  # fan-out 2 x 2 x 3
    hand = by_hand([np.where(small, drawn, start[0]), bias], 0.1, weight_decay=0.01)
    for rate in (0.3, 0.15):  # three times the own; to the middle of two epochs and back
        hand.rate, before = rate, hand.weights[0].copy()
        hand.step(x, y)
        part = np.where(small, 1.0, others)
        hand.weights[0] = before + part * (hand.weights[0] - before)
    hand.agrees(methods.msg(net, split, seed=3, epochs=2, batch_size=8, others=others))


@pytest.mark.parametrize(
    "optimizer",
    [keras.optimizers.Adam(0.1), keras.optimizers.SGD(0.1, momentum=0.9)],
    ids=["Adam", "SGD"],
)
def test_it_is_the_update_that_is_scaled(net, split, optimizer):
    """Adam divides a gradient by its own size, so that scaling the gradient would do nothing."""
    steps, scale = {}, np.arange(12).reshape(2, 2, 1, 3) / 10
    for name in ("whole", "part"):
        model = models.copy(net)
        model.compile(type(optimizer).from_config(optimizer.get_config()), net.loss)
        scales = [] if name == "whole" else [(model.weights[0], scale)]
        step = scaled_updates(model, scales)
        assert set(step(*split.retain)) == {"loss"}
        steps[name] = [a - b for a, b in zip(model.get_weights(), net.get_weights(), strict=True)]
    np.testing.assert_allclose(steps["part"][0], scale * steps["whole"][0], atol=1e-6)
    np.testing.assert_allclose(steps["part"][1], steps["whole"][1], atol=1e-7)


def test_weights_that_make_no_part_keep_their_bytes(net, split):
    result = methods.msg(net, split, epochs=3, batch_size=4, others=0.0)
    same = result.get_weights()[0] == net.get_weights()[0]
    assert same.sum() == 12 - round(0.3 * 12)


def test_the_learning_rate_rises_and_falls(net, split):
    rates = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: rates.append(float(look.model.optimizer.learning_rate))
    )
    for epochs in (5, 1):
        methods.msg(net, split, epochs=epochs, learning_rate=0.3, callbacks=[look])
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.2, 0.1, 0.3])


def _changed(model, split):
    """Where the training itself changes nothing: kept weights stand still at ``others=0``."""
    result = methods.msg(model, split, epochs=1, others=0.0)
    return {
        old.path: float(np.mean(np.not_equal(old, new)))
        for old, new in zip(model.weights, result.weights, strict=True)
        if old.name == "kernel"
    }


def _compiled(*stack):
    model = keras.Sequential([keras.Input((4, 4, 2)), *stack])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss)
    return model


@pytest.fixture
def images():
    x, y = np.random.default_rng(0).normal(size=(20, 4, 4, 2)), np.arange(20) % 3
    return by_index(x.astype("float32"), y, forget=range(5), test=(x, y))


def test_convolutions_at_any_depth_or_else_every_kernel(images):
    inner = keras.Sequential([keras.Input((3, 3, 4)), layers.DepthwiseConv2D(2, name="inner")])
    model = _compiled(
        layers.Conv2D(4, 2, name="stem"),
        inner,
        layers.Conv2D(2, 2, trainable=False, name="frozen"),
        layers.Flatten(),
        layers.Dense(3, name="head"),
    )
    shares = {path.split("/")[-2]: share for path, share in _changed(model, images).items()}
    assert shares == pytest.approx(
        {"stem": round(0.3 * 32) / 32, "inner": round(0.3 * 16) / 16, "frozen": 0.0, "head": 1.0}
    )  # the head trains in full
    dense = _compiled(layers.Flatten(), layers.Dense(8), layers.Dense(3))
    shares = list(_changed(dense, images).values())
    assert shares == pytest.approx([round(0.3 * 256) / 256, round(0.3 * 24) / 24])


def test_draws_are_normal_with_the_fan_out():
    x = np.random.default_rng(0).normal(size=(6, 2, 2, 64)).astype("float32")
    split = by_index(x, np.arange(6) % 3, forget=[0, 1], test=(x, np.arange(6) % 3))
    stack = [layers.Conv2D(128, 1), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((2, 2, 64)), *stack])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(4e-5), loss)
    result = methods.msg(model, split, epochs=1, share=1.0)
    kernel = result.get_weights()[0]
    assert kernel.std() == pytest.approx(np.sqrt(2 / 128), rel=0.05)


@pytest.mark.parametrize(
    "options", [{"share": 0.0}, {"share": 1.1}, {"others": -0.1}, {"others": 2.0}], ids=str
)
def test_other_numbers_are_refused(net, split, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        methods.msg(net, split, epochs=1, **options)
