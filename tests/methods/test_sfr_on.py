"""SFR-on against its formula, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.methods.sfr_on import balance

ONE = {"epochs": 1, "batch_size": 8, "optimizer": keras.optimizers.SGD(0.1)}


def gradient(weights, x, y, count=None):
    """Gradient of the mean loss, with examples counted as given, and the losses."""
    flat = x.reshape(len(x), -1).astype("float64")
    scores = np.exp(flat @ weights[0] + weights[1])
    chances = scores / scores.sum(-1, keepdims=True)
    losses = -np.log(chances[np.arange(len(y)), y])
    counts = np.ones(len(y)) if count is None else count(losses)
    errors = (chances - np.eye(3)[y]) * counts[:, None] / len(y)
    return [flat.T @ errors, errors.sum(0)], losses


class Formula:
    """SFR-on with plain descent of rate 0.1, for batches as large as the retain set."""

    def __init__(self, net, split, **own):
        options = {"forget_rate": 0.05, "alpha": 25.0, "every": 5, "power": 0.5, "clip": 7.0}
        self.own = {**options, "threshold": 1.0, "ceiling": np.inf, "slow_rate": 1.0, **own}
        kernel, bias = net.get_weights()
        self.weights = [kernel.reshape(-1, 3).astype("float64"), bias.astype("float64")]
        self.retain, x, y = split.retain, *split.forget
        fisher = [
            [part**2 for part in gradient(self.weights, *data)[0]]
            for data in (split.forget, self.retain)
        ]
        self.masks = [f / r >= self.own["threshold"] for f, r in zip(*fisher, strict=True)]
        self.forget = np.tile(x, (2, 1, 1, 1)), np.tile(y, 2)  # it comes round to fill the batch

    def count(self, losses):
        counts = losses ** -self.own["power"]
        return counts / counts.sum() * len(losses) * (losses < self.own["ceiling"])

    def run(self, steps):
        own = self.own
        for step in range(steps):
            before = [weight.copy() for weight in self.weights]
            if step % own["every"] == 0:
                fall = (1 + np.cos(np.pi * step / steps)) / 2
                parts, _ = gradient(self.weights, *self.forget, self.count)
                parts = [
                    own["alpha"] * fall * p * m for p, m in zip(parts, self.masks, strict=True)
                ]
                norm = np.sqrt(sum((part**2).sum() for part in parts))
                rate = own["forget_rate"] * fall * min(1, own["clip"] / norm)
                self.move([rate * part for part in parts])
            self.move([-0.1 * part for part in gradient(self.weights, *self.retain)[0]])
            kept = own["slow_rate"]
            pairs = zip(self.weights, before, strict=True)
            self.weights = [kept * new + (1 - kept) * old for new, old in pairs]

    def move(self, ways):
        self.weights = [weight + way for weight, way in zip(self.weights, ways, strict=True)]

    def agrees(self, model):
        for got, want in zip(model.get_weights(), self.weights, strict=True):
            np.testing.assert_allclose(got.reshape(want.shape), want, atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "own"),
    [
        (1, {}),
        (1, {"alpha": 0.5}),  # shorter than the clip
        (1, {"clip": np.inf, "threshold": 1e-9, "power": 0.0}),
        (1, {"slow_rate": 0.6}),
        (3, {"every": 2, "alpha": 2.0, "clip": 0.3, "slow_rate": 0.9}),
    ],
)
def test_equals_the_formula(net, split, steps, own):
    expected = Formula(net, split, **own)
    assert own.get("threshold") or all(m.any() and not m.all() for m in expected.masks[:1])
    expected.run(steps)
    options = {"forget_rate": 0.05, "alpha": 25.0, "ceiling": None, **ONE, **own, "epochs": steps}
    if own.get("threshold"):
        options |= {"threshold": None, "clip": None}
    expected.agrees(methods.sfr_on(net, split, **options))


def test_examples_above_the_ceiling_are_left_alone(net, split):
    losses = gradient(Formula(net, split).weights, *split.forget)[1]
    ceiling = float(np.sort(losses)[1:3].mean())
    expected = Formula(net, split, ceiling=ceiling, alpha=0.5)
    expected.run(1)
    options = {"ceiling": ceiling, "alpha": 0.5, "forget_rate": 0.05}
    expected.agrees(methods.sfr_on(net, split, **options, **ONE))


def test_a_forget_step_leaves_the_bytes_outside_the_mask(net, split):
    options = {**ONE, "optimizer": None, "learning_rate": 0.0, "epochs": 3}
    result = methods.sfr_on(net, split, every=1, **options)
    masks = balance(net, split, 1.0, batch_size=8)
    for mask, old, new in zip(masks, net.get_weights(), result.get_weights(), strict=True):
        np.testing.assert_array_equal(old != new, mask)


@pytest.mark.parametrize(("per", "size"), [("batch", 3), ("example", 3)])
def test_the_mask_is_of_mean_squares(net, split, per, size):
    weights, length = Formula(net, split).weights, size if per == "batch" else 1
    fisher = []
    for x, y in (split.forget, split.retain):
        parts = [slice(k, k + length) for k in range(0, len(y), length)]
        squares = [[g**2 for g in gradient(weights, x[p], y[p])[0]] for p in parts]
        fisher.append([np.mean(each, axis=0) for each in zip(*squares, strict=True)])
    masks = balance(net, split, 1.2, per, size)
    for mask, forget, retain in zip(masks, *fisher, strict=True):
        np.testing.assert_array_equal(mask.reshape(forget.shape), forget / retain >= 1.2)


def test_every_kth_step_is_a_forget_step(net, split, monkeypatch):
    seen = []
    original = methods.AdaptiveAscent.train_on_batch

    def counted(self, *arguments, **options):
        seen.append(len(arguments[0]["forget"]))
        return original(self, *arguments, **options)

    monkeypatch.setattr(methods.AdaptiveAscent, "train_on_batch", counted)
    methods.sfr_on(net, split, every=3, epochs=2, batch_size=2)  # 8 steps: the 1st, 4th and 7th
    assert seen == [2, 2, 2]


def test_a_loss_of_0_does_not_take_all_the_weight():
    ascent = methods.AdaptiveAscent(models.mnist_dense(4, 3, seed=0), power=1.0)
    logits = {"forget": np.array([[200, 0, 0], [1e-3, 0, 0]], "float32")}
    y = {"forget": np.array([0, 0])}
    far = np.array(ascent.terms({}, y, logits)["forget"])
    assert far[0] == 0
    assert far[1] < -1e-8


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("every", 0),
        ("every", 1.5),
        ("clip", 0.0),
        ("alpha", -1.0),
        ("forget_rate", -1.0),
        ("power", -0.5),
        ("slow_rate", 0.0),
        ("slow_rate", 1.5),
        ("threshold", 0.0),
        ("threshold", 1e30),
        ("per", "class"),
        ("ceiling", "high"),
    ],
)
def test_other_options_are_refused(net, split, option, value):
    with pytest.raises(ValueError, match=f"{option}: "):
        methods.sfr_on(net, split, epochs=1, **{option: value})


def test_batch_statistics_stay_or_come_from_the_retain_set(split):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            layers.Flatten(),
            layers.BatchNormalization(momentum=0.5),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    frozen, moved = (
        methods.sfr_on(model, split, frozen_statistics=flag, **ONE).layers[1]
        for flag in (True, False)
    )
    np.testing.assert_array_equal(frozen.moving_mean, np.zeros(4))
    mean = split.retain[0].reshape(-1, 4).mean(0)
    np.testing.assert_allclose(moved.moving_mean, 0.5 * mean, atol=1e-6)
