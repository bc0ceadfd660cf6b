"""How close each unlearned model comes to retraining, against the time it took."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from tfunlearn.report import wording
from tfunlearn.report.labels import apart
from tfunlearn.report.log_axis import LogAxis

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["tradeoff"]

_WIDTH, _HEIGHT = 360, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 316, 10, 256
_LINE = 13.0
_LEAST_GAP, _LEAST_SECONDS = 1e-4, 1e-2


class _Point(NamedTuple):
    number: int
    name: str
    seconds: float
    gap: float


def tradeoff(report: AuditReport) -> str:
    """Returns the plot with a numbered dot per unlearned model, and the list of their names.

    Nothing where fewer than two models have both a time and an average gap.
    """
    points = _points(report)
    if len(points) < 2:
        return ""
    spread = report.reference("seconds")
    retraining = spread.mean if spread and spread.mean > 0 else None
    nothing = None if report.original is None else report.average_gap(report.original)
    picture = _picture(points, retraining, nothing)
    names = "".join(
        f"<li>{escape(p.name)}<span>gap {wording.number(p.gap)}, "
        f"{wording.number(p.seconds, 'seconds')} s</span></li>"
        for p in points
    )
    return f'<div class="card tradeoff">{picture}<ol>{names}</ol></div>'


def _points(report: AuditReport) -> list[_Point]:
    known = {*report.references, report.original}
    found = []
    for row in report.rows:
        seconds, gap = row.values.get("seconds"), report.average_gap(row.name)
        if row.name not in known and seconds is not None and gap is not None:
            found.append(_Point(len(found) + 1, row.name, seconds, gap))
    return found


def _picture(points: Sequence[_Point], retraining: float | None, nothing: float | None) -> str:
    times = [max(p.seconds, _LEAST_SECONDS) for p in points] + [retraining or _LEAST_SECONDS][
        : retraining is not None
    ]
    gaps = [max(gap, _LEAST_GAP) for gap in (*(p.gap for p in points), nothing) if gap is not None]
    across = LogAxis.around(times, _LEFT, _RIGHT)
    up = LogAxis.around(gaps, _BOTTOM, _TOP)
    lines = ""
    if retraining is not None:
        x = across.at(retraining)
        lines += _line(f"M{x:.1f} {_TOP}V{_BOTTOM}", x - 4, _TOP + 9, "end", "retraining")
    if nothing is not None:
        y = up.at(nothing)
        lines += _line(f"M{_LEFT} {y:.1f}H{_RIGHT}", _LEFT + 4, y + 12, "start", "doing nothing")
    label = "Average accuracy gap to the references against seconds, a numbered dot per model"
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{_axes(across, up)}{lines}{_dots(points, across, up)}</svg>"
    )


def _line(path: str, x: float, y: float, anchor: str, text: str) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="var(--soft)" stroke-dasharray="5 4"/>'
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
    )


def _axes(across: LogAxis, up: LogAxis) -> str:
    texts = []
    for value in _few(across):
        x = across.at(value)
        texts.append(
            f'<path class="b" d="M{x:.1f} {_TOP}V{_BOTTOM}"/>'
            f'<text x="{x:.1f}" y="{_BOTTOM + 15}" text-anchor="middle">{value:g}</text>'
        )
    for value in _few(up):
        y = up.at(value)
        texts.append(
            f'<path class="b" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>'
            f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    middle = (_TOP + _BOTTOM) / 2
    return "".join(texts) + (
        f'<text x="{(_LEFT + _RIGHT) / 2:.0f}" y="{_BOTTOM + 33}" text-anchor="middle">seconds'
        f'</text><text x="10" y="{middle:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 10 {middle:.0f})">average accuracy gap</text>'
    )


def _few(axis: LogAxis) -> list[float]:
    """Returns the round values of an axis, or its powers of ten where those are many."""
    values = axis.round_values()
    return values if len(values) <= 6 else axis.powers()


def _dots(points: Sequence[_Point], across: LogAxis, up: LogAxis) -> str:
    """Returns the dots, and their numbers in a column at the right with a thin line to each."""
    placed = sorted(
        (up.at(max(p.gap, _LEAST_GAP)), -across.at(max(p.seconds, _LEAST_SECONDS)), p.number)
        for p in points
    )
    levels = apart([y for y, *_ in placed], _LINE, _HEIGHT)
    return "".join(
        f'<path class="b" fill="none" d="M{-x:.1f} {y:.1f}L{_RIGHT + 14} {level:.1f}"/>'
        f'<circle cx="{-x:.1f}" cy="{y:.1f}" r="4.5" fill="var(--ink)"/>'
        f'<text x="{_RIGHT + 18}" y="{level + 4:.1f}">{number}</text>'
        for (y, x, number), level in zip(placed, levels, strict=True)
    )
