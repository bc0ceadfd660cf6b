"""An audit of saved models: read them and their data, measure, write the report."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

from tfunlearn import models
from tfunlearn.audit import ReferenceBank
from tfunlearn.audit.banked import HELD_OUT
from tfunlearn.experiments.bank_found import find_bank
from tfunlearn.experiments.file_report import FILES, write_report
from tfunlearn.experiments.files import (
    load_model,
    load_models,
    make_split,
    marked,
    require_other_files,
)
from tfunlearn.methods.checks import check
from tfunlearn.report import AuditReport
from tfunlearn.storage.folder import writable_folder

ORIGINAL = "original"
HOW_TO_REFER = (
    "Give references with --reference, or a bank of them with --bank; tfunlearn bank makes one."
)


def audit_file(
    original: str | PathLike,
    unlearned: str | PathLike | Sequence[str | PathLike],
    data: str | PathLike,
    out: str | PathLike,
    *,
    forget: str | PathLike | None = None,
    classes: Sequence[int] | None = None,
    references: Sequence[str | PathLike] = (),
    bank: str | PathLike | None = None,
    bank_options: Mapping[str, Any] | None = None,
    fill: str = "",
    level: float = 0.95,
    seed: int = 0,
    images: bool = False,
    command: str = "",
    say: Callable[[str], None] | None = print,
) -> AuditReport:
    """Audits saved models beside references, or a bank of them, and writes the report.

    Nothing is trained. Each file is written under another name first, so that it is whole or not
    there.

    Args:
        original: the ``.keras`` file of the model that unlearning started from.
        unlearned: that of a model to audit, or those of several; rows are named for their files.
        data: the original's data, as in ``files.make_split``.
        out: folder for report.json, report.html and report.txt.
        forget: text file with an id to forget on each line; or
        classes: the classes to forget.
        references: ``.keras`` files of models retrained without the forget set.
        bank: in their place, the folder where ``tfunlearn bank`` keeps banks.
        bank_options: what the bank was made with, arguments of ``audit.ReferenceBank``: epochs,
            batch_size, seed, ...; by default the one bank that fits is found there.
        fill: the command that fills the bank, for the message where it is not there.
        level: as in ``audit.compare``.
        seed: seed of the membership attacks.
        images: show the forget examples that are listed, where the data is 8-bit images; the report
            then holds a part of what is to be forgotten.
        command: how to make the report again, kept in it.
        say: called with each line of output; None for silence.

    Returns:
        The report; without references it holds bare numbers, and says so.

    Raises:
        OSError: if a file is not there or ``out`` cannot be written to.
        ValueError: if files do not fit together, there is nothing to audit, a reference is given
            twice, both references and a bank are given, or the bank does not hold enough models.
    """
    say, out = say or (lambda line: None), writable_folder(out)
    paths = [unlearned] if isinstance(unlearned, str | PathLike) else list(unlearned)
    if not paths:
        raise ValueError("unlearned: expected at least one model. Received: none.")
    if references and bank is not None:
        raise ValueError("bank: expected a bank or references. Received: both.")
    require_other_files(references, "reference")
    start = load_model(original, ORIGINAL)
    split = make_split(data, start, forget=forget, classes=classes)
    check(start, split, frozenset(split.roles))
    models.logits_model(start)
    taken = (ORIGINAL, HELD_OUT)
    made = {ORIGINAL: start, **load_models(paths, split, "unlearned", taken)}
    given = load_models(references, split, "reference", [*taken, *made])
    beside: ReferenceBank | None = None
    if bank is not None:
        beside = find_bank(start, split, bank, fill=fill, say=say, **(bank_options or {}))
    say(f"{split}\n")
    files = {"original": [original], "unlearned": paths, "reference": references, "data": [data]}
    text, report = write_report(
        out,
        {**made, **given},
        split,
        list(given),
        notes=[_read_from(files)],
        how_to_refer=HOW_TO_REFER,
        bank=beside,
        level=level,
        seed=seed,
        images=images,
        title="Audit of " + ", ".join(name for name in made if name != ORIGINAL),
        command=command,
    )
    say(f"{text}\n\nWritten to {out}: {', '.join(FILES)}")
    return report


def _read_from(files: Mapping[str, Sequence[str | PathLike]]) -> str:
    """Returns the note on the files that were read."""
    parts = [f"{name} {marked(path)}" for name, paths in files.items() for path in paths]
    return f"Read by tfunlearn audit: {'; '.join(parts)}."
