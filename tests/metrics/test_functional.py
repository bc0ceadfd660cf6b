"""Metrics against numbers worked out by hand and against other people's implementations."""

import math

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, log_loss

from tfunlearn import metrics

LABELS = [0, 2, 1, 1]
LOGITS = [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.0]]


def test_cross_entropy_by_hand():
    expected = [
        math.log(math.exp(2) + 2) - 2,
        math.log(3),
        math.log(1 + math.exp(3) + math.exp(1)) - 3,
        math.log(math.exp(1) + 2),
    ]
    np.testing.assert_allclose(metrics.cross_entropy(LABELS, LOGITS), expected, rtol=1e-14)


def test_cross_entropy_against_scipy_and_scikit_learn():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(scale=20, size=(200, 5)), rng.integers(0, 5, 200)
    losses = metrics.cross_entropy(labels, logits)
    np.testing.assert_allclose(losses, -log_softmax(logits, axis=1)[range(200), labels], atol=1e-12)
    mild = logits / 20
    probabilities = np.exp(mild) / np.exp(mild).sum(axis=1, keepdims=True)
    expected = log_loss(labels, probabilities, labels=range(5))
    assert metrics.cross_entropy(labels, mild).mean() == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_of_huge_logits_is_finite_and_not_negative():
    losses = metrics.cross_entropy([0, 1], [[1e6, -1e6], [1e6, -1e6]])
    assert losses.tolist() == [0.0, 2e6]
    assert (
        metrics.cross_entropy(np.zeros(1, "int32"), np.ones((1, 2), "float32")).dtype == "float64"
    )


def test_accuracy_by_hand_and_against_scikit_learn():
    assert metrics.accuracy(LABELS, LOGITS) == 0.5  # ties go to class 0
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(100, 4)), rng.integers(0, 4, 100)
    assert metrics.accuracy(labels, logits) == accuracy_score(labels, logits.argmax(axis=1))


def test_the_notebooks_own_numbers():
    assert metrics.utility_preservation(0.9002, 0.9602) == pytest.approx(0.93751, abs=1e-5)
    assert metrics.performance_drop(0.9002, 0.9602) == pytest.approx(0.06)
    assert metrics.performance_drop(0.9, 0.8) == pytest.approx(-0.1)
    assert metrics.forgetting_effectiveness(LABELS, LOGITS) == metrics.accuracy(LABELS, LOGITS)


@pytest.mark.parametrize("function", [metrics.cross_entropy, metrics.accuracy])
@pytest.mark.parametrize(
    ("labels", "logits", "error", "words"),
    [
        ([[0], [1]], np.zeros((2, 3)), ValueError, r"Expected shape \(2,\). Received \(2, 1\)"),
        ([0, 1], np.zeros(2), ValueError, r"Expected shape \(N, C\).*Received \(2,\)"),
        ([0, 0], np.zeros((2, 1)), ValueError, "C >= 2"),
        ([0, 1, 1], np.zeros((2, 3)), ValueError, "Received 3 labels and 2 logit rows"),
        ([], np.zeros((0, 3)), ValueError, "at least one"),
        ([0.0, 1.0], np.zeros((2, 3)), TypeError, "integer dtype. Received float64"),
        ([0, 3], np.zeros((2, 3)), ValueError, r"Expected \[0, 3\). Received values from 0 to 3"),
        ([-1, 0], np.zeros((2, 3)), ValueError, "from -1 to 0"),
        ([0, 1], [[0, 0], [np.nan, 0]], ValueError, "in 1 of 2 rows, first in row 1"),
        ([0, 1], [[np.inf, 0], [0, 0]], ValueError, "finite"),
    ],
)
def test_bad_arrays_are_refused(function, labels, logits, error, words):
    with pytest.raises(error, match=words):
        function(labels, logits)


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan, 96.0])
def test_bad_fractions_are_refused(bad):
    for function in (metrics.utility_preservation, metrics.performance_drop):
        with pytest.raises(ValueError, match="unlearned_test_accuracy must be a fraction"):
            function(bad, 0.5)
        with pytest.raises(ValueError, match="original_test_accuracy must be a fraction"):
            function(0.5, bad)
    with pytest.raises(ValueError, match="above 0"):
        metrics.utility_preservation(0.5, 0.0)
