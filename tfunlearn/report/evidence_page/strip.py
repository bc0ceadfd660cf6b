"""A strip plot: a dot per reference, and the model's mark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["strip"]

_ROOM = 4.0
_LEVELS = (12, 8, 16)


def strip(value: float, references: Sequence[float], label: str) -> str:
    """Returns the strip as SVG, as wide as its place, from the lowest value to the highest.

    Args:
        value: The model's figure.
        references: The references' figures.
        label: What it shows, for those who do not see it.

    Example:
        >>> "<circle" in strip(0.5, [0.4, 0.6], "accuracy")
        True
        >>> strip(0.5, [], "accuracy")
        ''
    """
    if not references:
        return ""
    low, high = min(value, *references), max(value, *references)

    def at(place: float) -> float:
        part = (place - low) / (high - low) if high > low else 0.5
        return _ROOM + (100 - 2 * _ROOM) * part

    left, right = at(min(references)), at(max(references))
    dots = "".join(
        f'<circle cx="{at(own):.2f}%" cy="{_LEVELS[place % len(_LEVELS)]}" r="3"/>'
        for place, own in enumerate(sorted(references))
    )
    return (
        f'<svg class="strip" role="img" aria-label="{escape(label)}">'
        f'<rect x="{left:.2f}%" width="{max(right - left, 0.5):.2f}%" y="1" height="22" rx="3"/>'
        f'{dots}<svg x="{at(value):.2f}%" overflow="visible">'
        '<path d="M0 5l7 7-7 7-7-7z"/></svg></svg>'
    )
