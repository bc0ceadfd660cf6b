"""The answers: whether each model lies inside the references' spread."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from tfunlearn.report import markup, wording
from tfunlearn.report.evidence import Evidence, Verdict
from tfunlearn.report.evidence_page import words

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["verdicts", "what_was_done"]

_STATES = {
    True: ("inside", "Inside the spread", 32),
    False: ("outside", "Outside the spread", 62),
    None: ("open", "Cannot be told", None),
}
_MOST_FIGURES = 3


def verdicts(report: AuditReport, evidence: Mapping[str, Evidence]) -> str:
    """Returns a card per model: inside or outside, with the number of references and p-value."""
    return markup.cards(
        [_card(markup.model_name(report, name), own.verdict) for name, own in evidence.items()],
        "verdicts",
    )


def what_was_done(report: AuditReport) -> str:
    """Returns in one sentence what the models were held against, and by what."""
    evidence = report.evidence
    counts = sorted({own.verdict.references for own in evidence.values()})
    figures = {figure.name for own in evidence.values() for figure in own.figures}
    attacks = {attack.attack for own in evidence.values() for attack in own.attacks}
    among = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    by = f" and {_counted(len(attacks), 'membership attack')}" if attacks else ""
    seeds = f" (seeds {words.seeds(report.reference_seeds)})" if report.reference_seeds else ""
    models = "Each model below" if len(evidence) > 1 else "The model below"
    return (
        f"{models} was held against {among} models retrained without the forget set"
        f"{seeds}, by {_counted(len(figures), 'figure')}{by}."
    )


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" + ("" if count == 1 else "s")


def _card(name: str, verdict: Verdict) -> str:
    kind, heading, mark = _STATES[verdict.inside]
    chance = (
        f"p = {words.p_value(verdict.p_value)}" if verdict.p_value is not None else "no p-value"
    )
    least = wording.smallest(verdict.p_value, verdict.references)
    chance += f", {least}" if least and least not in verdict.text else ""
    facts = f"N = {verdict.references:,} &middot; {chance} &middot; level {verdict.level:.0%}"
    others = [label for label in verdict.furthest[:_MOST_FIGURES] if label not in verdict.text]
    last = f'<p class="soft">Furthest out: {escape(", ".join(others))}</p>' if others else ""
    return (
        f'<h3>{name}</h3><p class="verdict {kind}">{_sign(mark)}<b>{heading}</b></p>'
        f'<p class="facts">{facts}</p>'
        f"<p>{escape(verdict.text)}</p>{last}"
    )


def _sign(mark: int | None) -> str:
    """Returns a band with a diamond in it or beside it; the words say the same."""
    shape = f'<path d="M{mark} 5l7 7-7 7-7-7z"/>' if mark else '<text x="32" y="17">?</text>'
    return (
        '<svg viewBox="0 0 72 24" aria-hidden="true">'
        f'<rect x="16" y="3" width="32" height="18" rx="3"/>{shape}</svg>'
    )
