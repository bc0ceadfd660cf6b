"""ROC curves on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tfunlearn.report.log_axis import LogAxis

__all__ = ["Curve", "key", "roc_chart"]

_LEAST = 1e-4
_WIDTH, _HEIGHT = 344, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 334, 8, 262
_COLOURS = 6

Curve = tuple[int, Sequence[float], Sequence[float]]
"""Number of the line's style, false positive rates, true positive rates."""


def roc_chart(curves: Sequence[Curve], nonmembers: int, label: str) -> str:
    """Returns the curves as SVG with the line of chance; nothing without a curve.

    A curve is drawn in steps that never show more than was measured. Rates below 0.0001 are drawn
    there. Rates below one of the non-members are shaded: they cannot be seen.

    Args:
        curves: Style and rates, the false positive rates rising.
        nonmembers: Number of test examples of the attack.
        label: What it shows, for those who do not see it.
    """
    curves = [curve for curve in curves if len(curve[1])]
    if not curves:
        return ""
    across, up = LogAxis(_LEAST, 1, _LEFT, _RIGHT), LogAxis(_LEAST, 1, _BOTTOM, _TOP)
    unseen = across.at(1 / nonmembers) - _LEFT
    lines = [
        f'<path class="roc s{style % _COLOURS}" d="{_path(fpr, tpr, across, up)}"/>'
        for style, fpr, tpr in curves
    ]
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">'
        f'<rect class="unseen" x="{_LEFT}" y="{_TOP}" width="{unseen:.1f}" '
        f'height="{_BOTTOM - _TOP}"/>{_axes(across, up)}'
        f'<path class="chance" d="M{_LEFT} {_BOTTOM}L{_RIGHT} {_TOP}"/>{"".join(lines)}</svg>'
    )


def key(style: int) -> str:
    """Returns a short piece of a line, to stand beside the model's name."""
    return (
        '<svg class="line" viewBox="0 0 30 8" aria-hidden="true">'
        f'<path class="roc s{style % _COLOURS}" d="M0 4H30"/></svg>'
    )


def _path(fpr: Sequence[float], tpr: Sequence[float], across: LogAxis, up: LogAxis) -> str:
    """Returns a curve in steps: to the right at the height reached, then up."""
    start = max((t for f, t in zip(fpr, tpr, strict=True) if f <= _LEAST), default=0.0)
    parts, last = [f"M{_LEFT} {up.at(start):.1f}"], ("", "")
    for f, t in zip(fpr, tpr, strict=True):
        step = (f"H{across.at(f):.1f}", f"V{up.at(t):.1f}")
        if f > _LEAST and step != last:
            parts += step
            last = step
    return "".join(parts)


def _axes(across: LogAxis, up: LogAxis) -> str:
    texts = []
    for value in across.powers():
        x, y, text = across.at(value), up.at(value), f"{value:g}" if value >= 0.001 else "0.0001"
        texts.append(
            f'<path class="b" d="M{x:.1f} {_TOP}V{_BOTTOM}M{_LEFT} {y:.1f}H{_RIGHT}"/>'
            f'<text x="{x:.1f}" y="{_BOTTOM + 16}" text-anchor="{_anchor(x)}">{text}</text>'
            f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    middle, height = (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2
    texts.append(
        f'<text x="{middle:.0f}" y="{_BOTTOM + 33}" text-anchor="middle">false positive rate</text>'
        f'<text x="12" y="{height:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {height:.0f})">true positive rate</text>'
    )
    return "".join(texts)


def _anchor(x: float) -> str:
    return "end" if x > _RIGHT - 5 else "middle"
