"""How numbers vary over models, for each model over all the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["SpreadByExample", "deviations", "others"]

_FLOOR = 0.01
_ROUNDING = 1e-12


class SpreadByExample(NamedTuple):
    """The sums over models that any mean and deviation are made of.

    Attributes:
        mean: Mean over the models, float64 of shape (n,).
        squares: Sum of the squared distances from it, float64 of shape (n,).
        count: Number of models.
    """

    mean: np.ndarray
    squares: np.ndarray
    count: int

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation over the models (divisor count - 1), shape (n,); count >= 2."""
        return np.sqrt(self.squares / (self.count - 1))

    def joined(self, other: SpreadByExample) -> SpreadByExample:
        """Returns the sums over the models of both.

        Nothing is subtracted but the means, so that no digit is lost where one model lies far from
        all others.

        Example:
            >>> one, two = (SpreadByExample(np.array([v]), np.zeros(1), 1) for v in (1.0, 3.0))
            >>> one.joined(two)
            SpreadByExample(mean=array([2.]), squares=array([2.]), count=2)

        Reference:
            Chan, Golub, LeVeque (1983), "Algorithms for computing the sample variance", The
            American Statistician 37.
        """
        if not self.count or not other.count:
            return self if self.count else other
        count, gap = self.count + other.count, other.mean - self.mean
        mean = self.mean + gap * (other.count / count)
        squares = self.squares + other.squares + gap**2 * (self.count * other.count / count)
        return SpreadByExample(mean, squares, count)


def others(rows: Sequence[np.ndarray]) -> Iterator[SpreadByExample]:
    """Yields, for each model, the sums over all the others.

    The sums over the models before it and over those after it are joined: a few passes over the
    rows in all. Two numbers are held for each number given.

    Args:
        rows: A row per model, float64 of shape (n,); at least 2.

    Example:
        >>> [found.mean.tolist() for found in others(np.array([[1.0], [2.0], [6.0]]))]
        [[4.0], [3.5], [1.5]]
    """
    nothing = np.zeros(np.shape(rows[0]))
    after = [SpreadByExample(nothing, nothing, 0)]
    for row in reversed(rows[1:]):
        after.append(after[-1].joined(SpreadByExample(row, nothing, 1)))
    before = after[0]
    for row in rows:
        yield before.joined(after.pop())
        before = before.joined(SpreadByExample(row, nothing, 1))


def deviations(row: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray | None:
    """Returns how far one model's margins lie from the others', in their standard deviations.

    Where the others hardly differ, as on an example that all of them know by heart, the unit is a
    hundredth of the root mean square of the standard deviations: no number explodes.

    Args:
        row: The model's margins, shape (n,).
        mean: The others' means, shape (n,).
        deviation: Their standard deviations, shape (n,), not negative.

    Returns:
        Deviations, float64 of shape (n,); None where the others differ nowhere.

    Example:
        >>> deviations(np.array([3.0, 1.0]), np.array([1.0, 1.0]), np.array([2.0, 0.0]))
        array([1., 0.])
        >>> deviations(np.ones(2), np.ones(2), np.zeros(2)) is None
        True
    """
    unit = float(np.sqrt(np.mean(deviation**2)))
    if unit <= _ROUNDING * float(np.abs(mean).max()):
        return None
    return (row - mean) / np.maximum(deviation, _FLOOR * unit)
