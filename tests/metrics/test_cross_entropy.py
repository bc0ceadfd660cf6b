"""Cross-entropy against numbers worked out by hand and against other people's implementations."""

import math

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from tfunlearn import metrics


def test_by_hand():
    labels = [0, 2, 1, 1]
    logits = [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.0]]
    expected = [
        math.log(math.exp(2) + 2) - 2,
        math.log(3),
        math.log(1 + math.exp(3) + math.exp(1)) - 3,
        math.log(math.exp(1) + 2),
    ]
    np.testing.assert_allclose(metrics.cross_entropy(labels, logits), expected, rtol=1e-14)


def test_against_scipy_and_scikit_learn():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(scale=20, size=(200, 5)), rng.integers(0, 5, 200)
    losses = metrics.cross_entropy(labels, logits)
    np.testing.assert_allclose(losses, -log_softmax(logits, axis=1)[range(200), labels], atol=1e-12)
    mild = logits / 20
    probabilities = np.exp(mild) / np.exp(mild).sum(axis=1, keepdims=True)
    expected = log_loss(labels, probabilities, labels=range(5))
    assert metrics.cross_entropy(labels, mild).mean() == pytest.approx(expected, rel=1e-12)


def test_huge_logits_are_finite_and_not_negative():
    losses = metrics.cross_entropy([0, 1], [[1e6, -1e6], [1e6, -1e6]])
    assert losses.tolist() == [0.0, 2e6]
    assert not np.signbit(losses).any()
    single = metrics.cross_entropy(np.zeros(1, "int32"), np.ones((1, 2), "float32"))
    assert single.dtype == "float64"


def test_a_tiny_loss_keeps_its_digits():
    losses = metrics.cross_entropy([0, 1], [[50.0, 0.0], [0.0, 300.0]])
    np.testing.assert_allclose(losses, [math.exp(-50), math.exp(-300)], rtol=1e-12)
