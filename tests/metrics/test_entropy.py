"""Entropy and modified entropy: by hand, against scipy and loops over the published formula."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from tfunlearn import metrics

# logits of the probabilities 1/2, 1/4, 1/4, moved so that they are none themselves
HALVES = np.log([[0.5, 0.25, 0.25]]) + 3


def published(p, label):
    """Song and Mittal's formula, term by term."""
    total = -(1 - p[label]) * math.log(p[label])
    for i, value in enumerate(p):
        if i != label:
            total -= value * math.log(1 - value)
    return total


def of_salun(p, labels):
    """The other quantity that SalUn's evaluation calls by the name."""
    log_p = np.log(p)
    probabilities, logarithms = p.copy(), log_p.copy()
    probabilities[:, labels] = (1 - p)[:, labels]
    logarithms[:, labels] = log_p[:, labels]
    return -(probabilities * logarithms).sum(axis=1)


def test_entropy_by_hand():
    assert metrics.entropy(HALVES)[0] == pytest.approx(1.5 * math.log(2), rel=1e-14)
    assert metrics.entropy(np.zeros((1, 8)))[0] == pytest.approx(math.log(8), rel=1e-14)


def test_entropy_against_scipy():
    logits = np.random.default_rng(0).normal(scale=4, size=(300, 10))
    expected = scipy_entropy(softmax(logits, axis=1), axis=1)
    np.testing.assert_allclose(metrics.entropy(logits), expected, rtol=1e-12)


def test_modified_entropy_by_hand():
    # y = 0: -1/2 log 1/2 - 2 (1/4 log 3/4);  y = 1: -3/4 log 1/4 - 1/2 log 1/2 - 1/4 log 3/4
    right = 0.5 * math.log(2) + 0.5 * math.log(4 / 3)
    wrong = 0.75 * math.log(4) + 0.5 * math.log(2) + 0.25 * math.log(4 / 3)
    found = metrics.modified_entropy([0, 1, 2], np.repeat(HALVES, 3, axis=0))
    np.testing.assert_allclose(found, [right, wrong, wrong], rtol=1e-14)


def test_modified_entropy_against_a_loop():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(scale=3, size=(300, 6)), rng.integers(0, 6, 300)
    p = softmax(logits, axis=1)
    expected = [published(row, label) for row, label in zip(p, labels, strict=True)]
    found = metrics.modified_entropy(labels, logits)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert abs(found - of_salun(p, labels)).max() > 1.0


def test_sure_predictions_tell_right_from_wrong_in_the_modified_entropy_only():
    logits = np.array([[1e4, -1e4, 0.0]] * 3)
    assert metrics.entropy(logits).tolist() == [0.0, 0.0, 0.0]
    # p = (1, 0, 0), 1 - p[0] = e^-1e4: -log p[y] - log(1 - p[0])
    assert metrics.modified_entropy([0, 1, 2], logits).tolist() == [0.0, 3e4, 2e4]


def test_a_small_entropy_keeps_its_digits():
    # p = (1 - e, e) with e = exp(-60): e log(1/e) + e
    e = math.exp(-60)
    assert metrics.entropy([[60.0, 0.0]])[0] == pytest.approx(61 * e, rel=1e-12)
    assert metrics.modified_entropy([0], [[60.0, 0.0]])[0] == pytest.approx(2 * e * e, rel=1e-12)


@given(
    logits=arrays(
        "float64", st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=st.floats(-1e4, -1)
    ),
    label=st.integers(0, 1),
)
@settings(deadline=None)
def test_bounds(logits, label):
    found = metrics.entropy(logits)
    assert ((found >= 0) & (found <= math.log(logits.shape[1]))).all()
    assert not np.signbit(found).any()
    modified = metrics.modified_entropy(np.full(len(logits), label), logits)
    assert np.isfinite(modified).all()
    assert not np.signbit(modified).any()
