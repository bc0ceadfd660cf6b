"""The trade-off plot: how close each method comes to retraining, against what it costs."""

import math
from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 760, 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 150, 12, 40
_LINE = 12  # height of a label
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
    across = _Axis([0.01, 1.0, *(share for _, share, _ in points)], _LEFT, _WIDTH - _RIGHT)
    up = _Axis([*lines, *(gap for *_, gap in points)], _HEIGHT - _BOTTOM, _TOP)
    parts = [
        _aim(across, up, budget, lines[1]),
        _ticks(across, up),
        _level(up, lines[0], "doing nothing", ' stroke-dasharray="5 4" stroke="var(--soft)"'),
    ]
    if len(lines) > 2:
        parts.append(_level(up, lines[2], "references", ' stroke="var(--accent)"'))
    parts += _dots([(name, across.at(share), up.at(gap)) for name, share, gap in points])
    label = "Gap to the references against share of the time of retraining, a dot per method"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


class _Axis:
    """A logarithmic axis that holds some values, between two places of the picture."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)) - 0.05)
        self.high = max(math.ceil(math.log10(max(values)) + 0.05), self.low + 1)
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        """Returns the place of a value."""
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def powers(self) -> list[tuple[float, str]]:
        """Returns the place and the text of each power of ten."""
        numbers = range(self.low, self.high + 1)
        return [(self.at(10.0**number), f"{10.0**number:g}") for number in numbers]


def _aim(across: _Axis, up: _Axis, budget: float, gap: float) -> str:
    """Returns the shaded corner: close and cheap."""
    x, y = across.at(budget), up.at(gap)
    return (
        f'<rect x="{_LEFT}" y="{y:.1f}" width="{x - _LEFT:.1f}" height="{up.start - y:.1f}" '
        'fill="var(--band)" fill-opacity=".5"/>'
    )


def _ticks(across: _Axis, up: _Axis) -> str:
    """Returns the axes: base lines, powers of ten and what they mean."""
    texts = []
    for x, text in across.powers():
        texts.append(
            f'<line class="b" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{up.start}"/>'
            f'<text x="{x:.1f}" y="{up.start + 15}" text-anchor="middle">{text}</text>'
        )
    for y, text in up.powers():
        texts.append(
            f'<line class="b" x1="{_LEFT}" x2="{across.end}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    middle = (across.start + across.end) / 2
    texts.append(
        f'<text x="{middle:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">'
        "share of the time of retraining</text>"
        f'<text x="12" y="{(up.start + up.end) / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {(up.start + up.end) / 2:.0f})">gap</text>'
    )
    return "".join(texts)


def _level(up: _Axis, gap: float, name: str, style: str) -> str:
    """Returns a line across the picture at a gap, with its name at its end."""
    y, end = up.at(gap), _WIDTH - _RIGHT
    return (
        f'<line x1="{_LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke-width="1.6"{style}/>'
        f'<text x="{end + 4}" y="{y + 4:.1f}">{name}</text>'
    )


def _dots(points: Sequence[Point]) -> list[str]:
    """Returns dots with their names beside them, moved down where names would overlap."""
    parts, taken = [], []
    for name, x, y in sorted(points, key=lambda point: (point[2], point[1])):
        place, width = y, 6.2 * len(name) + 10
        while any(abs(place - b) < _LINE and x < a + w and a < x + width for a, b, w in taken):
            place += _LINE / 4
        taken.append((x, place, width))
        lead = (
            "" if place == y else f'<path d="M{x:.1f} {y:.1f}L{x + 7:.1f} {place:.1f}" class="b"/>'
        )
        parts.append(
            f'{lead}<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="var(--ink)">'
            f"<title>{escape(name)}</title></circle>"
            f'<text x="{x + 8:.1f}" y="{place + 4:.1f}">{escape(name)}</text>'
        )
    return parts
