"""The competition's thresholds: every example's largest epsilon over both published grids.

The grids are followed to the last bit, but no threshold is tried on its own. What a threshold
does to an example depends only on how many confidences lie below it, so all thresholds between
the same two neighbours are one: it is enough to know which gaps between the sorted confidences
hold a point of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfunlearn.attacks.competition_intervals import gaps, right_thresholds

__all__ = ["best_epsilons", "epsilon_table", "points_up_to"]

_PER_UNIT = 100
_BLOCK = 1_000_000


def epsilon_table(models: int, delta: float) -> np.ndarray:
    """Returns epsilon for every count of true and of false positives; NaN where it is discarded.

    Args:
        models: Models on each side, N.
        delta: The delta of (epsilon, delta)-unlearning, in [0, 1).

    Returns:
        Float64 of shape (N + 1, N + 1), row: true positives, column: false positives. With FPR and
        FNR both zero it is infinite, with one of them zero NaN, else
        max(0, log(1 - delta - FPR) - log FNR, log(1 - delta - FNR) - log FPR), where a logarithm of
        a negative number counts as absent; NaN where both are.

    Example:
        >>> epsilon_table(4, 1e-5).round(2)[:, 1]
        array([0.  , 0.  , 0.69, 1.1 ,  nan])
    """
    counts = np.arange(models + 1)
    fnr = ((models - counts) / models)[:, None]
    fpr = (counts / models)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        forward = np.log(1 - delta - fpr) - np.log(fnr)
        backward = np.log(1 - delta - fnr) - np.log(fpr)
    table = np.maximum(np.fmax(forward, backward), 0.0)
    table[(fnr == 0) ^ (fpr == 0)] = np.nan
    table[(fnr == 0) & (fpr == 0)] = np.inf
    return table


def best_epsilons(unlearned: np.ndarray, retrained: np.ndarray, delta: float) -> np.ndarray:
    """Returns every example's largest epsilon over the single and the double thresholds.

    Args:
        unlearned: Confidences, float64 of shape (N, examples), below 1e4 in size.
        retrained: The same of the retrained models, of the same shape.
        delta: The delta of (epsilon, delta)-unlearning, in [0, 1).

    Returns:
        Float64 of shape (examples,), from 0 to infinity; NaN where every threshold is discarded.

    Example:
        >>> import numpy as np
        >>> side = np.arange(4.0)[:, None]
        >>> best_epsilons(side, side + 2.0, 1e-5).round(3)
        array([1.099])
    """
    levels, ranks = np.unique(epsilon_table(len(unlearned), delta), return_inverse=True)
    # rank 0 is "discarded": NaN sorts last, and there always is one
    ranks = ((ranks + 1) % len(levels)).astype(np.min_scalar_type(len(levels))).ravel()
    best = np.empty(unlearned.shape[1], dtype=ranks.dtype)
    size = max(1, _BLOCK // (800 * len(unlearned)))
    for start in range(0, len(best), size):
        block = slice(start, start + size)
        case = _sorted(unlearned[:, block].T, retrained[:, block].T)
        best[block] = np.maximum(_single(case, ranks), _double(case, ranks))
    return np.roll(levels, 1)[best]


@dataclass(frozen=True, eq=False)
class _Case:
    """The examples of a block.

    Attributes:
        values: Both sides' confidences together, sorted, (B, 2N).
        below: For each side, how many of the a smallest are its own, (2, B, 2N + 1).
        lows: The smallest of each side, (2, B); the unlearned side is the first.
        highs: The largest of each side, (2, B).
        retrained_higher: Whether the retrained side has the larger median, (B,).
    """

    values: np.ndarray
    below: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    retrained_higher: np.ndarray


def _sorted(unlearned: np.ndarray, retrained: np.ndarray) -> _Case:
    both = np.concatenate([unlearned, retrained], axis=1)
    order = np.argsort(both, axis=1, kind="stable")
    mine = np.zeros((len(both), both.shape[1] + 1), dtype=np.int32)
    np.cumsum(order < unlearned.shape[1], axis=1, out=mine[:, 1:])
    sides = np.stack([unlearned, retrained])
    medians = np.median(sides, axis=2)
    return _Case(
        values=np.take_along_axis(both, order, axis=1),
        below=np.stack([mine, np.arange(mine.shape[1], dtype=np.int32) - mine]),
        lows=sides.min(axis=2),
        highs=sides.max(axis=2),
        retrained_higher=medians[1] > medians[0],
    )


def _codes(case: _Case, retrained_is_positive: np.ndarray) -> np.ndarray:
    """Returns positives and negatives among the a smallest as one number each, (B, 2N + 1)."""
    swap = retrained_is_positive[:, None]
    positive = np.where(swap, case.below[1], case.below[0])
    negative = np.where(swap, case.below[0], case.below[1])
    return positive * (case.values.shape[1] // 2 + 1) + negative


def _single(case: _Case, ranks: np.ndarray) -> np.ndarray:
    """Returns the best rank of "positive from t on"; the larger median is the positive side's."""
    low, high = case.values[:, :1], case.values[:, -1:]
    counts = points_up_to(case.values, low, high, np.ceil((high - low) * _PER_UNIT))
    found = np.diff(counts, axis=1, prepend=0) > 0
    codes = _codes(case, case.retrained_higher)
    return np.max(ranks[codes[:, -1:] - codes[:, :-1]] * found, axis=1)


def points_up_to(
    values: np.ndarray, low: np.ndarray, high: np.ndarray, number: np.ndarray
) -> np.ndarray:
    """Returns how many points of `numpy.linspace(low, high, number)` are at most each value.

    Args:
        values: Float64 of shape (B, V), from low to high.
        low: First points, float64 of shape (B, 1).
        high: Last points, of the same shape.
        number: Points of each row, whole, of the same shape.

    Example:
        >>> low, high = np.zeros((1, 1)), np.ones((1, 1))
        >>> points_up_to(np.array([[0.0, 0.6, 1.0]]), low, high, np.full((1, 1), 5))
        array([[1., 3., 5.]])
    """
    step = (high - low) / np.maximum(number - 1, 1)

    def point(index: np.ndarray) -> np.ndarray:
        return np.where((index == number - 1) & (number > 1), high, index * step + low)

    guess = np.floor((values - low) / np.where(step > 0, step, 1.0)) + 1
    guess = np.clip(guess, 0, number)
    guess -= (guess > 0) & (point(guess - 1) > values)
    return guess + ((guess < number) & (point(guess) <= values))


def _double(case: _Case, ranks: np.ndarray) -> np.ndarray:
    """Returns the best rank of "positive between l and r"; positive is the side of less range."""
    ranges = case.highs - case.lows
    of_higher = np.where(case.retrained_higher, ranges[1], ranges[0])
    of_lower = np.where(case.retrained_higher, ranges[0], ranges[1])
    retrained_is_positive = case.retrained_higher ^ (of_higher >= of_lower)
    low = np.where(retrained_is_positive, case.lows[1], case.lows[0])
    high = np.where(retrained_is_positive, case.highs[1], case.highs[0])
    width = np.minimum(of_higher, of_lower)
    right, number = right_thresholds(low, high, width)
    found, example, place = gaps(case.values, right, number, width)
    codes = _codes(case, retrained_is_positive)
    inside = codes[example, place][:, None] - codes[example, :-1]
    best = np.max(ranks.take(inside, mode="clip") * found, axis=1)  # negative: l above r, nothing
    return np.maximum.reduceat(best, np.searchsorted(example, np.arange(len(right))))
