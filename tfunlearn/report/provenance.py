"""What a report rests on, and how to make it again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from tfunlearn.report import markup
from tfunlearn.report.evidence_page import words

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["environment", "environment_sha256", "fingerprints", "recipe"]


def fingerprints(report: AuditReport) -> str:
    """Returns the fingerprints of the models and the split, or nothing if no model has one."""
    if not report.fingerprints:
        return ""
    marks = {
        "ids and data of the split": report.split["fingerprint"],
        **report.fingerprints,
        **{f"file of {name}, {file.name}": file.sha256 for name, file in report.files.items()},
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
    named["sha256 of the environment"] = environment_sha256(report.environment)
    return markup.pairs({"created": report.created, **named})


def environment_sha256(environment: Mapping[str, Any]) -> str:
    """Returns a sha256 of an environment, as hexadecimal text, whatever the order of its parts."""
    return hashlib.sha256(json.dumps(dict(environment), sort_keys=True).encode()).hexdigest()
