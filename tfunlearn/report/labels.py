"""Labels of a picture that must not lie on one another."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["apart"]


def apart(places: Sequence[float], line: float, bottom: float) -> list[float]:
    """Returns places moved apart by a line each, back up where they would leave the picture.

    Args:
        places: Where the labels would like to be, rising.
        line: Height of a label.
        bottom: The end of the picture; the last label ends a line above it.

    Example:
        >>> apart([10.0, 12.0, 50.0], 10.0, 55.0)
        [10.0, 20.0, 45.0]
    """
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + line) if found else place)
    for number in range(len(found) - 1, -1, -1):
        found[number] = bottom = min(found[number], bottom - line)
    return found
