"""The forget accuracy class by class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfunlearn.report import markup, wording
from tfunlearn.report.evidence import ClassSlice, Evidence
from tfunlearn.report.evidence_page import words
from tfunlearn.report.evidence_page.strip import strip

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["MOST", "slices"]

MOST = 20
"""A model's classes that are shown; of more, those furthest from the references."""


def slices(report: AuditReport, evidence: Mapping[str, Evidence]) -> str:
    """Returns a table per model with a line per class."""
    bodies = [
        f"<h3>{markup.model_name(report, name)}</h3>{_table(own.slices)}"
        for name, own in evidence.items()
        if own.slices
    ]
    return markup.cards(bodies, "halves")


def _table(found: tuple[ClassSlice, ...]) -> str:
    chosen = sorted(found, key=_distance, reverse=True)[:MOST]
    lines = [_line(own) for own in sorted(chosen, key=lambda own: own.label)]
    cut = f"The {MOST} of {len(found)} classes furthest from the references."
    note = f'<p class="soft">{cut}</p>' if len(found) > MOST else ""
    return markup.table(("class", "", "accuracy", "references"), lines, "strips") + note


def _distance(own: ClassSlice) -> float:
    if not own.references:
        return 0.0
    return abs(own.accuracy - math.fsum(own.references) / len(own.references))


def _line(own: ClassSlice) -> str:
    mean, spread = words.references(own.references)
    shown = f"Class {own.label}: {wording.number(own.accuracy)}; references {spread or 'absent'}"
    return (
        f'<tr><th scope="row">{own.label}<span class="g">of {own.size:,}</span></th>'
        f'<td class="picture">{strip(own.accuracy, own.references, shown)}</td>'
        f"{markup.cell('accuracy', wording.number(own.accuracy))}"
        f"{markup.cell('references', mean, spread)}</tr>"
    )
