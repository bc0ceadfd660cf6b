"""Margins: by hand, against scipy, where probabilities have nothing left to say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from tfunlearn import metrics


def test_by_hand():
    found = metrics.margins([0, 1, 2], [[2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [1.0, 2.0, 4.0]])
    expected = [2 - math.log(2), -math.log(math.exp(2) + 1), 4 - math.log(math.e + math.exp(2))]
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert found.dtype == "float64"


def test_against_scipy_and_as_the_log_odds_of_the_probability():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(scale=3, size=(300, 7)), rng.integers(0, 7, 300)
    found = metrics.margins(labels, logits)
    loop = [z[y] - logsumexp(np.delete(z, y)) for z, y in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(found, loop, rtol=1e-12, atol=1e-12)
    p = softmax(logits, axis=1)[range(300), labels]
    np.testing.assert_allclose(found, np.log(p / (1 - p)), rtol=1e-7)


def test_of_two_classes_it_is_the_difference():
    assert metrics.margins([0, 1], [[3.0, 5.5], [3.0, 5.5]]).tolist() == [-2.5, 2.5]


def test_extreme_logits_stay_apart_where_probabilities_are_equal():
    logits = np.array([[1e4, -1e4, 0.0], [1e3, -1e4, 0.0]])
    assert (softmax(logits, axis=1)[0] == softmax(logits, axis=1)[1]).all()
    assert metrics.margins([0, 0], logits).tolist() == [1e4, 1e3]
    assert metrics.margins([1, 1], logits).tolist() == [-2e4, -1.1e4]


def test_it_is_taken_in_float64_whatever_the_dtype():
    logits = np.array([[8.0, 0.5, 0.25]], "float16")
    expected = 8 - math.log(math.exp(0.5) + math.exp(0.25))
    assert metrics.margins([0], logits)[0] == pytest.approx(expected, rel=1e-14)


def test_clip():
    logits = [[500.0, 0.0], [3.0, 0.0], [0.0, 500.0]]
    assert metrics.margins([0, 0, 0], logits, clip=100).tolist() == [100.0, 3.0, -100.0]
    for bad in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"clip must.*Expected a number above 0"):
            metrics.margins([0, 0, 0], logits, clip=bad)


@given(seed=st.integers(0, 1000), shift=st.floats(-1e3, 1e3), classes=st.integers(2, 6))
@settings(deadline=None)
def test_a_shift_of_all_logits_changes_nothing_and_at_most_one_class_is_above_0(
    seed, shift, classes
):
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=5, size=(1, classes)) - 10
    every = [metrics.margins([label], logits)[0] for label in range(classes)]
    moved = [metrics.margins([label], logits - 1100 + shift)[0] for label in range(classes)]
    np.testing.assert_allclose(moved, every, atol=1e-9)
    assert sum(margin > 0 for margin in every) <= 1
    assert int(np.argmax(every)) == int(logits.argmax())
