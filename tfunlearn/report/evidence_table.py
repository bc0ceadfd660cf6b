"""What an audit against many references shows, as plain text: verdicts and figures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
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
        least = wording.smallest(own.verdict.p_value, own.verdict.references)
        text = f"{name}: {own.verdict.text}"
        text += f" This p is {least}." if least and least not in text else ""
        lines += textwrap.wrap(text, _WIDTH, initial_indent="- ", subsequent_indent="  ")
    lines += ["", *_figures(report.evidence), ""]
    note = "In brackets: the figure's percentile among the references' own."
    if _by_model(report.evidence):
        note += (
            " Of figures that hold a model against the others, the references' differ by model, as "
            "it is one of the others; the range of their means is given."
        )
    return [*lines, *textwrap.wrap(note, _WIDTH), ""]


def _figures(evidence: dict[str, Evidence]) -> list[str]:
    """Returns a table with a line per figure and a column per model."""
    first = next(iter(evidence.values()))
    names = [textwrap.shorten(name, _NAME_WIDTH, placeholder="...") for name in evidence]
    table = [["", *names, "references, mean (std)"]]
    for place, figure in enumerate(first.figures):
        own = [found.figures[place] for found in evidence.values()]
        table.append([figure.label, *map(_cell, own), _spread(own)])
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    return [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in table
    ]


def _by_model(evidence: Mapping[str, Evidence]) -> bool:
    """Tells whether the references' values of some figure differ from model to model."""
    tables = zip(*(own.figures for own in evidence.values()), strict=True)
    return any(len({own.references for own in row if own.references}) > 1 for row in tables)


def _cell(placed: Placed) -> str:
    if placed.value is None:
        return "-"
    percentile = "" if placed.percentile is None else f" ({placed.percentile:3.0f})"
    return f"{wording.number(placed.value, placed.unit)}{percentile}"


def _spread(own: Sequence[Placed]) -> str:
    """Returns the references' mean and deviation; the range of means where they differ by model."""
    found = [Spread.of(placed.references) for placed in own if placed.references]
    unit = own[0].unit
    if not found:
        return "-"
    means = sorted({wording.number(spread.mean, unit) for spread in found}, key=float)
    if len({placed.references for placed in own if placed.references}) > 1:
        return means[0] if len(means) == 1 else f"{means[0]} to {means[-1]}"
    std = "" if found[0].std is None else f" ({wording.number(found[0].std, unit)})"
    return f"{means[0]}{std}"
