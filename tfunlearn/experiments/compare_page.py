"""How a comparison is shown: a table as text, and a page with the trade-off plot."""

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from os import PathLike
from typing import Any

from tfunlearn.experiments.compare_figures import (
    BUDGET,
    DO_NOTHING,
    METRICS,
    PROBES,
    RETRAIN,
    beside,
)
from tfunlearn.experiments.compare_plot import tradeoff
from tfunlearn.report import wording
from tfunlearn.report.style import CSS
from tfunlearn.storage.atomic import write_atomically

_WIDTH = 100
CLOSED = 0.9  # share of the gap of doing nothing that counts as closed
_HEADS = ("forget", "retain", "test", "attack")
_TASKS = {
    "random": "a random tenth of the training images",
    "whole_class": "every image of one class",
    "mislabelled": "the images whose labels are wrong",
    "backdoor": "the images that carry a trigger",
}

READING = (
    "forget, retain, test: share of right answers by role; the target is the row of retrain, not "
    "zero. attack: how often the forgotten images are told from new ones by their loss; 0.5 is "
    "chance.",
    "gap: mean absolute difference to the references in forget, retain and test accuracy (the "
    "attack is not in it), ± its standard deviation over the seeds; that of retrain is how far "
    "each reference is from the others. closed: 1 - gap / gap of do_nothing.",
    "in range: seeds in which the gap is at most the largest one of a reference. share: of the "
    "seconds that retraining takes.",
)


def table(result: Mapping[str, Any]) -> list[str]:
    """Returns the comparison as lines of text.

    Args:
        result: what ``compare`` returned.
    """
    heads, rows = _heads(result), result["rows"]
    cells = [[row["name"], *_cells(row, result)] for row in rows]
    widths = [
        max(len(line[place]) for line in [heads, *cells] if len(line) > 2 or not place)
        for place in range(len(heads))
    ]
    lines = [title(result), _setting(result), "", _aligned(heads, widths)]
    lines.append("-" * len(lines[-1]))
    lines += [_aligned(line, widths) for line in cells]
    texts = [line for text in READING for line in textwrap.wrap(text, _WIDTH)]
    for note in notes(result):
        texts += textwrap.wrap(note, _WIDTH, initial_indent="- ", subsequent_indent="  ")
    return [*lines, "", *texts]


def title(result: Mapping[str, Any]) -> str:
    """Returns the heading: data set, network and what is to be forgotten."""
    network = result["training"]["network"]
    return f"{result['dataset']}, {network} network: forget {_TASKS[result['task']]}"


def notes(result: Mapping[str, Any]) -> list[str]:
    """Returns what needs a second look: rough seconds, failures, collapses, rows of no use.

    Args:
        result: what ``compare`` returned.
    """
    found = _on_seconds(result)
    for seed, lost in result.get("diverged", {}).items():
        words = wording.diverged(len(lost), result["references"], ", ".join(lost))
        found.append(f"Seed {seed}: {words}")
    for row in result["rows"]:
        for reason, seeds in _reasons(row).items():
            found.append(f"{row['name']} failed under {_listed(seeds)}: {reason}")
        if row["collapsed"]:
            found.append(
                f"{row['name']} collapsed under {_listed(row['collapsed'])}: its retain accuracy "
                "is more than 10 points below the original's."
            )
    if far := [row["name"] for row in result["rows"] if _closes_nothing(row)]:
        found.append(f"No closer to the references than doing nothing: {', '.join(far)}.")
    if result["unfit"]:
        found.append(f"Not made for this task: {', '.join(result['unfit'])}.")
    nothing = next(row for row in result["rows"] if row["name"] == DO_NOTHING)
    if nothing["gap"] and not nothing["gap"]["mean"]:
        found.append("Doing nothing has no gap, so there is none to close.")
    if result["references"] < 2:
        found.append("With one reference, how much retraining itself varies is not known.")
    best = result["closest"]
    if best:
        row = next(row for row in result["rows"] if row["name"] == best)
        share = row["gap_closed"]
        closed = "" if share is None else f", {share:.0%} of that of doing nothing closed"
        found.append(
            f"Closest at no more than {BUDGET:.0%} of the time of retraining: {best}, gap "
            f"{row['gap']['mean']:.4f}{closed}."
        )
    return found + _how_far(result["rows"])


def _how_far(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns what there is instead, where no method closes the gap in little time."""
    worked = [
        row
        for row in rows
        if row["method"] and row["gap_closed"] is not None and not row["failed"]
        if row["share_of_retraining"] and not row["collapsed"]
    ]
    if not worked:
        return []

    def time(row: Mapping[str, Any]) -> float:
        return row["share_of_retraining"]["mean"]

    close = [row for row in worked if row["gap_closed"] >= CLOSED]
    first = min(close, key=time) if close else max(worked, key=lambda row: row["gap_closed"])
    if close and time(first) <= BUDGET:
        return []
    named = "The first that does" if close else "None does at any cost; the closest"
    return [
        f"None closes {CLOSED:.0%} of the gap of doing nothing in {BUDGET:.0%} of the time of "
        f"retraining. {named}: {first['name']}, {first['gap_closed']:.1%} at {time(first):.0%} of "
        "the time."
    ]


def write(path: str | PathLike, result: Mapping[str, Any]) -> None:
    """Writes the page: table, trade-off plot, notes, settings; needs no network.

    Args:
        path: the file.
        result: what ``compare`` returned.
    """
    audits = ", ".join(f'<a href="seed-{seed}.html">seed {seed}</a>' for seed in result["seeds"])
    items = "".join(f"<li>{escape(note)}</li>" for note in notes(result))
    reading = "".join(f"<li>{escape(line)}</li>" for line in READING)
    sections = [
        _section("The methods, closest first", _html_table(result)),
        _section("What it costs to come close", _plot(result)),
        _section("Notes", f"<ul>{items}</ul>" if items else ""),
        _section("How to read this", f"<ul>{reading}</ul>"),
        _section("Seed by seed", f"<p>Whole audits: {audits}.</p>"),
        _section("Made with", _pairs(result)),
    ]
    write_atomically(
        path,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title(result))}</title><style>{CSS}</style></head>\n"
        '<body class="tfu"><main><header><p class="kicker">tfunlearn compare</p>'
        f"<h1>{escape(title(result))}</h1>"
        f'<p class="lead">{escape(_setting(result))}</p></header>\n'
        f"{''.join(sections)}</main></body></html>\n",
    )


def _setting(result: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{role} {size:,}" for role, size in result["split"]["sizes"].items())
    return (
        f"Images: {sizes}. Seeds: {', '.join(map(str, result['seeds']))}. "
        f"References a seed: {result['references']}."
    )


def _heads(result: Mapping[str, Any]) -> list[str]:
    probes = [label for name, label in PROBES.items() if _has(result, name)]
    share = f"share ({workers} workers)" if (workers := _workers(result)) > 1 else "share"
    return ["", *_HEADS, *probes, "gap", "closed", "in range", "seconds", share]


def _workers(result: Mapping[str, Any]) -> int:
    """Returns how many workers were at work at most when seconds were taken."""
    return result.get("workers", 1)


def _on_seconds(result: Mapping[str, Any]) -> list[str]:
    """Returns what is to be said of the seconds: who else was at work, and where."""
    workers, processors = _workers(result), result.get("processors", ())
    found = [beside(workers)] if workers > 1 else []
    if len(processors) > 1:
        found.append(f"Seconds come from different processors: {'; '.join(processors)}.")
    return found


def _has(result: Mapping[str, Any], probe: str) -> bool:
    return any(row.get(probe) for row in result["rows"])


def _cells(row: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """Returns a row's cells after its name; a single one where it failed under every seed."""
    if row["gap"] is None and row["failed"]:
        return [f"failed: {next(iter(row['failed'].values()))}"]
    shown = [*METRICS, *(name for name in PROBES if _has(result, name))]
    cells = [_mean(row.get(name), 3) for name in shown]
    of = len(result["seeds"]) - len(row["failed"])
    return [
        *cells,
        _gap(row["gap"]),
        "" if row["name"] in (DO_NOTHING, RETRAIN) else _number(row["gap_closed"], 2),
        "" if row["in_range"] is None else f"{row['in_range']}/{of}",
        _mean(row["seconds"], 1),
        _mean(row["share_of_retraining"], 3),
    ]


def _gap(spread: Mapping[str, Any] | None) -> str:
    if spread is None:
        return "-"
    around = "" if spread["std"] is None else f" ±{spread['std']:.4f}"
    return f"{spread['mean']:.4f}{around}"


def _mean(spread: Mapping[str, Any] | None, digits: int) -> str:
    return _number(spread and spread["mean"], digits)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    """Returns a line with its name flush left and its numbers flush right."""
    if len(line) == 2:  # a reason
        text = line[1] if len(line[1]) <= 80 else f"{line[1][:77]}..."
        return f"{line[0].ljust(widths[0])}  {text}"
    cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
    return "  ".join([line[0].ljust(widths[0]), *cells]).rstrip()


def _closes_nothing(row: Mapping[str, Any]) -> bool:
    """Tells whether a method that did not collapse comes no closer than doing nothing."""
    closed = row["gap_closed"]
    return bool(row["method"] and not row["collapsed"] and closed is not None and closed <= 0)


def _reasons(row: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns each reason of a failure with its seeds."""
    found: dict[str, list[str]] = {}
    for seed, reason in row["failed"].items():
        found.setdefault(reason, []).append(seed)
    return found


def _listed(seeds: Sequence[int | str]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _section(heading: str, body: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>{body}</section>\n" if body else ""


def _html_table(result: Mapping[str, Any]) -> str:
    """Returns the table; on a phone each row becomes a card."""
    heads, lines = _heads(result), []
    for row in result["rows"]:
        cells = _cells(row, result)
        if len(cells) == 1:
            body = f'<td colspan="{len(heads) - 1}">{escape(cells[0])}</td>'
        else:
            body = "".join(
                f'<td data-label="{escape(head)}"><span class="v">{escape(cell)}</span></td>'
                for head, cell in zip(heads[1:], cells, strict=True)
            )
        chip = ' <span class="chip collapsed">collapsed</span>' if row["collapsed"] else ""
        kind = ' class="ref"' if row["name"] == RETRAIN else ""
        lines.append(f'<tr{kind}><th scope="row">{escape(row["name"])}{chip}</th>{body}</tr>')
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    return (
        '<div class="card scroll"><table class="cells"><thead><tr>'
        f"{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _plot(result: Mapping[str, Any]) -> str:
    points = [
        (row["name"], row["share_of_retraining"]["mean"], row["gap"]["mean"])
        for row in result["rows"]
        if row["method"] and row["gap"] and row["share_of_retraining"]
    ]
    gaps = {row["name"]: row["gap"] and row["gap"]["mean"] for row in result["rows"]}
    picture = tradeoff(points, gaps[DO_NOTHING], gaps[RETRAIN], BUDGET)
    text = (
        "A dot per method, both axes logarithmic: further left is cheaper, further down is closer "
        "to the references. Shaded: nine tenths of the gap closed at a tenth of the cost. The "
        "dashed line is doing nothing, the violet one how far references are from one another."
    )
    text = " ".join([text, *_on_seconds(result)])
    return f'<p class="soft">{escape(text)}</p><div class="card">{picture}</div>' if picture else ""


def _pairs(result: Mapping[str, Any]) -> str:
    """Returns settings, command and environment."""
    entries = {"command": result["command"] or "-", "created": result["created"]}
    entries |= result["training"] | result["environment"]
    options = {row["name"]: row["options"] for row in result["rows"] if row["options"]}
    entries |= {
        f"{name} with": ", ".join(f"{k}={v}" for k, v in own.items())
        for name, own in options.items()
    }
    lines = [
        f"<dt>{escape(str(key).replace('_', ' '))}</dt><dd>{escape(str(value))}</dd>"
        for key, value in entries.items()
    ]
    return f"<dl>{''.join(lines)}</dl>"
