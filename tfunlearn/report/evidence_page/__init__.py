"""The sections of an HTML report that show the evidence of an audit against many references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfunlearn.report.evidence_page.attacks import attacks, methods
from tfunlearn.report.evidence_page.figures import figures
from tfunlearn.report.evidence_page.margins import LEGEND, margins
from tfunlearn.report.evidence_page.slices import slices
from tfunlearn.report.evidence_page.style import CSS
from tfunlearn.report.evidence_page.verdicts import verdicts, what_was_done
from tfunlearn.report.evidence_page.words import READING
from tfunlearn.report.evidence_page.worst import legend, worst
from tfunlearn.report.markup import section

if TYPE_CHECKING:
    from tfunlearn.report.evidence import Evidence
    from tfunlearn.report.result import AuditReport

__all__ = ["CSS", "READING", "answer", "sections", "what_was_done"]


def answer(report: AuditReport) -> str:
    """Returns the section to read first: inside the references' spread, or not."""
    evidence = in_order(report)
    text = (
        "Inside means: these figures do not tell the model from one more retrained model. It does "
        "not mean that nothing could."
    )
    return section("Beside retrained models", text, verdicts(report, evidence))


def sections(report: AuditReport) -> list[str]:
    """Returns the sections that show what the answer rests on; nothing without evidence."""
    evidence = in_order(report)
    return [
        section(
            "Each figure among the references",
            "Dots: the references; band: their range; diamond: the model. Percentile: share of "
            "the references below, with its interval. Sd away: distance from the references' mean "
            "in their standard deviations. A single figure far out is no answer; the answer above "
            "counts all of them together.",
            figures(report, evidence),
        ),
        section(
            "Membership attacks",
            "How well each attack tells forget examples from test examples. Dashed: chance. "
            "Shaded: rates too low to be seen with so few test examples. The target is the "
            f"references' value. {methods(evidence)}",
            attacks(report, evidence),
        ),
        section("Margins on the forget examples", LEGEND, margins(report, evidence), raw=True),
        section(
            "Forget accuracy by class",
            "Dots: the references; diamond: the model.",
            slices(report, evidence),
        ),
        section(
            "Examples furthest from the references",
            legend(evidence),
            worst(report, evidence),
        ),
    ]


def in_order(report: AuditReport) -> dict[str, Evidence]:
    """Returns the evidence in the order of the report's rows."""
    return {
        row.name: report.evidence[row.name] for row in report.rows if row.name in report.evidence
    }
