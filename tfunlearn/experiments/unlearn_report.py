"""The report on a model unlearned from a file: beside references, or saying that there are none."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import keras

from tfunlearn import audit
from tfunlearn.data import ForgetSplit
from tfunlearn.report import AuditReport
from tfunlearn.report.files import write_atomically

FILES = ("report.txt", "report.json", "report.html")
HOW_TO_REFER = "Give a reference with --reference, or have one made with --retrain."


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
) -> tuple[str, AuditReport]:
    """Measures models and writes report.txt, report.json and report.html.

    Args:
        out: the folder.
        made: name to model, ``"original"`` among them.
        split: the data.
        references: names of the models retrained without the forget set; may be empty.
        title: heading.
        seconds: name to the seconds that it took, where known.
        note: a last note, on how the models were made.
        seed: seed of the membership attack.

    Returns:
        The report as text, and the report.
    """
    report = audit.compare(
        made, split, reference=references or None, seconds=seconds, title=title, seed=seed
    )
    hints = () if references else (HOW_TO_REFER,)
    report = dataclasses.replace(report, notes=(*report.notes, *hints, note))
    text = str(report)
    report.save(out / "report.json")
    report.to_html(out / "report.html")
    write_atomically(out / "report.txt", text + "\n")
    return text, report
