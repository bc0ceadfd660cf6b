"""A logarithmic axis of a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["LogAxis"]


class LogAxis:
    """A logarithmic axis between two places of a picture.

    Args:
        low: Value at the start, positive.
        high: Value at the end, above `low`.
        start: Place of `low`, in the picture's units.
        end: Place of `high`; may be below `start`, as for an axis that runs up.

    Example:
        >>> axis = LogAxis(0.01, 1.0, 0.0, 200.0)
        >>> axis.at(0.1), axis.at(0.0), axis.powers()
        (100.0, 0.0, [0.01, 0.1, 1.0])
    """

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high = math.log10(low), math.log10(high)
        self.start, self.end = start, end

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> LogAxis:
        """Returns an axis that holds positive values, with some room at both ends."""
        return cls(min(values) / 1.4, max(values) * 1.4, start, end)

    def at(self, value: float) -> float:
        """Returns the place of a value; what lies below the axis is drawn at its start."""
        power = math.log10(value) if value > 0 else self.low
        part = (max(power, self.low) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def powers(self) -> list[float]:
        """Returns the powers of ten on the axis."""
        first, last = math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9)
        return [10.0**power for power in range(first, last + 1)]

    def round_values(self) -> list[float]:
        """Returns the ones, twos and fives of every power of ten on the axis.

        Example:
            >>> LogAxis(0.04, 0.3, 0, 1).round_values()
            [0.05, 0.1, 0.2]
        """
        powers = range(math.floor(self.low), math.ceil(self.high))
        values = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
        return [value for value in values if self.low <= math.log10(value) <= self.high]
