"""Bounds on epsilon from scores: halves recomputed by loops, and known answers under no leak."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import beta

from tfunlearn.attacks.epsilon import epsilon_from_counts
from tfunlearn.attacks.epsilon_halves import epsilon_lower_bound, epsilon_lower_bounds


def best_by_loops(positive, negative):
    """Every threshold between two values, both directions: the largest bound, then the lead."""
    values = sorted({*positive, *negative})
    found = []
    for low, high in itertools.pairwise(values):
        threshold = low + (high - low) / 2
        for above in (True, False):
            missed = sum((score >= threshold) != above for score in positive)
            alarms = sum((score >= threshold) == above for score in negative)
            bound = epsilon_from_counts(alarms, len(negative), missed, len(positive)).value
            lead = 1 - missed / len(positive) - alarms / len(negative)
            found.append((bound + 1e-9 * lead, -threshold, above))
    _, threshold, above = max(found)
    return -threshold, above


@pytest.mark.parametrize("shift", [0.0, 1.0, -2.0])
def test_against_loops(shift):
    rng = np.random.default_rng(0)
    unlearned = np.round(rng.normal(shift, 1, (24, 6)), 1)
    retrained = np.round(rng.normal(0, 1, (31, 6)), 1)
    found = epsilon_lower_bounds(unlearned, retrained, seed=3)
    halves = np.random.default_rng(3)
    mine, others = halves.permutation(24), halves.permutation(31)
    for x in range(6):
        threshold, above = best_by_loops(unlearned[mine[:12], x], retrained[others[:15], x])
        assert found.thresholds[x] == pytest.approx(threshold)
        assert found.above[x] == above
        missed = sum((unlearned[mine[12:], x] >= threshold) != above)
        alarms = sum((retrained[others[15:], x] >= threshold) == above)
        assert (found.false_negatives[x], found.false_positives[x]) == (missed, alarms)
        expected = epsilon_from_counts(alarms, 16, missed, 12)
        assert found.values[x] == pytest.approx(expected.value)
        assert found.ceiling == pytest.approx(expected.ceiling)
    assert (found.positives, found.negatives, found.chosen_on) == (12, 16, (12, 15))
    assert (found.examples, found.delta, found.level, found.seed) == (6, 1e-5, 0.95, 3)


def test_one_list_of_scores_is_one_column():
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(1, 1, 40), rng.normal(0, 1, 50)
    one = epsilon_lower_bound(positive, negative, seed=2, level=0.9, delta=0.01)
    column = epsilon_lower_bounds(
        positive[:, None], negative[:, None], seed=2, level=0.9, delta=0.01
    )
    assert one.value == column.values[0]
    assert one.ceiling == column.ceiling
    assert (one.threshold, one.above) == (column.thresholds[0], column.above[0])
    assert (one.false_positives, one.false_negatives) == (
        column.false_positives[0],
        column.false_negatives[0],
    )
    assert (one.negatives, one.positives, one.chosen_on) == (25, 20, (20, 25))
    assert (one.level, one.delta, one.seed) == (0.9, 0.01, 2)


def test_sides_apart_reach_the_ceiling_in_either_direction():
    side = np.linspace(0, 1, 40)
    for shift in (5.0, -5.0):
        found = epsilon_lower_bound(side + shift, side)
        assert found.above == (shift > 0)
        end = 1 - 0.025 ** (1 / 20)
        assert found.value == pytest.approx(math.log((1 - 1e-5 - end) / end))
        assert found.value == found.ceiling
        assert (found.false_positives, found.false_negatives) == (0, 0)


def test_scores_that_never_vary_show_nothing():
    found = epsilon_lower_bound(np.ones(20), np.ones(20))
    assert found.value == 0.0


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_no_leak_is_seldom_called_one(level):
    rng = np.random.default_rng(0)
    unlearned, retrained = rng.normal(0, 1, (2, 40, 2000))
    found = epsilon_lower_bounds(unlearned, retrained, level=level)
    assert np.mean(found.values > 0) <= 1 - level


def test_choosing_and_counting_on_the_same_models_would_call_many():
    rng = np.random.default_rng(0)
    unlearned, retrained = rng.normal(0, 1, (2, 100, 200))
    thresholds = np.sort(np.concatenate([unlearned, retrained]), axis=0)[:, None]
    missed = (unlearned < thresholds).sum(axis=1)
    alarms = (retrained >= thresholds).sum(axis=1)
    ends = np.append(beta.isf(0.1, np.arange(1, 101), np.arange(100, 0, -1)), 1.0)
    shown = np.zeros(200, dtype=bool)
    for fpr, fnr in ((alarms, missed), (100 - alarms, 100 - missed)):
        shown |= (ends[fpr] + ends[fnr] < 1).any(axis=0)  # then epsilon is above 0
    assert shown.mean() > 0.4  # 0.2 is what the level allows
    halved = epsilon_lower_bounds(unlearned, retrained, level=0.8)
    assert np.mean(halved.values > 0) <= 0.2


def test_a_leak_is_found_and_stays_below_the_truth():
    """Randomised response with epsilon log 4: scores 1 with probability .8 and .2."""
    rng = np.random.default_rng(0)
    unlearned = (rng.random((400, 300)) < 0.8) + 0.0
    retrained = (rng.random((400, 300)) < 0.2) + 0.0
    values = epsilon_lower_bounds(unlearned, retrained, delta=0.0).values
    assert np.median(values) > 0.9
    assert np.mean(values > math.log(4)) <= 0.05


def test_the_seed_makes_the_halves():
    rng = np.random.default_rng(0)
    unlearned, retrained = rng.normal(1, 1, (32, 50)), rng.normal(0, 1, (32, 50))
    values = epsilon_lower_bounds(unlearned, retrained, seed=1).values
    np.testing.assert_array_equal(epsilon_lower_bounds(unlearned, retrained, seed=1).values, values)
    other = epsilon_lower_bounds(unlearned, retrained, seed=2).values
    assert (other != values).any()
    moved = epsilon_lower_bounds(4 * unlearned - 8, 4 * retrained - 8, seed=1).values
    np.testing.assert_array_equal(moved, values)
    turned = epsilon_lower_bounds(-unlearned, -retrained, seed=1).values
    assert np.mean(turned != values) < 0.1  # equally good thresholds are met in the other order


def test_the_least_number_of_trials():
    side = np.linspace(0, 1, 11)
    assert epsilon_lower_bound(side + 5, side).ceiling > 0
    with pytest.raises(ValueError, match=r"positive_scores must hold enough trials.*least 11.*10"):
        epsilon_lower_bound(side[1:] + 5, side)
    with pytest.raises(ValueError, match="negative_scores must hold enough trials"):
        epsilon_lower_bound(side + 5, side[1:])
    with pytest.raises(ValueError, match=r"level 0.99.*Expected at least 15"):
        epsilon_lower_bound(side + 5, side, level=0.99)


@pytest.mark.parametrize(
    ("unlearned", "retrained", "options", "words"),
    [
        (np.ones((10, 2)), np.ones((20, 2)), {}, "unlearned must hold enough trials"),
        (np.ones((20, 2)), np.ones((20, 3)), {}, "retrained must hold the examples of unlearned"),
        (np.full((20, 1), np.nan), np.ones((20, 1)), {}, "unlearned must be finite"),
        (np.ones(20), np.ones(20), {}, r"Expected shape \(models, examples\)"),
        (np.ones((20, 1)), np.ones((20, 1)), {"seed": -1}, "seed"),
        (np.ones((20, 1)), np.ones((20, 1)), {"delta": -0.1}, "delta must be a probability"),
        (np.ones((20, 1)), np.ones((20, 1)), {"level": 95}, "level must be"),
    ],
)
def test_bad_arguments_are_refused(unlearned, retrained, options, words):
    with pytest.raises(ValueError, match=words):
        epsilon_lower_bounds(unlearned, retrained, **options)
