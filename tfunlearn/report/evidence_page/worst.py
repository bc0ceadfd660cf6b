"""The forget examples on which a model is furthest from the references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfunlearn.report import markup
from tfunlearn.report.evidence import Evidence, WorstExample
from tfunlearn.report.evidence_page import words

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["MOST", "worst"]

MOST = 10
"""A model's examples that are shown."""

_HEADS = ("id", "label", "margin", "references' mean", "sd away")


def worst(report: AuditReport, evidence: Mapping[str, Evidence]) -> str:
    """Returns a table per model, the furthest example first."""
    bodies = [
        f"<h3>{markup.model_name(report, name)}</h3>"
        + markup.table(_HEADS, [_line(example) for example in own.worst[:MOST]], "plain")
        for name, own in evidence.items()
        if own.worst
    ]
    return markup.cards(bodies, "halves")


def _line(example: WorstExample) -> str:
    numbers = (
        f"{example.margin:.2f}",
        f"{example.reference_mean:.2f}",
        words.deviation(example.deviation),
    )
    cells = "".join(f"<td>{text}</td>" for text in (str(example.label), *numbers))
    return f'<tr><th scope="row">{example.id}</th>{cells}</tr>'
