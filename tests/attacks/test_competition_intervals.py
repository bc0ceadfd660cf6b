"""Gaps that hold a left threshold, against numpy's own lists of thresholds."""

import numpy as np

from tfunlearn.attacks.competition_intervals import gaps, right_thresholds


def test_right_thresholds_are_numpys():
    low = np.random.default_rng(0).normal(0, 30, 50)
    width = np.random.default_rng(1).uniform(0, 5, 50)
    high = low + width
    right, number = right_thresholds(low, high, high - low)
    for example in range(50):
        first = low[example] + (high - low)[example] - 2.0
        last = high[example] + 2.0
        expected = np.linspace(first, last, int(np.ceil((last - first) * 100)))
        assert number[example, 0] == len(expected) in (400, 401)
        np.testing.assert_array_equal(right[example, : len(expected)], expected)
        assert (right[example, len(expected) :] == last).all()


def test_gaps_are_those_in_which_a_listed_threshold_lies():
    rng = np.random.default_rng(2)
    values = np.sort(rng.normal(0, 1, (12, 9)), axis=1)
    values[3] = np.round(values[3], 1)
    values[4] += 77.7
    values.sort(axis=1)
    low, high = values[:, 2], values[:, 6]
    right, number = right_thresholds(low, high, high - low)
    found, example, place = gaps(values, right, number, high - low)
    assert (np.diff(example) >= 0).all()
    for row in range(len(values)):
        expected = {}
        for r in right[row]:
            lefts = np.linspace(r - (high - low)[row] - 2.0, r - (high - low)[row] + 2.0, 400)
            below = np.searchsorted(values[row], lefts)
            held = expected.setdefault(int(np.sum(values[row] <= r)), set())
            held.update(below[below < 9].tolist())
        mine = example == row
        assert place[mine].tolist() == sorted(expected)
        for where, gap in zip(place[mine], found[mine], strict=True):
            assert set(np.flatnonzero(gap).tolist()) == expected[where]
