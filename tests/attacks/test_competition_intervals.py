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


def on_the_grid(rng, low, high):
    """Values of which most are thresholds themselves, to the last bit, or their neighbours."""
    first, last = low + (high - low) - 2.0, high + 2.0
    rights = np.linspace(first, last, int(np.ceil((last - first) * 100)))
    values = [low, high, *rng.choice(rights, 4), rights[0], rights[-1]]
    for right in rng.choice(rights, 3):
        lefts = np.linspace(right - (high - low) - 2.0, right - (high - low) + 2.0, 400)
        chosen = [*rng.choice(lefts, 4), lefts[0], lefts[-1]]
        values += [*chosen, *np.nextafter(chosen[:2], 99.0), *np.nextafter(chosen[2:4], -99.0)]
    return np.sort(values)


def test_gaps_are_those_in_which_a_listed_threshold_lies():
    rng = np.random.default_rng(2)
    ends = [(-0.3, 0.4), (77.7, 79.1), (0.1, 0.1)]
    while len(ends) < 12:  # with 401 right thresholds
        low, width = rng.normal(0, 10), rng.uniform(0.01, 3)
        low, high = low, low + width
        if np.ceil((high + 2.0 - (low + (high - low) - 2.0)) * 100) == 401:
            ends.append((low, high))
    low, high = np.array(ends).T
    values = np.stack([on_the_grid(rng, *each) for each in ends])
    values[1] = np.sort(rng.normal(78, 1, values.shape[1]))
    right, number = right_thresholds(low, high, high - low)
    assert set(number.ravel().tolist()) == {400, 401}
    found, example, place = gaps(values, right, number, high - low)
    assert (np.diff(example) >= 0).all()
    for row, width in enumerate(high - low):
        expected = {}
        for r in right[row]:
            lefts = np.linspace(r - width - 2.0, r - width + 2.0, 400)
            below = np.searchsorted(values[row], lefts)
            held = expected.setdefault(int(np.sum(values[row] <= r)), set())
            held.update(below[below < values.shape[1]].tolist())
        mine = example == row
        assert place[mine].tolist() == sorted(expected)
        for where, gap in zip(place[mine], found[mine], strict=True):
            assert set(np.flatnonzero(gap).tolist()) == expected[where]
