"""The report on models from files, as it is written beside them: text, JSON and a page."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfunlearn import audit
from tfunlearn.data import ForgetSplit
from tfunlearn.experiments.files import images_of
from tfunlearn.report import AuditReport
from tfunlearn.storage.atomic import write_atomically

FILES = ("report.txt", "report.json", "report.html")


def write_report(
    out: pathlib.Path,
    made: Mapping[str, keras.Model],
    split: ForgetSplit,
    references: Sequence[str],
    *,
    notes: Sequence[str],
    how_to_refer: str,
    images: bool = False,
    **options: Any,
) -> tuple[str, AuditReport]:
    """Measures models and writes report.txt, report.json and report.html.

    Args:
        out: the folder.
        made: name to model, ``"original"`` among them.
        split: the data.
        references: names of the models retrained without the forget set; may be empty.
        notes: last notes, on how the models were made.
        how_to_refer: the note on how references are given, for where there are none.
        images: show the forget examples that are listed; the inputs must be 8-bit images.
        **options: more arguments of ``audit.compare``; a bank among them is as good as references.

    Returns:
        The report as text, and the report.

    Raises:
        ValueError: as ``audit.compare`` and ``files.images_of``; nothing is written then.
    """
    shown = {"reference": references or None, "images": images_of(split) if images else None}
    report = audit.compare(made, split, **shown, **options)
    hints = () if report.reference_count else (how_to_refer,)
    report = dataclasses.replace(report, notes=(*report.notes, *hints, *notes))
    text = str(report)
    report.save(out / "report.json")
    report.to_html(out / "report.html")
    write_atomically(out / "report.txt", text + "\n")
    return text, report
