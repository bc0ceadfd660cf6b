"""The report as plain text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tfunlearn.report import evidence_table, wording
from tfunlearn.report.parts import Column

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["render"]

_WIDTH = 100
_NAME_WIDTH = 35


def render(report: AuditReport) -> str:
    """Returns aligned tables, the sentence on targets, and the notes."""
    sizes = report.split["sizes"]
    lines = [
        report.title,
        wording.request(report),
        "Examples: " + ", ".join(f"{role} {count:,}" for role, count in sizes.items()) + ".",
        "",
    ]
    for _, groups in wording.BLOCKS:
        columns = [column for column in report.columns if column.group in groups]
        if not columns:
            continue
        lines += [*_block(report, columns, "accuracy" in groups), ""]
    lines += evidence_table.render(report)
    lines += ["What the columns say:"]
    lines += [line for text in wording.directions(report) for line in _wrapped(text, "- ")]
    lines += _wrapped(wording.target(report))
    if report.reference_count:
        gaps = "In brackets: the gap to the reference, value minus reference."
        lines += _wrapped(f"{gaps} {wording.averaged(report)}")
    if report.reference_count > 1:
        lines += _wrapped(
            "The reference is the mean of several; * marks values in their range."
            + (
                " The average gap of a reference is to the mean of the others."
                if report.references
                else ""
            )
        )
    lines += [line for note in report.notes for line in _wrapped(note, "- ")]
    return "\n".join(lines)


def _block(report: AuditReport, columns: list[Column], with_average: bool) -> list[str]:
    """Returns the lines of one table."""
    headings = ["\nmodel", *(wording.heading(column) for column in columns)]
    names = [row.name for row in report.rows]
    body = [[_name(report, n), *(_cell(report, n, column) for column in columns)] for n in names]
    body += _spread_rows(report, columns)
    if with_average:
        headings.append("\n".join(wording.AVERAGE.split(" ", 1)))
        averages = [wording.number(report.average_gap(name)) for name in names]
        for line, average in zip(body, averages + [""] * len(body), strict=False):
            line.append(average)
    heads = [["", *heading.split("\n")][-2:] for heading in headings]
    return _aligned([*([head[i] for head in heads] for i in (0, 1)), *body])


def _name(report: AuditReport, name: str) -> str:
    return " ".join([_short(name), *(f"({word})" for word in wording.tags(report, name))])


def _short(name: str) -> str:
    """Returns a name on one line; a long one loses its middle, as variants differ at their end."""
    name = " ".join(name.split()) or repr(name)
    keep = (_NAME_WIDTH - 3) // 2
    return name if len(name) <= _NAME_WIDTH else f"{name[:keep]}...{name[-keep:]}"


def _cell(report: AuditReport, name: str, column: Column) -> str:
    value = wording.number(report.value(name, column.name), column.unit)
    gap = wording.shown_gap(report, name, column)
    mark = "*" if report.within(name, column.name) else ""
    return value if gap is None else f"{value} ({wording.signed(gap, column.unit)}){mark}"


def _spread_rows(report: AuditReport, columns: list[Column]) -> list[list[str]]:
    """Returns mean, lowest and highest of the references where there are several."""
    if report.reference_count < 2:
        return []
    spreads = [(report.reference(column.name), column.unit) for column in columns]
    return [
        [f"references, {word}", *(wording.number(s and getattr(s, key), u) for s, u in spreads)]
        for word, key in (("mean", "mean"), ("lowest", "min"), ("highest", "max"))
    ]


def _aligned(lines: list[list[str]]) -> list[str]:
    """Sets names flush left, and values so that their numbers stand under one another."""
    tails = [0] * len(lines[0])
    for line in lines[2:]:
        tails = [max(t, len(c) - len(c.split(" ")[0])) for t, c in zip(tails, line, strict=True)]
    for line in lines[2:]:
        for place in range(1, len(line)):
            line[place] += " " * (tails[place] - len(line[place]) + len(line[place].split(" ")[0]))
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    texts = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        texts.append("  ".join(cells).rstrip())
    texts.insert(2, "-" * max(len(text) for text in texts))
    return texts


def _wrapped(text: str, bullet: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet)
    ) or [""]
