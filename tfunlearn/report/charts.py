"""The pictures inside an HTML report: plain markup and inline SVG, coloured by the style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from tfunlearn.report import wording

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["accuracy_panels", "axis", "balance", "cost_bars", "loss_panels", "used_bins"]

_WIDTH, _HEIGHT = 300, 110


def accuracy_panels(report: AuditReport) -> str:
    """Returns a panel per role: a dot per model, and the references as a line or a band."""
    roles = [role for role in wording.ROLES if role in report.split["sizes"]]
    return f'<div class="grid">{"".join(_panel(report, role) for role in roles)}</div>'


def axis(values: Sequence[float]) -> tuple[float, float]:
    """Returns an axis in [0, 1] in twentieths that holds the values and is 0.1 wide at least.

    Example:
        >>> axis([0.91, 0.93]), axis([0.2, 0.84])
        ((0.9, 1.0), (0.15, 0.85))
    """
    low = math.floor(round(min(values) * 20 - 0.2, 6))
    high = math.ceil(round(max(values) * 20 + 0.2, 6))
    high = min(max(high, low + 2), 20)
    return max(min(low, high - 2), 0) / 20, high / 20


def _panel(report: AuditReport, role: str) -> str:
    metric = f"{role}_accuracy"
    values = {row.name: report.value(row.name, metric) for row in report.rows}
    spread = report.reference(metric)
    shown = [value for value in values.values() if value is not None]
    if not shown:
        return ""
    low, high = axis([*shown, *((spread.min, spread.max) if spread else ())])

    def at(value: float) -> str:
        return f"{100 * (value - low) / (high - low):.2f}%"

    marks = ""
    if spread:
        marks = f'<i class="mean" style="left:{at(spread.mean)}"></i>'
    if spread and spread.count > 1:
        width = 100 * (spread.max - spread.min) / (high - low)
        marks = f'<i class="band" style="left:{at(spread.min)};width:{width:.2f}%"></i>{marks}'
    lines = []
    for name, value in values.items():
        dot = "" if value is None else f'<i style="left:{at(value)}"></i>'
        kind = " ref" if name in report.references else ""
        lines.append(
            f'<div class="dot{kind}"><span title="{escape(name)}">{escape(name)}</span>'
            f'<span class="track">{marks}{dot}</span><span>{wording.number(value)}</span></div>'
        )
    ends = f'<span class="track"><span>{low:.2f}</span><span>{high:.2f}</span></span>'
    lines.append(f'<div class="dot axis"><span></span>{ends}<span></span></div>')
    title = f"{role.capitalize()} accuracy"
    return f'<div class="card"><h3>{title}</h3><div class="dots">{"".join(lines)}</div></div>'


def used_bins(report: AuditReport) -> tuple[int, int]:
    """Returns the first bin and the one past the last that some loss of the report falls into."""
    filled = [
        place
        for row in report.rows
        for role in ("forget", "test")
        for place, count in enumerate(row.histograms.get(role, ()))
        if count
    ]
    return (min(filled), max(filled) + 1) if filled else (0, 0)


def loss_panels(report: AuditReport) -> str:
    """Returns a panel per model: where forget and test losses lie, on a logarithmic axis."""
    first, last = used_bins(report)
    if last - first < 1:
        return ""
    ticks = _ticks(report.histogram_edges[first : last + 1])
    panels = []
    for row in report.rows:
        if "forget" not in row.histograms or "test" not in row.histograms:
            continue
        forget, test = (_shares(row.histograms[role][first:last]) for role in ("forget", "test"))
        top = max(*forget, *test) or 1.0
        label = escape(f"Losses of {row.name} on forget and test examples")
        panels.append(
            f'<div class="card"><h3>{escape(row.name)}</h3>'
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 18}" role="img" aria-label="{label}">'
            f'<path class="f" d="{_steps(forget, top)}Z"/>'
            f'<line class="b" x1="0" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>'
            f'<path class="t" d="{_steps(test, top)}"/>{ticks}</svg></div>'
        )
    return f'<div class="grid">{"".join(panels)}</div>' if panels else ""


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def _steps(shares: Sequence[float], top: float) -> str:
    """Returns the outline of a histogram as an SVG path from the base line to the base line."""
    step = _WIDTH / len(shares)
    points = [f"M0 {_HEIGHT}"]
    for place, share in enumerate(shares):
        y = _HEIGHT - (_HEIGHT - 6) * share / top
        points.append(f"V{y:.1f}H{(place + 1) * step:.1f}")
    return "".join([*points, f"V{_HEIGHT}"])


def _ticks(edges: Sequence[float]) -> str:
    """Returns labels at the powers of ten."""
    low, high = math.log10(edges[0]), math.log10(edges[-1])
    powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
    step = 1 if len(powers) <= 5 else 2
    texts = []
    for power in powers[::step]:
        x = _WIDTH * (power - low) / (high - low)
        anchor = "start" if x < 12 else "end" if x > _WIDTH - 12 else "middle"
        texts.append(
            f'<line class="b" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEIGHT}" y2="{_HEIGHT + 4}"/>'
            f'<text x="{x:.1f}" y="{_HEIGHT + 16}" text-anchor="{anchor}">{10.0**power:g}</text>'
        )
    return "".join(texts)


def cost_bars(report: AuditReport) -> str:
    """Returns a bar of seconds per model with its share of the references' mean."""
    if not any(column.name == "seconds" for column in report.columns):
        return ""
    times = {row.name: report.value(row.name, "seconds") for row in report.rows}
    known = {name: value for name, value in times.items() if value is not None}
    if not known:
        return ""
    longest, spread = max(known.values()) or 1.0, report.reference("seconds")
    cells = []
    for name, value in known.items():
        share = ""
        if spread and spread.mean > 0 and name not in report.references:
            share = f" ({value / spread.mean:.0%} of the reference's)"
        kind = ' class="ref"' if name in report.references else ""
        cells.append(
            f"<span>{escape(name)}</span>"
            f'<i{kind} style="width:{100 * value / longest:.1f}%"></i>'
            f"<span>{wording.number(value, 'seconds')} s{share}</span>"
        )
    return f'<div class="costs">{"".join(cells)}</div>'


def balance(counts: Sequence[int]) -> str:
    """Returns a small bar chart of class counts."""
    top = max(counts) or 1
    bars = "".join(
        f'<i style="height:{100 * count / top:.0f}%" title="class {label}: {count}"></i>'
        for label, count in enumerate(counts)
    )
    return f'<span class="balance">{bars}</span>'
