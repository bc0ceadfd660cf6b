"""What membership attacks show: a card per attack with curve, table and reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from tfunlearn.report import markup, wording
from tfunlearn.report.evidence import AttackResult, Evidence
from tfunlearn.report.evidence_page import words
from tfunlearn.report.evidence_page.roc import key, roc_chart

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["attacks", "methods"]

_NO_REFERENCES = "references"
"""What `AttackResult.absent` calls the references' areas where there are none."""

Found = list[tuple[int, str, AttackResult]]
"""Style number, model and what one attack shows on it."""

_ORDER = ("auc", "advantage", "balanced_accuracy", "tpr_at_fpr_0_01", "tpr_at_fpr_0_001")


def attacks(report: AuditReport, evidence: Mapping[str, Evidence]) -> str:
    """Returns a card per attack; a model keeps its line's style in all of them."""
    by_attack: dict[str, Found] = {}
    for style, (name, own) in enumerate(evidence.items()):
        for attack in own.attacks:
            by_attack.setdefault(attack.attack, []).append((style, name, attack))
    return "".join(_card(report, found) for found in by_attack.values())


def methods(evidence: Mapping[str, Evidence]) -> str:
    """Returns how the intervals were made, in a sentence."""
    made: dict[str, list[str]] = {}
    for own in evidence.values():
        for attack in own.attacks:
            for name, figure in attack.figures.items():
                if name not in made.setdefault(figure.method, []):
                    made[figure.method].append(name)
    parts = [f"{', '.join(map(words.figure_label, names))}: {way}" for way, names in made.items()]
    return f"Intervals: {'; '.join(parts)}." if parts else ""


def _card(report: AuditReport, found: Found) -> str:
    label, nonmembers = found[0][2].label, min(attack.nonmembers for *_, attack in found)
    curves = [(style, attack.fpr, attack.tpr) for style, _, attack in found]
    chart = roc_chart(curves, nonmembers, f"ROC curves of the attack: {label}")
    names = _figures(found)
    heads = ["model", *(words.figure_label(name) for name in names)]
    lines = [_line(report, names, *own) for own in found] + _references(names, found)
    sizes = {(attack.members, attack.nonmembers) for *_, attack in found}
    among = " or ".join(f"{m:,} forget against {n:,} test examples" for m, n in sorted(sizes))
    return (
        f'<div class="card wide"><h3>{escape(label)}</h3><p class="soft">{among}</p>'
        f'<div class="attack">{chart}<div>{markup.table(heads, lines)}{_reasons(found)}</div>'
        "</div></div>"
    )


def _figures(found: Found) -> list[str]:
    """Returns the figures that any model has or lacks, the well-known first."""
    held = {name: None for *_, own in found for name in (*own.figures, *own.absent)}
    held.pop(_NO_REFERENCES, None)
    return [name for name in _ORDER if name in held] + [n for n in held if n not in _ORDER]


def _line(
    report: AuditReport, names: Sequence[str], style: int, model: str, attack: AttackResult
) -> str:
    cells = []
    for name in names:
        figure, label = attack.figures.get(name), words.figure_label(name)
        if figure is None:
            cells.append(markup.cell(label, "absent"))
            continue
        interval = words.span(figure.low, figure.high)
        cells.append(markup.cell(label, wording.number(figure.value), interval))
    return (
        f'<tr><th scope="row">{key(style)}{markup.model_name(report, model)}</th>'
        f"{''.join(cells)}</tr>"
    )


def _references(names: Sequence[str], found: Found) -> list[str]:
    """Returns a line with the references' AUC, or one per model where they differ."""
    by_values: dict[tuple[float, ...], list[str]] = {}
    for _, model, attack in found:
        if attack.references:
            by_values.setdefault(tuple(attack.references), []).append(model)
    lines = []
    for values, models in by_values.items():
        whose = f" of {', '.join(models)}" if len(by_values) > 1 else ""
        mean, spread = words.references(values)
        area = markup.cell("AUC", mean, spread)
        cells = "".join(area if name == "auc" else "<td></td>" for name in names)
        text = escape(f"references{whose}, {len(values)}")
        lines.append(f'<tr class="ref"><th scope="row">{text}</th>{cells}</tr>')
    return lines


def _reasons(found: Found) -> str:
    """Returns why figures are absent, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for _, model, attack in found:
        for name, reason in attack.absent.items():
            reasons.setdefault((words.figure_label(name), reason), []).append(model)
    texts = [
        f"{label} absent"
        + ("" if len(models) == len(found) else f" for {', '.join(models)}")
        + f": {reason}."
        for (label, reason), models in reasons.items()
    ]
    return "".join(f'<p class="soft">{escape(text)}</p>' for text in texts)
