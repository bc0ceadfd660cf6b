"""The bad teacher against its formula in float64, the paper's and the one of the authors' code."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods, models

RATE = 0.3


@pytest.fixture
def split():
    numbers = np.random.default_rng(1)
    x, y = numbers.normal(size=(24, 4)).astype("float32"), np.arange(24) % 3
    return data.by_index(x, y, forget=[0, 4, 9, 11], test=(x[:3], y[:3]))


@pytest.fixture
def linear():
    head = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((4,)), head])
    numbers = np.random.default_rng(2)
    model.set_weights([numbers.normal(size=weight.shape) for weight in model.weights])
    model.compile(keras.optimizers.SGD(RATE), "sparse_categorical_crossentropy")
    return model


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def step(weights, teachers, examples, shares, temperature, factor):
    """One descent step on ``factor sum_role share KL(softmax(t / T) || softmax(s / T))``."""
    moved = [weight.copy() for weight in weights]
    for role, x in examples.items():
        x = x.astype("float64")
        t, s = (softmax((x @ w[0] + w[1]) / temperature) for w in (teachers[role], weights))
        slopes = shares[role] * factor * (s - t) / temperature / len(x)
        moved[0] -= RATE * x.T @ slopes
        moved[1] -= RATE * slopes.sum(0)
    return moved


def in64(model):
    return [weight.astype("float64") for weight in model.get_weights()]


@pytest.mark.parametrize(
    ("reduction", "factor"),
    [("batch", 2.0**2), ("elements", 1 / 3)],
    ids=["paper, with T^2", "code: mean over N x C, without T^2"],
)
def test_equals_the_formula(linear, split, reduction, factor):
    teachers = {"forget": in64(models.reinitialized(linear, seed=5)), "retain": in64(linear)}
    chosen = np.random.default_rng([5, 1]).permutation(20)[:8]  # 0.4 of the retain set
    examples = {"forget": split.forget[0], "retain": split.retain[0][chosen]}
    shares = {"forget": 4 / 12, "retain": 8 / 12}  # of the union
    expected = in64(linear)
    for _ in range(3):
        expected = step(expected, teachers, examples, shares, 2.0, factor)
    result = methods.bad_teacher(
        linear,
        split,
        seed=5,
        epochs=3,
        batch_size=8,  # the whole sample, and the forget set twice
        temperature=2.0,
        retain_fraction=0.4,
        reduction=reduction,
        optimizer=keras.optimizers.SGD(RATE),
    )
    for got, want in zip(result.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_the_class_alone(linear, split):
    teachers = {"forget": in64(models.reinitialized(linear, seed=3)), "retain": in64(linear)}
    bad = methods.BadTeacher(linear, forget_share=0.25, seed=3)
    bad.compile(keras.optimizers.SGD(RATE))
    expected = in64(linear)
    for role in ("forget", "retain"):
        bad.fit(data.batches(split, role, batch_size=20, named=True), shuffle=False, verbose=0)
        shares = {"forget": 0.25, "retain": 0.75}
        examples = {role: getattr(split, role)[0]}
        expected = step(expected, teachers, examples, shares, 1.0, 1.0)
    for got, want in zip(bad.student.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    assert models.weight_distance(linear, bad.student) > 1e-3
    assert linear.trainable


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_statistics_come_from_retain_or_from_nowhere(split, frozen):
    layers = [keras.layers.BatchNormalization(momentum=0.5), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    options = {"epochs": 1, "batch_size": 20, "retain_fraction": 1.0}
    result = methods.bad_teacher(model, split, frozen_statistics=frozen, **options)
    seen = split.retain[0].mean(0)
    mean = result.layers[0].moving_mean.numpy()
    np.testing.assert_allclose(mean, 0 * seen if frozen else 0.5 * seen, atol=1e-6)


def test_an_uncompiled_model_needs_no_optimizer(linear, split):
    used = []
    look = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: used.append(look.model.optimizer)
    )
    bare = models.copy(linear)
    result = methods.bad_teacher(bare, split, callbacks=[look], learning_rate=0.5)
    assert getattr(result, "optimizer", None) is None
    assert isinstance(used[0], keras.optimizers.Adam)
    assert float(used[0].learning_rate.numpy()) == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature: expected a number above 0. Received: 0"),
        ({"retain_fraction": 0.0}, r"retain_fraction: expected a number in \(0, 1\]"),
        ({"retain_fraction": 1.5}, r"retain_fraction: expected a number in \(0, 1\]"),
        ({"reduction": "mean"}, "reduction: expected 'batch' or 'elements'. Received: 'mean'"),
        ({"optimizer": "sgd", "learning_rate": 0.1}, "learning_rate: .* Received both"),
    ],
)
def test_other_options_are_refused(linear, split, options, message):
    with pytest.raises(ValueError, match=message):
        methods.bad_teacher(linear, split, **options)


def test_the_sample_of_a_small_retain_set_is_never_empty(linear, split):
    result = methods.bad_teacher(linear, split, retain_fraction=0.001, epochs=1)
    assert models.weight_distance(linear, result) > 0
