"""How sure the models are of the forget examples: a picture per model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from tfunlearn.report import markup
from tfunlearn.report.evidence import Evidence, MarginHistograms

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["LEGEND", "margins"]

LEGEND = (
    '<span class="key own"></span>the model <span class="key t"></span>the original '
    '<span class="key band"></span>the references, lowest to highest, and their mean. '
    "Share of the forget examples by logit margin; to the right the model is surer of the right "
    "class. Examples beyond an end count there."
)
_WIDTH, _HEIGHT = 300, 110
_TICKS = 6


def margins(report: AuditReport, evidence: Mapping[str, Evidence]) -> str:
    """Returns a picture per model."""
    bodies = [
        f"<h3>{markup.model_name(report, name)}</h3>"
        + _picture(own.margins, f"Margins of {name} and the references on the forget examples")
        for name, own in evidence.items()
        if len(own.margins.edges) > 1
    ]
    return markup.cards(bodies)


def _picture(found: MarginHistograms, label: str) -> str:
    original = found.original or ()
    top = max(*found.candidate, *found.high, *original) or 1.0
    edges = [
        _WIDTH * (edge - found.edges[0]) / (found.edges[-1] - found.edges[0])
        for edge in found.edges
    ]
    lower = _steps(edges, found.low, top, back=True)
    line = ""
    if original and tuple(original) != tuple(found.candidate):
        line = f'<path class="t" d="M0 {_HEIGHT}{_steps(edges, original, top)}V{_HEIGHT}"/>'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 18}" role="img" aria-label="{escape(label)}">'
        f'<path class="band" d="M0 {_HEIGHT}{_steps(edges, found.high, top)}{lower}Z"/>'
        f'<path class="own" d="M0 {_HEIGHT}{_steps(edges, found.candidate, top)}V{_HEIGHT}Z"/>'
        f'<path class="mean" d="M0 {_HEIGHT}{_steps(edges, found.mean, top)}V{_HEIGHT}"/>{line}'
        f'<path class="b" d="M0 {_HEIGHT}H{_WIDTH}"/>{_ticks(found.edges)}</svg>'
    )


def _steps(
    edges: Sequence[float], shares: Sequence[float], top: float, *, back: bool = False
) -> str:
    """Returns the top of a histogram from left to right, or the way back."""
    tops = [_HEIGHT - (_HEIGHT - 6) * share / top for share in shares]
    ends = edges[:-1][::-1] if back else edges[1:]
    return "".join(
        f"V{y:.1f}H{x:.1f}" for y, x in zip(tops[::-1] if back else tops, ends, strict=True)
    )


def _ticks(edges: Sequence[float]) -> str:
    """Returns labels at a few round margins."""
    low, high = edges[0], edges[-1]
    texts = []
    for value in _round_values(low, high):
        x = _WIDTH * (value - low) / (high - low)
        anchor = "start" if x < 12 else "end" if x > _WIDTH - 12 else "middle"
        texts.append(
            f'<path class="b" d="M{x:.1f} {_HEIGHT}v4"/>'
            f'<text x="{x:.1f}" y="{_HEIGHT + 16}" text-anchor="{anchor}">{value:g}</text>'
        )
    return "".join(texts)


def _round_values(low: float, high: float) -> list[float]:
    """Returns multiples of a one, two or five of some power of ten, at most seven of them.

    Example:
        >>> _round_values(-3.3, 17.2)
        [0.0, 5.0, 10.0, 15.0]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / _TICKS))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= (high - low) / _TICKS)
    return [
        round(place * step, 10) for place in range(math.ceil(low / step), int(high // step) + 1)
    ]
