"""Bounds on epsilon from counts, by hand and against scipy's binomial tests."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binom

from tfunlearn.attacks.epsilon import epsilon_at, epsilon_from_counts, upper_ends


def test_by_hand():
    # no error in 10: the upper end is 1 - .025 ** (1 / 10) = .30850
    end = 1 - 0.025**0.1
    found = epsilon_from_counts(0, 10, 0, 10, delta=0.01)
    assert found.value == pytest.approx(math.log((0.99 - end) / end))
    assert found.ceiling == found.value
    assert (found.false_positives, found.negatives) == (0, 10)
    assert (found.false_negatives, found.positives) == (0, 10)
    assert (found.delta, found.level) == (0.01, 0.95)
    assert found.threshold is found.above is found.chosen_on is found.seed is None


@pytest.mark.parametrize(
    ("counts", "delta", "level"),
    [
        ((3, 40, 5, 60), 1e-5, 0.95),
        ((0, 100, 70, 100), 0.0, 0.95),
        ((70, 100, 0, 100), 0.0, 0.9),
        ((1, 1000, 200, 500), 0.1, 0.99),
        ((50, 100, 50, 100), 1e-5, 0.95),
        ((7, 7, 0, 9), 1e-5, 0.95),
    ],
)
def test_against_scipy(counts, delta, level):
    false_positives, negatives, false_negatives, positives = counts
    ends = []
    for errors, trials in ((false_positives, negatives), (false_negatives, positives)):
        tail = (1 - level) / 2
        ends.append(1.0 if errors == trials else beta.isf(tail, errors + 1, trials - errors))
        if errors < trials:
            assert binom.cdf(errors, trials, ends[-1]) == pytest.approx(tail)
    fpr, fnr = ends
    expected = 0.0
    for one, other in ((fpr, fnr), (fnr, fpr)):
        if 1 - delta - one > 0:
            expected = max(expected, math.log(1 - delta - one) - math.log(other))
    found = epsilon_from_counts(*counts, delta=delta, level=level)
    assert found.value == pytest.approx(expected, rel=1e-10)
    assert found.value <= found.ceiling


def test_both_directions_count():
    """Few false positives with many false negatives, and the reverse, show the same."""
    assert epsilon_from_counts(0, 100, 50, 100).value == epsilon_from_counts(50, 100, 0, 100).value
    assert epsilon_from_counts(0, 100, 50, 100).value > 2


def test_more_trials_more_errors_and_a_higher_level():
    values = [epsilon_from_counts(0, trials, 0, trials).value for trials in (10, 100, 1000)]
    assert values == sorted(values)
    values = [epsilon_from_counts(errors, 50, errors, 50).value for errors in (0, 5, 25)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0.0
    values = [epsilon_from_counts(0, 50, 0, 50, level=level).value for level in (0.5, 0.95, 0.999)]
    assert values == sorted(values, reverse=True)


def test_the_parts():
    np.testing.assert_allclose(upper_ends(5, 0.9)[:5], beta.isf(0.05, range(1, 6), range(5, 0, -1)))
    assert upper_ends(5, 0.9)[5] == 1.0
    assert epsilon_at(0.2, 0.4, 0.0) == pytest.approx(math.log(0.6 / 0.2))
    assert epsilon_at(0.9, 0.9, 0.2) == 0.0


@pytest.mark.parametrize(
    ("counts", "options", "error", "words"),
    [
        ((11, 10, 0, 10), {}, ValueError, "false_positives must be some of the negatives"),
        ((0, 10, 11, 10), {}, ValueError, "false_negatives must be some of the positives"),
        ((0, 0, 0, 10), {}, ValueError, "negatives must be at least 1"),
        ((-1, 10, 0, 10), {}, ValueError, "false_positives must be at least 0"),
        ((0.5, 10, 0, 10), {}, TypeError, "false_positives must be a whole number"),
        (
            (0, 10, 0, 10),
            {"delta": 1.0},
            ValueError,
            r"delta must be a probability. Expected \[0, 1",
        ),
        ((0, 10, 0, 10), {"delta": math.nan}, ValueError, "delta must be a probability"),
        ((0, 10, 0, 10), {"level": 1.0}, ValueError, "level must be"),
    ],
)
def test_bad_arguments_are_refused(counts, options, error, words):
    with pytest.raises(error, match=words):
        epsilon_from_counts(*counts, **options)
