"""Folds: balanced within cells, decided by the seed and the values alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tfunlearn.attacks.folds import assign_folds


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(2, 10))
def test_cells_are_spread_evenly(cells, number):
    cells = np.array(cells)
    folds = assign_folds(cells, np.arange(len(cells), dtype=float), number, 0)
    for members in [folds, *(folds[cells == cell] for cell in np.unique(cells))]:
        counts = np.bincount(members, minlength=number)
        assert counts.max() - counts.min() <= 1


def test_they_follow_the_values_and_not_the_order():
    rng = np.random.default_rng(0)
    cells, values = rng.integers(0, 3, 50), rng.normal(size=50)
    folds = assign_folds(cells, values, 5, 1)
    order = rng.permutation(50)
    np.testing.assert_array_equal(assign_folds(cells[order], values[order], 5, 1), folds[order])
    assert (assign_folds(cells, values, 5, 2) != folds).any()
    assert abs(np.corrcoef(folds, values)[0, 1]) < 0.4  # dealt at random, not by size
