"""Sums of gradients: a linear softmax model in float64, and single examples one after the other."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from tfunlearn import data, gradients, models

POWERS = {"identity": lambda g: g, "square": np.square, "abs": np.abs}


def entropy(y, logits):
    return ops.sparse_categorical_crossentropy(y, logits, from_logits=True)


@pytest.fixture
def linear():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


@pytest.fixture
def split():
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(23, 4)).astype("float32"), numbers.integers(0, 3, 23)
    return data.by_index(x, y, forget=[1, 4, 6], test=(x[:3], y[:3]))


def _by_hand(model, x, y):
    """The gradient of each example, ``(N, 4, 3)`` and ``(N, 3)``, in float64."""
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    x = x.astype("float64")
    scores = np.exp(x @ kernel + bias)
    errors = scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]
    return x[:, :, None] * errors[:, None, :], errors


@pytest.mark.parametrize("of", POWERS)
@pytest.mark.parametrize("per", ["batch", "example"])
def test_equals_the_formula(linear, split, of, per):
    x, y = split.retain  # 20 examples in batches of 8, 8 and 4
    parts = _by_hand(linear, x, y)
    if per == "batch":
        cuts = [slice(0, 8), slice(8, 16), slice(16, 20)]
        expected = [sum(POWERS[of](part[cut].mean(0)) for cut in cuts) for part in parts]
    else:
        expected = [POWERS[of](part).sum(0) for part in parts]
    stream = data.batches(split, "retain", batch_size=8)
    sums, terms = gradients.gradient_sum(linear, stream, entropy, of=of, per=per)
    assert terms == {"batch": 3, "example": 20}[per]
    for got, want in zip(sums, expected, strict=True):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_squares_depend_on_the_batch_size_per_batch_and_not_per_example(linear, split):
    def trace(per, size):
        stream = data.batches(split, "retain", batch_size=size)
        sums, terms = gradients.gradient_sum(linear, stream, entropy, of="square", per=per)
        return sum(part.sum() for part in sums) / terms

    assert trace("example", 20) == pytest.approx(trace("example", 3), rel=1e-5)
    assert trace("batch", 1) == pytest.approx(trace("example", 20), rel=1e-5)
    assert trace("batch", 20) < 0.5 * trace("batch", 1)


def _nets():
    body = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            keras.layers.BatchNormalization(),
        ]
    )
    dense = [keras.layers.Flatten(), keras.layers.Dense(5, "tanh"), keras.layers.Dense(3)]
    yield "nested", keras.Sequential([keras.Input((6, 6, 3)), body, *dense])
    yield "small_cnn", models.small_cnn((6, 6, 3), 3, seed=0)


@pytest.mark.parametrize("name", ["nested", "small_cnn"])
@pytest.mark.parametrize("of", ["square", "abs"])
def test_equals_one_example_after_the_other(name, of):
    net = dict(_nets())[name]
    numbers = np.random.default_rng(0)
    for weight in net.weights:  # also batch statistics and scales away from 0 and 1
        weight.assign(weight + 0.3 * numbers.random(weight.shape).astype("float32") - 0.1)
    x, y = numbers.normal(size=(11, 6, 6, 3)).astype("float32"), np.arange(11) % 3
    singles = [(x[i : i + 1], y[i : i + 1]) for i in range(11)]
    expected, _ = gradients.gradient_sum(net, singles, entropy, of=of, per="batch")
    for chunk in (None, 4):
        batches = [(x[:8], y[:8]), (x[8:], y[8:])]
        options = {"of": of, "per": "example", "chunk": chunk}
        sums, terms = gradients.gradient_sum(net, batches, entropy, **options)
        assert terms == 11
        for got, want in zip(sums, expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6 * np.abs(want).max())


def test_rows_are_the_gradients_of_single_examples(linear, split):
    x, y = split.retain
    expected = np.concatenate([part.reshape(20, -1) for part in _by_hand(linear, x, y)], axis=1)
    stream = data.batches(split, "retain", batch_size=8)
    rows = np.stack(list(gradients.per_example(linear, stream, entropy, chunk=3)))
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)


def test_frozen_weights_have_no_gradient_and_nothing_is_changed():
    net = dict(_nets())["nested"]
    net.layers[0].layers[0].trainable = False
    before = [weight.tobytes() for weight in net.get_weights()]
    x, y = np.ones((4, 6, 6, 3), "float32"), np.arange(4) % 3
    sums, _ = gradients.gradient_sum(net, [(x, y)], entropy, of="square", per="example")
    assert [part.shape for part in sums] == [tuple(w.shape) for w in net.trainable_variables]
    assert len(sums) == 6
    assert before == [weight.tobytes() for weight in net.get_weights()]
    net.trainable = False
    with pytest.raises(ValueError, match=r"model: expected at least one weight.*none of 10"):
        gradients.gradient_sum(net, [(x, y)], entropy)


@pytest.mark.parametrize("per", ["batch", "example"])
def test_one_trace_a_call(linear, split, per):
    traces = []

    def counted(y, logits):
        traces.append(1)
        return entropy(y, logits)

    stream = data.batches(split, "retain", batch_size=8)
    gradients.gradient_sum(linear, stream, counted, of="square", per=per)
    assert len(traces) == 1


def test_many_batches_are_added_in_float64(linear):
    x = np.full((1, 4), 1.0, "float32")
    sums, _ = gradients.gradient_sum(linear, [(x, np.array([0]))] * 100, entropy)
    expected = [100 * part[0] for part in _by_hand(linear, x, np.array([0]))]
    for got, want in zip(sums, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "cube"}, "of: expected 'identity', 'square' or 'abs'. Received: 'cube'"),
        ({"per": "class"}, "per: expected 'batch' or 'example'. Received: 'class'"),
        ({"jit_compile": "yes"}, "jit_compile: expected True, False or 'auto'"),
        ({"chunk": 0, "per": "example", "of": "abs"}, "chunk: expected a whole number"),
        ({"loss": lambda y, z: z}, r"loss: .*Expected: shape \(2,\). Received: shape \(2, 3\)"),
        ({"batches": []}, "batches: expected at least one batch"),
    ],
)
def test_other_options_are_refused(linear, options, message):
    own = {"batches": [(np.ones((2, 4), "float32"), np.arange(2))], "loss": entropy, **options}
    with pytest.raises(ValueError, match=message):
        gradients.gradient_sum(linear, **own)


def test_sums_that_are_not_finite_are_an_error(linear):
    batch = np.full((2, 4), np.inf, "float32"), np.arange(2)
    with pytest.raises(RuntimeError, match=r"gradients: expected finite.*2 of 2 weights.*kernel"):
        gradients.gradient_sum(linear, [batch], entropy)


@pytest.mark.slow
def test_all_of_this_on_jax():
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not slow", __file__],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
