"""The trade-off plot: how close each method comes to retraining, against what it costs."""

from collections.abc import Sequence
from html import escape

from tfunlearn.report.labels import apart
from tfunlearn.report.log_axis import LogAxis

_WIDTH, _LEAST_HEIGHT = 760, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 170, 12, 40
_LINE = 12.5  # height of a label
_LEAST_SHARE, _LEAST_GAP = 1e-3, 1e-4  # what is less is drawn there: an axis has no zero

Point = tuple[str, float, float]


def tradeoff(
    points: Sequence[Point], nothing: float | None, between: float | None, budget: float
) -> str:
    """Returns the plot as SVG, coloured by the reports' style sheet; nothing without points.

    Args:
        points: name, share of retraining's time and gap of each method.
        nothing: the gap of doing nothing.
        between: the references' own gap, if there are several.
        budget: the share of time up to which the aim is shaded.
    """
    points = [(name, max(share, _LEAST_SHARE), max(gap, _LEAST_GAP)) for name, share, gap in points]
    if not points or not nothing:
        return ""
    lines = [max(gap, _LEAST_GAP) for gap in (nothing, 0.1 * nothing, between) if gap is not None]
    shares = [0.05, 1.0, *(share for _, share, _ in points)]
    across = LogAxis.around(shares, _LEFT, _WIDTH - _RIGHT)
    height = max(_LEAST_HEIGHT, round(_LINE * (len(points) + 1)))
    up = LogAxis.around([*lines, *(gap for *_, gap in points)], height - _BOTTOM, _TOP)
    parts = [
        _aim(across, up, budget, lines[1]),
        _ticks(across, up),
        _level(up, lines[0], "doing nothing", ' stroke-dasharray="5 4" stroke="var(--soft)"'),
    ]
    if len(lines) > 2:
        parts.append(_level(up, lines[2], "references", ' stroke="var(--accent)"'))
    places = [(name, across.at(share), up.at(gap)) for name, share, gap in points]
    parts += _dots(places, height)
    label = "Gap to the references against share of the time of retraining, a dot per method"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _aim(across: LogAxis, up: LogAxis, budget: float, gap: float) -> str:
    """Returns the shaded corner: close and cheap."""
    x, y = across.at(budget), up.at(gap)
    return (
        f'<rect x="{_LEFT}" y="{y:.1f}" width="{x - _LEFT:.1f}" height="{up.start - y:.1f}" '
        'fill="var(--band)" fill-opacity=".5"/>'
    )


def _ticks(across: LogAxis, up: LogAxis) -> str:
    """Returns the axes: lines at round numbers, and what they mean."""
    texts = []
    for value in across.round_values():
        x, text = across.at(value), f"{value:g}"
        texts.append(
            f'<line class="b" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{up.start}"/>'
            f'<text x="{x:.1f}" y="{up.start + 15}" text-anchor="middle">{text}</text>'
        )
    for value in up.round_values():
        y, text = up.at(value), f"{value:g}"
        texts.append(
            f'<line class="b" x1="{_LEFT}" x2="{across.end}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    middle = (across.start + across.end) / 2
    texts.append(
        f'<text x="{middle:.0f}" y="{up.start + 34}" text-anchor="middle">'
        "share of the time of retraining</text>"
        f'<text x="12" y="{(up.start + up.end) / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {(up.start + up.end) / 2:.0f})">gap</text>'
    )
    return "".join(texts)


def _level(up: LogAxis, gap: float, name: str, style: str) -> str:
    """Returns a line across the picture at a gap, with its name at its start."""
    y, end = up.at(gap), _WIDTH - _RIGHT
    return (
        f'<line x1="{_LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke-width="1.6"{style}/>'
        f'<text x="{_LEFT + 5}" y="{y - 4:.1f}">{name}</text>'
    )


def _dots(points: Sequence[Point], height: float) -> list[str]:
    """Returns dots, and their names in a column at the right with a thin line to each."""
    points = sorted(points, key=lambda point: (point[2], -point[1]))
    parts, column = [], _WIDTH - _RIGHT + 14
    levels = apart([y for *_, y in points], _LINE, height)
    for (name, x, y), place in zip(points, levels, strict=True):
        parts.append(
            f'<path class="b" fill="none" d="M{x:.1f} {y:.1f}L{column - 3} {place:.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="var(--ink)">'
            f"<title>{escape(name)}</title></circle>"
            f'<text x="{column}" y="{place + 4:.1f}">{escape(name)}</text>'
        )
    return parts
