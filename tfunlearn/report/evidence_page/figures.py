"""The main table of a model: every figure with its place among the references'."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from tfunlearn.report import markup, wording
from tfunlearn.report.evidence import Evidence, Placed
from tfunlearn.report.evidence_page import words
from tfunlearn.report.evidence_page.strip import strip

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["figures"]

_HEADS = (
    "figure",
    "value",
    "references",
    "among the references",
    "percentile",
    "p-value",
    "sd away",
)


def figures(report: AuditReport, evidence: Mapping[str, Evidence]) -> str:
    """Returns a table per model with a line per figure."""
    return "".join(
        f'<div class="card wide"><h3>{markup.model_name(report, name)}</h3>'
        f"{markup.table(_HEADS, [_line(figure) for figure in own.figures], 'cells places')}</div>"
        for name, own in evidence.items()
        if own.figures
    )


def _line(figure: Placed) -> str:
    if figure.value is None:
        return (
            f'<tr><th scope="row">{escape(figure.label)}</th><td data-label="value">'
            '<span class="v">-</span></td><td class="why" colspan="5" data-label="absent">'
            f"{escape(figure.absent)}</td></tr>"
        )
    mean, spread = words.references(figure.references, figure.unit)
    interval = _interval(figure)
    shown = f"{figure.label}: {_value(figure)}; references {spread or 'absent'}"
    cells = [
        markup.cell("value", _value(figure)),
        markup.cell("references", mean, spread),
        f'<td class="picture">{strip(figure.value, figure.references, shown)}</td>',
        markup.cell("percentile", words.percentile(figure.percentile), interval),
        markup.cell("p-value", words.p_value(figure.p_value), _least(figure)),
        markup.cell("sd away", words.deviation(figure.deviation)),
    ]
    why = f'<span class="why">{escape(figure.absent)}</span>' if figure.absent else ""
    return f'<tr><th scope="row">{escape(figure.label)}{why}</th>{"".join(cells)}</tr>'


def _value(figure: Placed) -> str:
    return wording.number(figure.value, figure.unit)


def _least(figure: Placed) -> str:
    count = len(figure.references)
    return "smallest possible" if wording.smallest(figure.p_value, count, sides=2) else ""


def _interval(figure: Placed) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{words.percentile(figure.low)} to {words.percentile(figure.high)}"
