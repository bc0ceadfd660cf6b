"""The report on a model unlearned from a file: an audit, or bare numbers without a reference."""

import dataclasses
import datetime
import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfunlearn import audit
from tfunlearn.audit.columns import columns
from tfunlearn.audit.environment import environment
from tfunlearn.audit.measure import measure
from tfunlearn.audit.outputs import Reader
from tfunlearn.audit.rows import RowMaker
from tfunlearn.data import ForgetSplit
from tfunlearn.experiments.stages import write_json
from tfunlearn.report import AuditReport, wording
from tfunlearn.report.files import write_atomically

FILES = ("report.txt", "report.json", "report.html")
NO_REFERENCE = (
    "No reference was given: no model that was retrained without the forget set. So nothing here "
    "says how near the unlearned model is to one. Give one with --reference, or have it made "
    "with --retrain."
)


def write_report(
    out: pathlib.Path,
    made: Mapping[str, keras.Model],
    split: ForgetSplit,
    references: Sequence[str],
    *,
    title: str,
    seconds: Mapping[str, float],
    note: str,
    seed: int,
) -> tuple[str, AuditReport | None]:
    """Measures models and writes report.txt, report.json and, with a reference, report.html.

    Args:
        out: the folder.
        made: name to model, ``"original"`` among them.
        split: the data.
        references: names of the models retrained without the forget set.
        title: heading.
        seconds: name to the seconds that it took, where known.
        note: a last note, on how the models were made.
        seed: seed of the membership attack.

    Returns:
        The report as text, and the audit if there is a reference.
    """
    report = None
    if references:
        report = audit.compare(
            made, split, reference=references, seconds=seconds, title=title, seed=seed
        )
        report = dataclasses.replace(report, notes=(*report.notes, note))
        text = str(report)
        report.save(out / "report.json")
        report.to_html(out / "report.html")
    else:
        found = measurements(made, split, seconds=seconds, seed=seed)
        notes = [*found["notes"], note]
        write_json(out / "report.json", {"title": title, **found, "notes": notes})
        shown = [line for note in notes for line in textwrap.wrap(note, 100)]
        text = "\n".join([title, "", *_lines(found, split), "", *shown])
    write_atomically(out / "report.txt", text + "\n")
    return text, report


def measurements(
    made: Mapping[str, keras.Model],
    split: ForgetSplit,
    *,
    seconds: Mapping[str, float],
    seed: int = 0,
) -> dict[str, Any]:
    """Returns what can be measured of models without a reference, as JSON values.

    Args:
        made: name to model, ``"original"`` among them.
        split: the data.
        seconds: name to the seconds that it took.
        seed: seed of the membership attack.

    Returns:
        ``models``, name to metric to value (None where it could not be had), the split, the notes
        and the environment. There are no gaps: ``reference`` is None, and the notes say so.
    """
    shown, reader = columns(split.roles), Reader(split, split.roles)
    measured = {name: measure(model, split, reader) for name, model in made.items()}
    maker = RowMaker(made, split, "original", measured, seconds, shown, seed)
    rows = {name: maker.row(name) for name in made}
    return {
        "schema": "tfunlearn.measurements",
        "version": 1,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "reference": None,
        "models": {name: dict(row.values) for name, row in rows.items()},
        "split": {
            "kind": split.kind,
            "sizes": {role: int(split.size(role)) for role in split.roles},
            "fingerprint": split.fingerprint(),
        },
        "notes": [NO_REFERENCE, *maker.notes()],
        "environment": environment(),
    }


def _lines(found: Mapping[str, Any], split: ForgetSplit) -> list[str]:
    """Returns a table with a line for each metric."""
    lines = [["", *found["models"]]]
    for column in columns(split.roles):
        values = [row[column.name] for row in found["models"].values()]
        lines.append([column.label, *(wording.number(value, column.unit) for value in values)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    ]
