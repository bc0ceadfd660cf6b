"""The report as one self-contained HTML page, and as a fragment for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tfunlearn.report import charts, evidence_page, provenance, wording
from tfunlearn.report.markup import bullets, contents, model_name, pairs, section
from tfunlearn.report.parts import Column
from tfunlearn.report.style import CSS
from tfunlearn.report.tradeoff import tradeoff

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = ["fragment", "page"]

_BAR_LIMIT = 0.25
_SHAPES = " Where the reference's two shapes lie on each other, an unlearned model's should too."


def page(report: AuditReport) -> str:
    """Returns the whole report as an HTML page that needs nothing else, no network included."""
    head, *parts = _sections(report)
    if report.evidence:
        head += contents(parts)
    style = CSS + (evidence_page.CSS if report.evidence else "")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{style}</style></head>\n"
        f'<body class="tfu"><main>\n{head}{"".join(parts)}</main></body></html>\n'
    )


def _sections(report: AuditReport) -> list[str]:
    """Returns the parts of the page: the answer first, then what it rests on, then the rest."""
    given = report.reference_count
    return [
        _head(report),
        evidence_page.answer(report),
        section(
            "Beside the reference" if given else "Each model's numbers",
            _legend(report),
            _table(report, _main_columns(report), average=True) + _notes(report),
        ),
        *evidence_page.sections(report),
        section(
            "Accuracy by role",
            "A dot per model. "
            + ("The violet line is the reference" if given else "")
            + (
                ""
                if not given
                else ", the band the range of the references. "
                if given > 1
                else ". "
            )
            + "Each axis covers only the range it needs.",
            charts.accuracy_panels(report),
        ),
        section(
            "Losses per example",
            '<span class="key"></span>forget examples <span class="key t"></span>test examples. '
            "Loss in nats, logarithmic; to the left the model is surer of the right class."
            + (_SHAPES if report.references else ""),
            charts.loss_panels(report),
            raw=True,
        ),
        *(
            section(heading.capitalize(), "", _table(report, _group(report, *groups)))
            for heading, groups in wording.BLOCKS[1:]
        ),
        section(
            "What closeness costs",
            "To the left is faster, further down is closer to the reference. Both axes are "
            "logarithmic.",
            tradeoff(report),
        ),
        section("Time", "Seconds to make each model.", charts.cost_bars(report)),
        section("The split", "", _split(report)),
        section("How to read this", "", bullets(_reading(report))),
        section(
            "Fingerprints",
            "Equal sums, equal bytes: of each model's weights, of its file, and of the split.",
            provenance.fingerprints(report),
        ),
        section("How to make it again", "", provenance.recipe(report)),
        section("Made with", "", provenance.environment(report)),
    ]


def _reading(report: AuditReport) -> tuple[str, ...]:
    """Returns how to read what the page shows; the last sentence stays the last."""
    return wording.reading(report, evidence_page.READING if report.evidence else ())


def fragment(report: AuditReport) -> str:
    """Returns heading, target, answer, main table and notes, for a notebook's output cell."""
    style = CSS + (evidence_page.CSS if report.evidence else "")
    return (
        f'<style>{style}</style><div class="tfu inline"><h2>{escape(report.title)}</h2>'
        f"<p>{escape(wording.request(report))} {escape(wording.target(report))}</p>"
        f'{evidence_page.answer(report)}<p class="soft">{_legend(report)}</p>'
        f"{_table(report, _main_columns(report), average=True)}{_notes(report)}</div>"
    )


def _head(report: AuditReport) -> str:
    """Returns what was asked and what was done; without evidence, numbers to start from."""
    rest = f"<p>{escape(wording.target(report))}</p>{_tiles(report)}"
    if report.evidence:
        done = evidence_page.what_was_done(report)
        rest = f"<p>{escape(done)} {escape(wording.target(report))}</p>"
    return (
        f'<header><p class="kicker">tfunlearn audit</p><h1>{escape(report.title)}</h1>'
        f'<p class="lead">{escape(wording.request(report))}</p>{rest}</header>\n'
    )


def _tiles(report: AuditReport) -> str:
    """Returns the three numbers to start from; none of them is a verdict."""
    spread = report.reference("forget_accuracy")
    tiles = []
    if spread:
        span = f", from {spread.min:.3f} to {spread.max:.3f}" if spread.count > 1 else ""
        tiles.append((spread.mean, "The reference's forget accuracy", f"the target{span}"))
    if report.original is not None:
        gap = report.average_gap(report.original)
        tiles.append((gap, "Average accuracy gap of doing nothing", report.original))
    known = {*report.references, report.original}
    rows = [row for row in report.rows if row.name not in known and not row.flags]
    gaps = {row.name: report.average_gap(row.name) for row in rows}
    gaps = {name: gap for name, gap in gaps.items() if gap is not None}
    if gaps:
        best = min(gaps, key=gaps.__getitem__)
        tiles.append((gaps[best], "Smallest average accuracy gap of an unlearned model", best))
    cards = [
        f'<div class="card tile"><b>{wording.number(value)}</b><span>{escape(label)}</span>'
        f'<span class="of">{escape(whose)}</span></div>'
        for value, label, whose in tiles
    ]
    return f'<div class="grid tiles">{"".join(cards)}</div>'


def _legend(report: AuditReport) -> str:
    if not report.reference_count:
        return ""
    several = report.reference_count > 1
    whose = "the mean of the references" if several else "the reference"
    return (
        f"Under each value: its gap to {whose}, orange above, blue below; "
        f"bars end at {_BAR_LIMIT}. {wording.averaged(report)}"
        + (" In range: between the lowest and the highest reference." if several else "")
    )


def _main_columns(report: AuditReport) -> list[Column]:
    attack = [column for column in report.columns if column.name == "membership_accuracy"]
    return _group(report, "accuracy") + attack


def _group(report: AuditReport, *groups: str) -> list[Column]:
    return [column for column in report.columns if column.group in groups]


def _table(report: AuditReport, columns: list[Column], *, average: bool = False) -> str:
    """Returns a table of values with their gaps; on a phone each row becomes a card."""
    if not columns:
        return ""
    heads = "".join(
        f'<th scope="col" title="{escape(column.direction)}">{escape(column.label)}</th>'
        for column in columns
    )
    if average:
        heads += f'<th scope="col" title="{wording.averaged(report)}">{wording.AVERAGE}</th>'
    lines = []
    for row in report.rows:
        cells = "".join(_cell(report, row.name, column) for column in columns)
        if average:
            gap = wording.number(report.average_gap(row.name))
            cells += f'<td data-label="{wording.AVERAGE}"><span class="v">{gap}</span></td>'
        kind = ' class="ref"' if row.name in report.references else ""
        lines.append(f'<tr{kind}><th scope="row">{model_name(report, row.name)}</th>{cells}</tr>')
    lines += _spread_rows(report, columns, average=average)
    return (
        '<div class="card scroll"><table class="cells"><thead><tr><th scope="col">model</th>'
        f"{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(report: AuditReport, name: str, column: Column) -> str:
    label, value = escape(column.label), report.value(name, column.name)
    text = f'<span class="v">{wording.number(value, column.unit)}</span>'
    gap = wording.shown_gap(report, name, column)
    if gap is None:
        return f'<td data-label="{label}">{text}</td>'
    side = "up" if gap >= 0 else "down"
    inside = " <em>in range</em>" if report.within(name, column.name) else ""
    text += f'<span class="g">{wording.signed(gap, column.unit)}{inside}</span>'
    if column.unit == "fraction":
        length = 50 * min(abs(gap) / _BAR_LIMIT, 1.0)
        text += f'<span class="bar"><i style="width:{length:.1f}%"></i></span>'
    return f'<td class="{side}" data-label="{label}">{text}</td>'


def _spread_rows(report: AuditReport, columns: list[Column], *, average: bool) -> list[str]:
    """Returns a row with the references' mean and range where no one row shows the reference."""
    if report.reference_count < 2 and (report.references or not report.reference_count):
        return []
    cells = []
    for column in columns:
        spread, text = report.reference(column.name), "-"
        if spread:
            low, high = (wording.number(v, column.unit) for v in (spread.min, spread.max))
            mean = wording.number(spread.mean, column.unit)
            text = f'<span class="v">{mean}</span><span class="g">{low} to {high}</span>'
        cells.append(f'<td data-label="{escape(column.label)}">{text}</td>')
    cells.append("<td></td>" if average else "")
    name = "references, mean" if report.reference_count > 1 else "reference"
    return [f'<tr class="ref"><th scope="row">{name}</th>{"".join(cells)}</tr>']


def _notes(report: AuditReport) -> str:
    if not report.notes:
        return ""
    return f'<div class="card notes"><h3>Notes</h3>{bullets(report.notes)}</div>'


def _split(report: AuditReport) -> str:
    sizes, fractions = report.split["sizes"], report.split["fractions"]
    lines = []
    for role, size in sizes.items():
        share = f"{fractions[role]:.1%} of training" if role in fractions else ""
        chart = charts.balance(report.split["class_counts"][role])
        lines.append(
            f'<tr><th scope="row">{escape(role)}</th><td>{size:,}</td><td>{share}</td>'
            f"<td>{chart}</td></tr>"
        )
    return (
        '<div class="card scroll"><table><thead><tr><th scope="col">role</th><th>examples</th>'
        f"<th></th><th>by class</th></tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        f"{pairs({'kind': report.split['kind'], 'classes': report.split['num_classes']})}"
        f"{pairs({'fingerprint': report.split['fingerprint']})}"
    )
