"""The report as a matplotlib figure, made without pyplot, so that no display is needed."""

from __future__ import annotations

import io
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from tfunlearn.report import charts, wording
from tfunlearn.report.evidence_plots import percentiles, placed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfunlearn.report.evidence import Placed
    from tfunlearn.report.parts import Row
    from tfunlearn.report.result import AuditReport

__all__ = ["draw", "encode"]

_REFERENCE, _MODEL, _FORGET = "#5b3fa8", "#1b1d21", "#7c5cc4"
_COLUMNS, _WIDE_COLUMNS = 4, 2
_NAME_WIDTH = 24


def draw(report: AuditReport) -> Figure:
    """Returns a figure: accuracies by role, losses per model, places among the references.

    Args:
        report: The report; histograms and evidence that it does not hold are left out.
    """
    roles = [role for role in wording.ROLES if role in report.split["sizes"]]
    shown = [row for row in report.rows if {"forget", "test"} <= set(row.histograms)]
    lines = -(-len(shown) // _COLUMNS)
    places = _places(report)
    heights = [1.2 + 0.34 * len(report.rows), 2.0 * lines + 0.4, _height(places)]
    figure = Figure(figsize=(12, 0.5 + sum(heights)), layout="constrained")
    figure.suptitle(_safe(report.title), fontweight="bold")
    top, bottom, *rest = figure.subfigures(
        3 if places else 2, 1, height_ratios=heights[: 3 if places else 2]
    )
    panels = top.subplots(1, len(roles), sharey=True, squeeze=False).flat
    for axes, role in zip(panels, roles, strict=True):
        _accuracies(axes, report, role)
    if shown:
        grid = list(bottom.subplots(lines, _COLUMNS, sharex=True, squeeze=False).flat)
        for axes, row in zip(grid, shown, strict=False):
            _losses(axes, report, row)
        for axes in grid[len(shown) :]:
            axes.set_axis_off()
        grid[0].legend(frameon=False, fontsize=8)
        bottom.supxlabel("loss per example (nats)", fontsize=9)
    for part in rest:
        _draw_places(part, places)
    return figure


def encode(figure: Figure, path: str | os.PathLike[str]) -> bytes:
    """Returns the figure in the format that the path's suffix names.

    Raises:
        ValueError: If matplotlib does not write that format.
    """
    suffix = Path(path).suffix.lstrip(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise ValueError(
            f"path must end in a picture format. Expected one of {sorted(known)}. "
            f"Received {str(path)!r}."
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, dpi=150)
    return buffer.getvalue()


def _accuracies(axes: Axes, report: AuditReport, role: str) -> None:
    """Draws a dot per model, and the references as a line or a band."""
    metric = f"{role}_accuracy"
    points = [(place, row.name, row.values[metric]) for place, row in enumerate(report.rows)]
    points = [(place, name, value) for place, name, value in points if value is not None]
    spread = report.reference(metric)
    if spread is not None:
        axes.axvspan(spread.min, spread.max, color=_REFERENCE, alpha=0.15, linewidth=0)
        axes.axvline(spread.mean, color=_REFERENCE, linewidth=1.5)
    colours = [_REFERENCE if name in report.references else _MODEL for _, name, _ in points]
    axes.scatter([v for *_, v in points], [p for p, *_ in points], c=colours, s=36, zorder=3)
    names = [_safe(row.name) for row in report.rows]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    low, high = charts.axis([value for *_, value in points])
    margin = 0.03 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_title(f"{role} accuracy", fontsize=10)
    _plain(axes)
    axes.grid(axis="x", alpha=0.25)


def _losses(axes: Axes, report: AuditReport, row: Row) -> None:
    """Draws forget losses as an area and test losses as a line, each as a share of its role."""
    first, last = charts.used_bins(report)
    edges = report.histogram_edges[first : last + 1]
    for role in ("forget", "test"):
        counts = row.histograms[role][first:last]
        shares = [count / (sum(counts) or 1) for count in counts]
        if role == "forget":
            axes.stairs(shares, edges, fill=True, color=_FORGET, alpha=0.55, label=role)
        else:
            axes.stairs(shares, edges, color=_MODEL, linewidth=1.3, label=role)
    axes.set_xscale("log")
    axes.set_yticks([])
    axes.set_title("\n".join(textwrap.wrap(_safe(row.name), 36)), fontsize=9)
    _plain(axes)


def _places(report: AuditReport) -> dict[str, list[Placed]]:
    """Returns the figures of every model that have a place among the references'."""
    found = {
        row.name: placed(report.evidence[row.name].figures)
        for row in report.rows
        if row.name in report.evidence
    }
    return {name: own for name, own in found.items() if own}


def _height(places: Mapping[str, list[Placed]]) -> float:
    """Returns the height of the panels of places, in inches."""
    most = max(map(len, places.values()), default=0)
    return -(-len(places) // _WIDE_COLUMNS) * (0.6 + 0.22 * most) + 0.4 if places else 0.0


def _draw_places(part: SubFigure, places: Mapping[str, list[Placed]]) -> None:
    lines = -(-len(places) // _WIDE_COLUMNS)
    grid = list(part.subplots(lines, _WIDE_COLUMNS, squeeze=False).flat)
    for axes, (name, own) in zip(grid, places.items(), strict=False):
        percentiles(axes, own, _MODEL)
        axes.set_title("\n".join(textwrap.wrap(_safe(name), 36)), fontsize=9)
        _plain(axes)
    for axes in grid[len(places) :]:
        axes.set_axis_off()
    part.supxlabel("percentile among the references, with its interval", fontsize=9)


def _plain(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelsize=8)


def _safe(text: str) -> str:
    """Shortens a name, and keeps matplotlib from reading formulas in it."""
    text = text if len(text) <= 2 * _NAME_WIDTH else text[: 2 * _NAME_WIDTH - 3] + "..."
    return text.replace("$", r"\$")
