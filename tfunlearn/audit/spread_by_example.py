"""How margins vary over models, example by example, with any one model left out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["SpreadByExample", "deviations"]

_FLOOR = 0.01
_ROUNDING = 1e-12


class SpreadByExample(NamedTuple):
    """The sums over models that any mean and deviation are made of; made by `of`.

    Attributes:
        mean: Mean over the models, float64 of shape (n,).
        squares: Sum of the squared distances from it, float64 of shape (n,).
        count: Number of models, N.
    """

    mean: np.ndarray
    squares: np.ndarray
    count: int

    @classmethod
    def of(cls, table: np.ndarray) -> SpreadByExample:
        """Returns the sums over a table with a row per model, shape (N, n), N >= 2.

        Example:
            >>> found = SpreadByExample.of(np.array([[1.0], [2.0], [6.0]]))
            >>> found.mean, found.squares, found.count
            (array([3.]), array([14.]), 3)
        """
        mean = table.mean(axis=0)
        squares = np.zeros_like(mean)
        for row in table:
            squares += (row - mean) ** 2
        return cls(mean, squares, len(table))

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation over the models (divisor N - 1), shape (n,)."""
        return np.sqrt(self.squares / (self.count - 1))

    def without(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation of the models but one of them; N >= 3.

        Args:
            row: The row of the one left out, shape (n,).

        Example:
            >>> table = np.array([[1.0], [2.0], [6.0]])
            >>> [own.round(4) for own in SpreadByExample.of(table).without(table[2])]
            [array([1.5]), array([0.7071])]
        """
        gap, others = row - self.mean, self.count - 1
        squares = self.squares - gap**2 * self.count / others
        return self.mean - gap / others, np.sqrt(np.maximum(squares, 0.0) / (others - 1))


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
