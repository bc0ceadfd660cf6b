"""An audit of saved models: read them and their data, measure, write the report."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

from tfunlearn import models
from tfunlearn.audit import ReferenceBank
from tfunlearn.audit.banked import HELD_OUT
from tfunlearn.data.duplicates import Choice
from tfunlearn.experiments.bank_found import find_bank
from tfunlearn.experiments.file_report import FILES, write_report
from tfunlearn.experiments.files import (
    load_model,
    load_models,
    make_split,
    marked,
    require_other_files,
)
from tfunlearn.experiments.model_files import check_pairs, model_file, unchanged
from tfunlearn.methods.checks import check
from tfunlearn.report import AuditReport
from tfunlearn.storage import Output, output

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
    duplicates: Choice = None,
    references: Sequence[str | PathLike] = (),
    bank: str | PathLike | None = None,
    bank_options: Mapping[str, Any] | None = None,
    class_weight: Mapping[int, float] | None = None,
    fill: str = "",
    level: float = 0.95,
    seed: int = 0,
    images: bool = False,
    force: bool = False,
    command: str = "",
    say: Callable[[str], None] | None = print,
) -> AuditReport:
    """Audits saved models beside references, or a bank of them, and writes the report.

    Nothing is trained. All files appear together, at the end; until then those of an earlier audit
    are as they were. See ``storage.output``.

    Args:
        original: the ``.keras`` file of the model that unlearning started from.
        unlearned: that of a model to audit, or those of several; rows are named for their files.
        data: the original's data, as in ``files.make_split``.
        out: folder for report.json, report.html and report.txt.
        forget: text file with an id to forget on each line; or
        classes: the classes to forget.
        duplicates: as in ``ForgetSplit.by_index``; what stays is said in the report.
        references: ``.keras`` files of models retrained without the forget set.
        bank: in their place, the folder where ``tfunlearn bank`` keeps banks.
        bank_options: what the bank was made with, arguments of ``audit.ReferenceBank``: epochs,
            batch_size, seed, ...; by default the one bank that fits is found there.
        class_weight: class weights that the bank was made with.
        fill: the command that fills the bank, for the message where it is not there.
        level: as in ``audit.compare``.
        seed: seed of the membership attacks.
        images: show the forget examples that are listed, where the data is 8-bit images; the report
            then holds a part of what is to be forgotten.
        force: overwrite files in ``out`` that this command did not write, inputs excepted.
        command: how to make the report again, kept in it.
        say: called with each line of output; None for silence.

    Returns:
        The report; without references it holds bare numbers, and says so.

    Raises:
        OSError: if a file is not there or ``out`` cannot be written to.
        ValueError: if files do not fit together, there is nothing to audit, a reference is given
            twice, both references and a bank are given, the bank does not hold enough models, or a
            model is another file than the report in its folder says.
        storage.Refused: if ``out`` is another command's, or an input would be overwritten.
    """
    say = say or (lambda line: None)
    paths = [unlearned] if isinstance(unlearned, str | PathLike) else list(unlearned)
    if not paths:
        raise ValueError("unlearned: expected at least one model. Received: none.")
    inputs = {"original": original, "unlearned": paths, "reference": references, "data": data}
    inputs |= {"forget": forget, "initial": (bank_options or {}).get("initial")}
    with output(out, "audit", FILES, inputs=inputs, force=force) as results:
        text, report = _audit(
            results,
            original,
            paths,
            data,
            forget=forget,
            classes=classes,
            duplicates=duplicates,
            references=references,
            bank=bank,
            bank_options=bank_options,
            class_weight=class_weight,
            fill=fill,
            level=level,
            seed=seed,
            images=images,
            command=command,
            say=say,
        )
    say(f"{text}\n\nWritten to {out}: {', '.join(FILES)}")
    return report


def _audit(
    results: Output,
    original: str | PathLike,
    paths: Sequence[str | PathLike],
    data: str | PathLike,
    *,
    forget: str | PathLike | None,
    classes: Sequence[int] | None,
    duplicates: Choice,
    references: Sequence[str | PathLike],
    bank: str | PathLike | None,
    bank_options: Mapping[str, Any] | None,
    class_weight: Mapping[int, float] | None,
    fill: str,
    level: float,
    seed: int,
    images: bool,
    command: str,
    say: Callable[[str], None],
) -> tuple[str, AuditReport]:
    """Does what ``audit_file`` says; returns the report as text, and the report."""
    if references and bank is not None:
        raise ValueError("bank: expected a bank or references. Received: both.")
    require_other_files(references, "reference")
    given_as = {"original": [original], "unlearned": paths, "reference": references}
    every = [path for given in given_as.values() for path in given]
    with unchanged(every) as marks:
        for argument, own in given_as.items():
            check_pairs(argument, {str(p): marks[str(p)] for p in own if str(p) in marks})
        start = load_model(original, ORIGINAL)
        split = make_split(data, start, forget=forget, classes=classes, duplicates=duplicates)
        check(start, split, frozenset(split.roles))
        models.logits_model(start)
        taken = (ORIGINAL, HELD_OUT)
        made = {ORIGINAL: start, **load_models(paths, split, "unlearned", taken)}
        given = load_models(references, split, "reference", [*taken, *made])
    beside: ReferenceBank | None = None
    if bank is not None:
        own = {"class_weight": class_weight, "fill": fill, "say": say}
        beside = find_bank(start, split, bank, **own, **(bank_options or {}))
    say(f"{split}\n")
    rows = {**made, **given}
    read = zip(rows, every, strict=True)
    return write_report(
        results,
        rows,
        split,
        list(given),
        files={name: model_file(path, marks[str(path)]) for name, path in read},
        notes=[_read_from({**given_as, "data": [data]})],
        how_to_refer=HOW_TO_REFER,
        bank=beside,
        level=level,
        seed=seed,
        images=images,
        title="Audit of " + ", ".join(name for name in made if name != ORIGINAL),
        command=command,
    )


def _read_from(files: Mapping[str, Sequence[str | PathLike]]) -> str:
    """Returns the note on the files that were read."""
    parts = [f"{name} {marked(path)}" for name, paths in files.items() for path in paths]
    return f"Read by tfunlearn audit: {'; '.join(parts)}."
