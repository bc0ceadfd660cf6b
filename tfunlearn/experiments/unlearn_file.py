"""Unlearning a saved model: read it and its data, run a method, audit, write the result."""

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import keras

from tfunlearn import methods, models, training
from tfunlearn.data import ForgetSplit
from tfunlearn.data.duplicates import Choice
from tfunlearn.experiments.file_report import FILES, write_report
from tfunlearn.experiments.files import (
    images_of,
    load_initial,
    load_model,
    load_models,
    make_split,
    marked,
    require_other_files,
)
from tfunlearn.experiments.model_files import model_file, unchanged
from tfunlearn.methods.checks import check
from tfunlearn.report import AuditReport
from tfunlearn.report.parts import ModelFile
from tfunlearn.storage import Output, output
from tfunlearn.storage.atomic import file_sha256, naming

UNLEARNED, RETRAINED = "unlearned.keras", "retrained.keras"
HOW_TO_REFER = "Give a reference with --reference, or have one made with --retrain."


def unlearn_file(
    model: str | PathLike,
    data: str | PathLike,
    out: str | PathLike,
    *,
    method: str,
    forget: str | PathLike | None = None,
    classes: Sequence[int] | None = None,
    duplicates: Choice = None,
    options: Mapping[str, Any] | None = None,
    references: Sequence[str | PathLike] = (),
    retrain: Mapping[str, Any] | None = None,
    validation: float | None = None,
    seed: int = 0,
    images: bool = False,
    force: bool = False,
    verbose: int = 0,
    say: Callable[[str], None] | None = print,
) -> AuditReport:
    """Unlearns a saved model and writes the new one, with a report.

    All files appear together, at the end; until then those of an earlier run are as they were. See
    ``storage.output``.

    Args:
        model: the ``.keras`` file of the original.
        data: its data, as in ``files.make_split``.
        out: folder for unlearned.keras, retrained.keras if it is made, and the reports.
        method: a name from ``methods.names()``.
        forget: text file with an id to forget on each line; or
        classes: the classes to forget.
        duplicates: as in ``ForgetSplit.by_index``; what stays is said in the report.
        options: options of the method.
        references: ``.keras`` files of models retrained without the forget set.
        retrain: options of ``methods.retrain``, to make a reference here; ``epochs`` among them.
            ``initial``: a file with the weights that it begins with, as in ``files.load_initial``;
            ``fresh``: names of layers that are drawn anew all the same, as in ``models.Start``.
        validation: share of the test examples to set apart for validation.
        seed: seed of all that is drawn.
        images: show the forget examples that are listed, where the data is 8-bit images and there
            are references enough; the report then holds a part of what is to be forgotten.
        force: overwrite files in ``out`` that this command did not write, inputs excepted.
        verbose: as in ``keras.Model.fit``.
        say: called with each line of output; None for silence.

    Returns:
        The audit of original, unlearned model and references; where there is no reference it
        holds bare numbers, and says so.

    Raises:
        OSError: if a file is not there or ``out`` cannot be written to.
        ValueError: if files, options and method do not fit together, or a reference is given twice.
        RuntimeError: if the method changed nothing or diverged.
        storage.Refused: if ``out`` is another command's, or an input would be overwritten.
    """
    say = say or (lambda line: None)
    names = (UNLEARNED, *(() if retrain is None else (RETRAINED,)), *FILES)
    inputs = {"model": model, "data": data, "forget": forget, "reference": references}
    inputs["initial"] = (retrain or {}).get("initial")
    with output(out, "unlearn", names, inputs=inputs, force=force) as results:
        text, report = _unlearn(
            results,
            model,
            data,
            method=method,
            forget=forget,
            classes=classes,
            duplicates=duplicates,
            options=options,
            references=references,
            retrain=retrain,
            validation=validation,
            seed=seed,
            images=images,
            verbose=verbose,
            say=say,
        )
        written = results.written()
    say(f"\n{text}\n\nWritten to {out}: {', '.join(written)}")
    return report


def _unlearn(
    results: Output,
    model: str | PathLike,
    data: str | PathLike,
    *,
    method: str,
    forget: str | PathLike | None,
    classes: Sequence[int] | None,
    duplicates: Choice,
    options: Mapping[str, Any] | None,
    references: Sequence[str | PathLike],
    retrain: Mapping[str, Any] | None,
    validation: float | None,
    seed: int,
    images: bool,
    verbose: int,
    say: Callable[[str], None],
) -> tuple[str, AuditReport]:
    """Does what ``unlearn_file`` says; returns the report as text, and the report."""
    require_other_files(references, "reference")
    chosen = methods.describe(method)
    with unchanged([model, *references]) as marks:
        original = load_model(model)
        split = make_split(
            data,
            original,
            forget=forget,
            classes=classes,
            validation=validation,
            seed=seed,
            duplicates=duplicates,
        )
        if images:
            images_of(split)  # raises if there are none
        options = dict(options or {})
        _check_fit(chosen, original, split, options)
        taken = ["original", method, *([] if retrain is None else ["retrained"])]
        given = load_models(references, split, "reference", taken)
        again, start = _with_start(retrain, original)
    read_from = {"model": model, "data": data, **start}
    note = _made_by(chosen, options, original, again, read_from, seed, weighted=split.is_weighted)
    say(f"{split}\n")
    seconds: dict[str, float] = {}

    def run(name: str, by: methods.Method, own: Mapping[str, Any], seed: int) -> keras.Model:
        common = {"seed": seed, "verbose": verbose}
        taken = {key: value for key, value in common.items() if key in by.options}
        made, seconds[name] = _timed(by.name, original, split, {**taken, **own})
        say(f"{name}: {seconds[name]:.1f} s{_moved(original, made)}")
        return made

    made = {"original": original, method: run(method, chosen, options, seed), **given}
    read = zip(("original", *given), (model, *references), strict=True)
    files = {name: model_file(path, marks[str(path)]) for name, path in read}
    files[method] = _saved(made[method], results.path(UNLEARNED))
    if retrain is not None:
        made["retrained"] = run("retrained", methods.describe("retrain"), again, seed + 1)
        files["retrained"] = _saved(made["retrained"], results.path(RETRAINED))
    names = [name for name in made if name not in ("original", method)]
    own = {"title": f"Unlearned by {method}", "seconds": seconds, "seed": seed, "images": images}
    words = {"notes": [note], "how_to_refer": HOW_TO_REFER}
    return write_report(results, made, split, names, files=files, **words, **own)


def _with_start(
    retrain: Mapping[str, Any] | None, model: keras.Model
) -> tuple[dict[str, Any] | None, dict[str, str | PathLike]]:
    """Returns the options of retraining with its start loaded, and the start's file by name."""
    if retrain is None or retrain.get("initial") is None:
        return retrain and dict(retrain), {}
    own = dict(retrain)
    path, fresh = own.pop("initial"), own.pop("fresh", None) or ()
    own["initialize"] = models.Start.of(model, load_initial(path, model), fresh=fresh)
    return own, {"initial": path}


def _rate(original: keras.Model, retrain: Mapping[str, Any]) -> str:
    """Returns the learning rate that retraining takes, in words."""
    own = {name: retrain.get(name) for name in ("loss", "optimizer")}
    return training.Recipe.of(original, **own).rate


def _moved(original: keras.Model, made: keras.Model) -> str:
    """Returns by how much a method moved the weights, to be said of it; "" where it has no share.

    The share is of the original's training-scale: see ``training.moved_share``.
    """
    share = training.moved_share(original, made)
    return "" if share is None else f", moved the weights by {share:.2%} of the training-scale"


def _saved(model: keras.Model, path: pathlib.Path) -> ModelFile:
    """Saves a model beside the report; returns what the report holds of the file."""
    with naming(path):
        model.save(path)
    return model_file(path, file_sha256(path), beside=True)


def _check_fit(
    method: methods.Method, model: keras.Model, split: ForgetSplit, options: Mapping[str, Any]
) -> None:
    """Raises before anything is computed if method, model and split do not fit together."""
    reads = method.roles(**options)
    if "validation" in reads and "validation" not in split.roles:
        raise ValueError(
            f"method: {method.name} reads a validation role. Expected: --validation SHARE, the "
            "share of the test examples to set apart for it. Received: none."
        )
    check(model, split, reads)
    models.logits_model(model)  # the report needs it
    counts = zip(split.class_counts("forget"), split.class_counts("retain"), strict=True)
    if method.scope == "class" and any(gone and stays for gone, stays in counts):
        raise ValueError(
            f"method: {method.name} forgets whole classes. Expected: --class, or the ids of all "
            "examples of some classes. Received: ids of a part of a class."
        )


def _timed(
    method: str, model: keras.Model, split: ForgetSplit, options: Mapping[str, Any]
) -> tuple[keras.Model, float]:
    """Runs a method; returns its model and the seconds it took."""
    start = time.perf_counter()
    made = methods.unlearn(model, split, method, **options)
    return made, round(time.perf_counter() - start, 3)


def _made_by(
    method: methods.Method,
    options: Mapping[str, Any],
    model: keras.Model,
    retrain: Mapping[str, Any] | None,
    files: Mapping[str, str | PathLike],
    seed: int,
    *,
    weighted: bool,
) -> str:
    """Returns the note on how all this was made."""

    def words(given: Mapping[str, Any]) -> str:
        parts = {
            key: list(value.fresh) if isinstance(value, models.Start) else value
            for key, value in given.items()
        }
        texts = [
            f"{'fresh' if key == 'initialize' else key}={value!r}" for key, value in parts.items()
        ]
        return ", ".join(texts) or "its defaults"

    secret = method.function is methods.certified_last_layer  # its guarantee rests on the seed
    parts = [f"{method.name} with {words(options)}, seed {'not shown' if secret else seed}"]
    if method.function is methods.retrain:
        parts[0] += f", {_rate(model, options)}"
    if retrain is not None:
        drawn = "" if secret else f", seed {seed + 1}"
        parts.append(f"retrained with {words(retrain)}{drawn}, {_rate(model, retrain)}")
    for name, path in files.items():
        parts.append(f"{name} {marked(path)}")
    if weighted:
        parts.append("sample weights as the data holds them")
    return f"Made by tfunlearn unlearn: {'; '.join(parts)}."
