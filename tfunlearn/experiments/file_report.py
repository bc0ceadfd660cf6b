"""The report on models from files, as it is written beside them: text, JSON and a page."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfunlearn import audit
from tfunlearn.data import ForgetSplit
from tfunlearn.experiments.files import images_of
from tfunlearn.report import AuditReport
from tfunlearn.report.parts import ModelFile
from tfunlearn.storage import Output, write_atomically

FILES = ("report.txt", "report.json", "report.html")


def write_report(
    results: Output,
    made: Mapping[str, keras.Model],
    split: ForgetSplit,
    references: Sequence[str],
    *,
    files: Mapping[str, ModelFile],
    notes: Sequence[str],
    how_to_refer: str,
    images: bool = False,
    **options: Any,
) -> tuple[str, AuditReport]:
    """Measures models and writes report.txt, report.json and report.html.

    Args:
        results: where they are written to.
        made: name to model, ``"original"`` among them.
        split: the data.
        references: names of the models retrained without the forget set; may be empty.
        files: name to the file of each model that was read or written.
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
    notes = (*report.notes, *hints, _listed(files), *notes)
    report = dataclasses.replace(report, notes=notes, files=files)
    text = str(report)
    report.save(results.path("report.json"))
    report.to_html(results.path("report.html"))
    write_atomically(results.path("report.txt"), text + "\n")
    return text, report


def _listed(files: Mapping[str, ModelFile]) -> str:
    """Returns the note on the files of the models."""
    parts = [f"{name} {file.name} {file.sha256}" for name, file in files.items()]
    return f"Model files by their sha256: {'; '.join(parts)}."
