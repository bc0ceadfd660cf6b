"""What a report rests on, and how to make it again."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tfunlearn.report import markup
from tfunlearn.report.evidence_page import words

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["environment", "fingerprints", "recipe"]


def fingerprints(report: AuditReport) -> str:
    """Returns the fingerprints of the models and the split, or nothing if no model has one."""
    if not report.fingerprints:
        return ""
    marks = {
        "ids and data of the split": report.split["fingerprint"],
        **report.fingerprints,
    }
    return f'<div class="mono">{markup.pairs(marks)}</div>'


def recipe(report: AuditReport) -> str:
    """Returns the command that makes the report again, or nothing if it is not known."""
    return f'<pre class="card">{escape(report.command)}</pre>' if report.command else ""


def environment(report: AuditReport) -> str:
    """Returns when and with what the report was made."""
    named = {str(key).replace("_", " "): value for key, value in report.environment.items()}
    if report.reference_seeds:
        named["seeds of the references"] = words.seeds(report.reference_seeds)
    return markup.pairs({"created": report.created, **named})
