"""The figures of a model among the references' as a matplotlib panel."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from tfunlearn.report.evidence import Placed

__all__ = ["percentiles", "placed"]


def placed(figures: Sequence[Placed]) -> list[Placed]:
    """Returns the figures that have a place among the references'."""
    return [own for own in figures if None not in (own.percentile, own.low, own.high)]


def percentiles(axes: Axes, figures: Sequence[Placed], colour: str) -> None:
    """Draws a dot per figure at its percentile, with the percentile's interval as a line.

    Args:
        axes: Where to draw.
        figures: Figures with a place, as `placed` returns them.
        colour: Colour of dots and lines.
    """
    values = [own.percentile for own in figures]
    below = [max(own.percentile - own.low, 0.0) for own in figures]
    above = [max(own.high - own.percentile, 0.0) for own in figures]
    axes.errorbar(
        values,
        range(len(figures)),
        xerr=[below, above],
        fmt="D",
        color=colour,
        markersize=5,
        linewidth=1.2,
    )
    axes.set_yticks(range(len(figures)), [own.label.replace("$", r"\$") for own in figures])
    axes.set_ylim(len(figures) - 0.4, -0.6)
    axes.set_xlim(-4, 104)
    axes.grid(axis="x", alpha=0.25)
