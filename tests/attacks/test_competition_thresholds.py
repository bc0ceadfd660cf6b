"""The fast thresholds against loops over every threshold of the published grids."""

import itertools
import math

import numpy as np
import pytest

from tests.attacks.competition_loops import DELTA, by_loops, epsilon, grids
from tfunlearn.attacks.competition_thresholds import best_epsilons, epsilon_table, points_up_to


def cases():
    """Confidences of many kinds: wide, narrow, far from 0, shared, and right on the grid."""
    rng = np.random.default_rng(0)
    kinds = itertools.cycle(["plain", "halves", "hundredths", "far", "shared", "steps"])
    for number, kind in zip(range(72), kinds, strict=False):
        models, spread = rng.choice([3, 5, 8, 16]), rng.choice([0.05, 0.3, 1.0, 3.0])
        one = rng.normal(0, spread, models)
        other = rng.normal(rng.choice([0.0, 0.5, 2.0]), spread * rng.choice([0.3, 1, 2]), models)
        if kind == "halves":
            one, other = np.round(2 * one) / 2, np.round(2 * other) / 2
        elif kind == "hundredths":
            one, other = np.round(one, 2), np.round(other, 2)
        elif kind == "far":
            shift = rng.normal(0, 40)
            one, other = one + shift, other + shift
        elif kind == "shared":
            other[0] = one[0]
        elif kind == "steps":  # left thresholds are 4 / 399 apart
            one, other = (np.round(side * 399 / 4) * 4 / 399 for side in (one, other))
        yield pytest.param(one, other, id=f"{number}-{kind}")


@pytest.mark.parametrize(("unlearned", "retrained"), list(cases()))
def test_against_all_thresholds(unlearned, retrained):
    found = best_epsilons(unlearned[:, None], retrained[:, None], DELTA)
    np.testing.assert_allclose(found, [by_loops(unlearned, retrained)], rtol=1e-12)


def rights(unlearned, retrained):
    peaky = min(unlearned, retrained, key=np.ptp)
    low, high = peaky.min() + np.ptp(peaky) - 2.0, peaky.max() + 2.0
    return int(np.ceil((high - low) * 100))


def test_examples_to_which_rounding_gives_a_threshold_more():
    rng, found = np.random.default_rng(5), []
    while len(found) < 20:
        center, spread = rng.normal(0, 10), rng.choice([0.05, 0.3, 1.0])
        one, other = rng.normal(center, spread, 8), rng.normal(center, 2 * spread, 8)
        if len(found) % 2:
            one, other = (np.round(side * 399 / 4) * 4 / 399 for side in (one, other))
        if rights(one, other) == 401:
            found.append((one, other))
    sides = np.array(found)
    expected = [by_loops(one, other) for one, other in found]
    regular = rng.normal(0, 1, (2, 8, 3))
    expected += [by_loops(*regular[..., example]) for example in range(3)]
    together = np.concatenate([sides.transpose(1, 2, 0), regular], axis=2)
    np.testing.assert_allclose(best_epsilons(*together, DELTA), expected, rtol=1e-12)


def test_all_thresholds_one_by_one():
    """The innermost loop too, in plain Python, on the smallest case."""
    unlearned, retrained = np.array([0.0, 0.4, 1.1]), np.array([0.3, 0.9, 2.5])
    found = []
    for positive, negative, lefts, right in grids(retrained, unlearned):
        for left in np.atleast_1d(lefts):
            true = sum(left <= each <= right for each in positive.tolist())
            false = sum(left <= each <= right for each in negative.tolist())
            found.append(epsilon(true, false, 3))
    expected = max(each for each in found if each is not None)
    assert best_epsilons(unlearned[:, None], retrained[:, None], DELTA) == pytest.approx([expected])
    assert by_loops(unlearned, retrained) == expected


def test_by_hand():
    """Best is 2 of 3 right on either side: log(2/3 - delta) - log(1/3)."""
    side = np.array([[0.0], [1.0], [2.0]])
    expected = math.log(2 / 3 - DELTA) - math.log(1 / 3)
    assert best_epsilons(side, side + 0.5, DELTA) == pytest.approx([expected], rel=1e-14)
    assert best_epsilons(side, side + 9.0, DELTA) == [math.inf]


def test_no_threshold_may_survive():
    """One value on both sides, or two of which no threshold falls between."""
    assert np.isnan(best_epsilons(np.ones((4, 1)), np.ones((4, 1)), DELTA))
    assert best_epsilons(np.ones((4, 1)), np.full((4, 1), 5.0), DELTA) == [math.inf]
    assert np.isnan(by_loops(np.ones(4), np.ones(4)))


def test_blocks_and_the_order_of_models_do_not_matter():
    rng = np.random.default_rng(1)
    unlearned, retrained = rng.normal(0, 2, (2, 16, 200))
    found = best_epsilons(unlearned, retrained, DELTA)
    some = [0, 1, 99, 199]
    alone = [best_epsilons(unlearned[:, [x]], retrained[:, [x]], DELTA)[0] for x in some]
    assert found[some].tolist() == alone
    order = rng.permutation(16)
    np.testing.assert_array_equal(
        best_epsilons(unlearned[order], retrained[order[::-1]], DELTA), found
    )


def test_points_are_counted_as_numpy_lists_them():
    rng = np.random.default_rng(3)
    for _ in range(200):
        low = rng.normal(0, 30)
        high = low + rng.exponential(2.0)
        listed = np.linspace(low, high, int(np.ceil((high - low) * 100)))
        some = rng.choice(listed, 20)
        values = np.concatenate(
            [[low, high], some, np.nextafter(some, 1e3), rng.uniform(low, high, 9)]
        )
        values = np.clip(np.append(values, np.nextafter(some, -1e3)), low, high)
        ends = np.full((1, 1), low), np.full((1, 1), high), np.full((1, 1), len(listed))
        expected = (listed[:, None] <= values).sum(axis=0)
        np.testing.assert_array_equal(points_up_to(values[None], *ends)[0], expected)


def test_single_thresholds_are_a_hundred_a_unit():
    """Two ranges so wide that only a single threshold, on the full grid, does best."""
    one = np.array([11.988, 1.975, 5.995, 0.01, 8.003, 2.001])
    other = np.array([3.997, 12.008, 8.01, 9.996, 9.99, 9.995])
    found = best_epsilons(one[:, None], other[:, None], DELTA)
    assert found == pytest.approx([by_loops(one, other)], rel=1e-12)
    assert found == pytest.approx([math.log(5)], abs=1e-4)


@pytest.mark.parametrize("models", [3, 10])
def test_the_table_against_the_formula(models):
    table = epsilon_table(models, DELTA)
    for true, false in itertools.product(range(models + 1), repeat=2):
        expected = epsilon(true, false, models)
        expected = math.nan if expected is None else expected
        np.testing.assert_allclose(table[true, false], expected, rtol=1e-13)
