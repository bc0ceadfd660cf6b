"""What an audit against many references shows, as plain text: verdicts and figures."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tfunlearn.report import wording
from tfunlearn.report.evidence import Evidence, Placed
from tfunlearn.report.parts import Spread

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["render"]

_WIDTH = 100
_NAME_WIDTH = 18


def render(report: AuditReport) -> list[str]:
    """Returns the verdicts, one a model, and every figure with its percentile among the references.

    Returns:
        Lines, an empty one last; none where there is no evidence.
    """
    if not report.evidence:
        return []
    lines = ["Beside the references, over all figures at once:"]
    for name, own in report.evidence.items():
        text = f"{name}: {own.verdict.text}"
        lines += textwrap.wrap(text, _WIDTH, initial_indent="- ", subsequent_indent="  ")
    lines += ["", *_figures(report.evidence), ""]
    note = "In brackets: the figure's percentile among the references' own."
    return [*lines, *textwrap.wrap(note, _WIDTH), ""]


def _figures(evidence: dict[str, Evidence]) -> list[str]:
    """Returns a table with a line per figure and a column per model."""
    first = next(iter(evidence.values()))
    names = [textwrap.shorten(name, _NAME_WIDTH, placeholder="...") for name in evidence]
    table = [["", *names, "references, mean (std)"]]
    for place, figure in enumerate(first.figures):
        own = [found.figures[place] for found in evidence.values()]
        table.append([figure.label, *map(_cell, own), _spread(figure)])
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    return [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in table
    ]


def _cell(placed: Placed) -> str:
    if placed.value is None:
        return "-"
    percentile = "" if placed.percentile is None else f" ({placed.percentile:3.0f})"
    return f"{wording.number(placed.value, placed.unit)}{percentile}"


def _spread(placed: Placed) -> str:
    if not placed.references:
        return "-"
    spread = Spread.of(placed.references)
    std = "" if spread.std is None else f" ({wording.number(spread.std, placed.unit)})"
    return f"{wording.number(spread.mean, placed.unit)}{std}"
