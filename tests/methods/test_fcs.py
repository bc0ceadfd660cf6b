"""FCS against its three formulas in float64."""

import math

import keras
import numpy as np
import pytest

from tfunlearn import data, methods, models

RATE, T = 0.2, 1.5


@pytest.fixture
def split():
    numbers = np.random.default_rng(1)
    x, y = numbers.normal(size=(12, 4)).astype("float32"), np.arange(12) % 3
    return data.by_index(x, y, forget=[0, 4, 9, 11], test=(x[:3], y[:3]))


@pytest.fixture
def linear():
    head = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((4,)), head])
    numbers = np.random.default_rng(2)
    model.set_weights([numbers.normal(size=weight.shape) for weight in model.weights])
    model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    return model


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


class ByHand:
    """A linear model in float64, and one gradient step of each kind."""

    def __init__(self, model):
        self.weights = [weight.astype("float64") for weight in model.get_weights()]

    def scores(self, x):
        return x.astype("float64") @ self.weights[0] + self.weights[1]

    def step(self, x, slopes, rate):
        slopes = slopes / len(x)
        self.weights[0] = self.weights[0] - rate * x.T.astype("float64") @ slopes
        self.weights[1] = self.weights[1] - rate * slopes.sum(0)

    def uniform(self, x, rate):
        self.step(x, softmax(self.scores(x)) - 1 / 3, rate)

    def contrast(self, x, others, rate):
        other = self.scores(others)  # nothing flows back through these
        nearness = softmax(self.scores(x) @ other.T / T)
        self.step(x, (nearness - 1 / len(others)) @ other / T, rate)

    def strengthen(self, x, y, rate):
        self.step(x, softmax(self.scores(x)) - np.eye(3)[y], rate)

    def agrees(self, model):
        for got, want in zip(model.get_weights(), self.weights, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)


def test_equals_the_formulas(linear, split):
    expected = ByHand(linear)
    expected.uniform(split.forget[0], 2.0 * RATE)
    pairs = data.pairs(split, 16, "forget", seed=6)
    for epoch in range(3):
        for x, _ in pairs.as_numpy_iterator():
            assert len(x["forget"]) == len(x["retain"]) == 4
            fall = 0.5 * (1 + math.cos(math.pi * epoch / 3))
            expected.contrast(x["forget"], x["retain"], 0.5 * RATE * fall)
        expected.strengthen(*split.retain, RATE)
    result = methods.fcs(
        linear,
        split,
        seed=6,
        epochs=3,
        batch_size=16,
        optimizer=keras.optimizers.SGD(RATE),
        uniform_scale=2.0,
        contrast_scale=0.5,
        temperature=T,
    )
    expected.agrees(result)


def test_the_class_alone_tells_the_three_passes_by_their_roles(linear, split):
    expected = ByHand(linear)
    student = models.logits_model(linear)
    fcs = methods.FCS(student, temperature=T)
    fcs.compile(keras.optimizers.SGD(RATE))
    for role in ("forget", "retain"):
        fcs.fit(data.batches(split, role, batch_size=16, named=True), shuffle=False, verbose=0)
    expected.uniform(split.forget[0], RATE)
    expected.strengthen(*split.retain, RATE)
    expected.agrees(student)
    history = fcs.fit(data.pairs(split, 8, seed=1), shuffle=False, verbose=0).history
    for x, _ in data.pairs(split, 8, seed=1).as_numpy_iterator():
        expected.contrast(x["forget"], x["retain"], RATE)
    expected.agrees(student)
    assert {"forget_loss", "forget_accuracy", "retain_accuracy"} <= set(history)


def test_each_kind_of_pass_has_an_optimizer_of_its_own(linear, split):
    """One optimizer for all would carry the contrast's large moments into the retain passes."""
    steps = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: steps.append(int(look.model.optimizer.iterations.numpy()))
    )
    methods.fcs(linear, split, epochs=2, batch_size=4, callbacks=[look])
    assert steps == [2, 4]  # of the passes over the retain set


def test_adam_by_default(linear, split):
    used = []
    look = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: used.append(look.model.optimizer)
    )
    result = methods.fcs(models.copy(linear), split, epochs=1, callbacks=[look])
    assert getattr(result, "optimizer", None) is None
    assert isinstance(used[0], keras.optimizers.Adam)
    assert float(used[0].learning_rate.numpy()) == pytest.approx(3e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature: expected a number above 0. Received: -1.0"),
        ({"uniform_scale": -1.0}, "uniform_scale: expected a number of at least 0"),
        ({"contrast_scale": "1"}, "contrast_scale: expected a number of at least 0"),
        ({"optimizer": "sgd", "learning_rate": 0.1}, "learning_rate: .* Received both"),
    ],
)
def test_other_options_are_refused(linear, split, options, message):
    with pytest.raises(ValueError, match=message):
        methods.fcs(linear, split, **options)


def test_a_schedule_is_refused(linear, split):
    falling = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9))
    with pytest.raises(ValueError, match=r"optimizer: .*constant learning rate.*ExponentialDecay"):
        methods.fcs(linear, split, optimizer=falling)
