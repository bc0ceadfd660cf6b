"""How the demonstration shows its two audits: one table, one page, one summary."""

import base64
import io
from collections.abc import Sequence
from html import escape
from os import PathLike
from typing import TYPE_CHECKING, Any

from tfunlearn._version import __version__
from tfunlearn.report.style import CSS
from tfunlearn.storage.atomic import write_atomically

if TYPE_CHECKING:
    from tfunlearn.experiments.demo import Task

COLUMNS = ("forgotten", "new", "spotted", "gap")

READING = (
    "forgotten   share of right answers on the digits that were to be forgotten",
    "new         share of right answers on digits that no model was trained on",
    "spotted     how often an attacker tells the forgotten digits from new ones; 0.5 is guessing",
    "gap         mean distance to the target's accuracies on forgotten, kept and new digits",
    "            (spotted is not in it): the smaller, the better",
    "",
    "The target is not zero. It is what models retrained without those digits reach: they never",
    "saw them, and still get most random ones right. The two of them differ by chance alone, so a",
    "smaller difference than theirs means nothing.",
)


def table(tasks: Sequence["Task"]) -> list[str]:
    """Returns the two audits as one table, as lines of text.

    Args:
        tasks: finished tasks.
    """
    names = _names(tasks)
    first = max(len(name) for name in names)
    heads, rules, bodies = [" " * first], [" " * first], [[name.ljust(first)] for name in names]
    for task in tasks:
        cells = [_cells(task, name) for name in names]
        widths = [
            max(len(head), *(len(row[place]) for row in cells if len(row) > 1))
            for place, head in enumerate(COLUMNS)
        ]
        whole = max(sum(widths) + 2 * (len(widths) - 1), len(task.request) + 7)
        heads.append(f"forget {task.request}".ljust(whole))
        rules.append(_joined(COLUMNS, widths).ljust(whole))
        for body, row in zip(bodies, cells, strict=True):
            text = _joined(row, widths) if len(row) > 1 else row[0]
            body.append(_cut(text, whole).ljust(whole))
    for name, body in zip(names, bodies, strict=True):
        body.append("<- target" if name in tasks[0].report.references else "")
    lines = ["   ".join(parts).rstrip() for parts in (heads, rules, *bodies)]
    lines.insert(2, "-" * max(len(line) for line in lines))
    reasons = [
        f"{name}, forget {task.request}: {reason}"
        for task in tasks
        for name, reason in task.failed.items()
    ]
    return [*lines, "", *READING, *reasons]


def summary(tasks: Sequence["Task"], settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the numbers of the table and where the whole audits are, as JSON values.

    Args:
        tasks: finished tasks.
        settings: what the demonstration was called with.
    """
    metrics = ("forget_accuracy", "retain_accuracy", "test_accuracy", "membership_accuracy")
    return {
        "schema": "tfunlearn.demo",
        "version": 1,
        "tfunlearn": __version__,
        "settings": settings,
        "tasks": {
            task.name: {
                "request": f"forget {task.request}",
                "audit": f"{task.name}.json",
                "models": {
                    name: {metric: task.report.value(name, metric) for metric in metrics}
                    | {
                        "average_gap": task.report.average_gap(name),
                        "seconds": task.seconds[name],
                    }
                    for name in task.made
                },
                "failed": task.failed,
            }
            for task in tasks
        },
    }


def write(path: str | PathLike, tasks: Sequence["Task"], lines: Sequence[str]) -> None:
    """Writes the page: the table, then for each task its audit and its plot; needs no network.

    Args:
        path: the file.
        tasks: finished tasks.
        lines: the table, as ``table`` returned it.
    """
    sections = "".join(
        f"<section>{task.report._repr_html_()}{_image(task)}"
        f'<p>More: <a href="{task.name}.html">the whole audit</a>, '
        f'<a href="{task.name}.json">its numbers</a>.</p></section>\n'
        for task in tasks
    )
    head = (
        '<header><p class="kicker">tfunlearn demo</p><h1>Forgetting digits, two ways</h1>'
        '<p class="lead">Each row is a model. The target is not zero, it is the retrained models: '
        "they never saw what was to be forgotten.</p></header>"
    )
    text = f'<div class="card scroll"><pre>{escape(chr(10).join(lines))}</pre></div>'
    write_atomically(
        path,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>tfunlearn demo</title><style>{CSS}.tfu img{{max-width:100%}}</style></head>\n"
        f'<body class="tfu"><main>{head}{text}\n{sections}</main></body></html>\n',
    )


def _names(tasks: Sequence["Task"]) -> list[str]:
    """Returns every row's name once: the models in their order, the failures at the end."""
    names = [name for task in tasks for name in task.made]
    return list(dict.fromkeys([*names, *(name for task in tasks for name in task.failed)]))


def _cells(task: "Task", name: str) -> list[str]:
    """Returns a row's numbers, or its reason as a single cell."""
    if name in task.failed:
        return [task.failed[name]]
    metrics = ("forget_accuracy", "test_accuracy", "membership_accuracy")
    values = [task.report.value(name, metric) for metric in metrics]
    return [_number(value) for value in (*values, task.report.average_gap(name))]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _image(task: "Task") -> str:
    """Returns the task's plot inside the page."""
    buffer = io.BytesIO()
    task.report.plot().savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="accuracies and losses of all models" src="data:image/png;base64,{data}">'
