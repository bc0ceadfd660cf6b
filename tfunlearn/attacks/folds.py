"""Folds that depend on what the examples are, not on the order they come in."""

from __future__ import annotations

import numpy as np

__all__ = ["FOLDS", "assign_folds"]

FOLDS = 10


def assign_folds(cells: np.ndarray, values: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Returns a fold for every example, each cell spread over the folds as evenly as it can be.

    Within a cell the examples are sorted by value before they are dealt out at random, so the
    same examples in another order get the same folds (equal values may change places).

    Args:
        cells: What the folds are balanced over, such as side and class, integers of shape (N,).
        values: A number per example, shape (N,).
        number: Number of folds, at least 2.
        seed: Seed of the dealing.

    Returns:
        Folds in [0, number), shape (N,). Two examples of a cell share one only if the cell holds
        more than `number` of them.

    Example:
        >>> assign_folds(np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 1.0, 2.0]), 2, 0)
        array([0, 1, 0, 1])
    """
    rng = np.random.default_rng(seed)
    order = np.lexsort((values, cells))
    _, sizes = np.unique(cells, return_counts=True)
    dealt = np.concatenate([rng.permutation(size) for size in sizes])
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)  # a small cell does not always start at 0
    folds = np.empty(len(cells), np.int64)
    folds[order] = (dealt + starts) % number
    return folds
