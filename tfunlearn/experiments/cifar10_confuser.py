"""The CIFAR-10 notebook: a ResNet50, a tenth of its images forgotten, four ways to confuse it."""

import dataclasses
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import keras
import numpy as np

from tfunlearn import methods, models
from tfunlearn.data import ForgetSplit, Normalizer, datasets
from tfunlearn.experiments import stage_files
from tfunlearn.experiments.stages import SEED_STEP, Stages
from tfunlearn.losses import WeightedSparseCategoricalCrossentropy
from tfunlearn.report import AuditReport
from tfunlearn.storage import Output, output
from tfunlearn.storage.atomic import file_sha256
from tfunlearn.storage.scratch import clear_writings

CLASS_WEIGHTS = (1.0, *[0.5] * 9)
ORIGINAL_EPOCHS = 2

ROWS: dict[str, dict[str, Any]] = {
    # what the notebook really did: no noise, and class weights that cancel to their mean
    "finetune": {},
    "confuser-stem": {"stddev": 0.6, "relative": False, "layers": "stem"},
    "confuser-all-0.6": {"stddev": 0.6, "relative": False},
    "confuser-relative-0.3": {"stddev": 0.3},
    "confuser-relative-0.1": {"stddev": 0.1},
    "confuser-relative-0.5": {"stddev": 0.5},
    "confuser-relative-0.7": {"stddev": 0.7},
    # another reference: as many epochs as an original and its unlearning have together
    "retrain": {},
}
DEFAULT_ROWS = tuple(ROWS)[:4]
_REPORT, _PAGE = "report.json", "report.html"


def cifar10_confuser(
    out: str | PathLike,
    *,
    data_dir: str | PathLike | None = None,
    seed: int = 0,
    epochs: int = 5,
    forget_fraction: float = 0.1,
    limit: int | None = None,
    rows: Sequence[str] = DEFAULT_ROWS,
    jit_compile: bool | str = "auto",
    force: bool = False,
    verbose: int = 0,
    say: Callable[[str], None] | None = print,
) -> AuditReport:
    """Trains, forgets and audits as the CIFAR-10 notebook means to, stage by stage.

    Args:
        out: folder for the stages, report.json and report.html.
        data_dir: folder of cifar10.npz and resnet50_notop.h5; else ``TFUNLEARN_DATA_DIR``.
        seed: seed of everything that is drawn.
        epochs: epochs of each unlearning.
        forget_fraction: share of the training images to forget.
        limit: use only this many training images and a fifth as many test images.
        rows: names of the rows to make, from ``ROWS``; ``"finetune@5"`` gives one its own epochs.
        jit_compile: as in ``keras.Model.compile``; True is what the notebook has, for a GPU.
        force: overwrite a report that this command did not write.
        verbose: as in ``keras.Model.fit``.
        say: called with each line of progress.

    Returns:
        The report; it is also written to ``out``. A row whose training diverges is absent, with
        the reason in the notes.

    Raises:
        FileNotFoundError: if the data is not there.
        ValueError: if a row is unknown.
        storage.Refused: if ``out`` is another command's.
    """
    plan = {row: parse_row(row, epochs) for row in rows}
    split = make_split(data_dir, seed, forget_fraction, limit)
    weights = _backbone_weights(data_dir)
    common = {
        "experiment": "cifar10-confuser",
        "seed": seed,
        "split": split.fingerprint(),
        "jit_compile": jit_compile,
    }
    with output(out, "cifar10-confuser", (_REPORT, _PAGE), force=force) as results:
        return _follow(results, plan, split, weights, common, verbose, say)


def _follow(
    results: Output,
    plan: dict[str, tuple[str, int]],
    split: ForgetSplit,
    weights: str,
    common: dict[str, Any],
    verbose: int,
    say: Callable[[str], None] | None,
) -> AuditReport:
    """Makes the models, stage by stage, and their report."""
    seed, jit_compile = common["seed"], common["jit_compile"]
    clear_writings(results.folder / "stages")
    stages = Stages(results.folder / "stages", common, say)
    fit = {"batch_size": 128, "verbose": verbose}

    def start(number: int) -> keras.Model:
        return models.resnet50_classifier(weights=weights, seed=number, jit_compile=jit_compile)

    def retrained(original: keras.Model, number: int, **options: Any) -> keras.Model:
        own_seed = seed + number * SEED_STEP
        options["jit_compile"] = jit_compile
        return methods.retrain(original, split, seed=own_seed, initialize=start, **options)

    own = {"epochs": ORIGINAL_EPOCHS}
    original = stages.model("original", lambda: _train(start(seed), split, seed, fit), own)
    made = {"original": original}
    made["retrained"] = stages.model("retrained", lambda: retrained(original, 1, **own, **fit), own)
    parent = models.fingerprint(original)
    failed: dict[str, str] = {}
    for row, (name, passes) in plan.items():
        try:
            made[row] = stages.model(
                f"{name}-{passes}",
                lambda name=name, passes=passes: (
                    retrained(original, 2, epochs=passes, **fit)
                    if name == "retrain"
                    else _unlearn(original, split, name, seed=seed, epochs=passes, **fit)
                ),
                {"epochs": passes, "options": ROWS[name], "original": parent},
            )
        except RuntimeError as error:  # a row that diverges is a result, not the end
            failed[row] = " ".join(str(error).split())
    files = {row: "-".join(map(str, plan[row])) if row in plan else row for row in made}
    seconds = {row: stages.seconds[file] for row, file in files.items()}
    return _report(stages, results, made, split, seconds, failed, common, say)


def parse_row(row: str, epochs: int) -> tuple[str, int]:
    """Returns a row's name and its epochs.

    Args:
        row: a name from ``ROWS``, with ``@`` and a number of epochs behind it if it has its own.
        epochs: the epochs of a row without.

    Raises:
        ValueError: if the name is unknown or the number is not a whole one of at least 1.

    Example:
        >>> from tfunlearn.experiments.cifar10_confuser import parse_row
        >>> parse_row("finetune@5", 2), parse_row("finetune", 2)
        (('finetune', 5), ('finetune', 2))
    """
    name, at, own = row.partition("@")
    digits = own.isascii() and own.isdigit() and len(own) < 10
    if name not in ROWS or (at and not (digits and int(own) > 0)):
        raise ValueError(
            f"rows: expected some of {','.join(ROWS)}, with @ and epochs behind a name if it has "
            f"its own. Received: {row!r}."
        )
    return name, int(own) if own else epochs


def _report(
    stages: Stages,
    results: Output,
    made: dict[str, keras.Model],
    split: ForgetSplit,
    seconds: dict[str, float],
    failed: dict[str, str],
    common: dict[str, Any],
    say: Callable[[str], None] | None,
) -> AuditReport:
    """Audits the models and writes report.json and report.html: the last stage, kept like others.

    The seconds that a stage took tell one making of it from another, so they are its mark here. The
    note holds the sha256 of the report too, so that it stands for no other.
    """
    from tfunlearn import audit

    files = [results.folder / name for name in (_REPORT, _PAGE)]
    wanted = {"rows": [[row, taken] for row, taken in seconds.items()], "failed": failed}

    def check(note: dict[str, Any]) -> None:
        for path in files:
            stage_files.check_sum(path, note)
        AuditReport.load(files[0])

    if stages.content("report", wanted, check) is not None:
        return AuditReport.load(files[0])
    if say is not None:
        say(f"report: measuring {len(made)} models")
    report = audit.compare(
        made,
        split,
        seconds=seconds,
        title="CIFAR-10, ResNet50: the vision confuser",
        seed=common["seed"],
    )
    failures = [f"{row}: failed: {reason}" for row, reason in failed.items()]
    report = dataclasses.replace(report, notes=(*failures, *report.notes))
    new = [report.save(results.path(_REPORT)), results.path(_PAGE)]
    report.to_html(new[1])
    written = {"files": {path.name: file_sha256(path) for path in new}}
    stages.noted("report", lambda: written, wanted, check)
    return report


def make_split(
    data_dir: str | PathLike | None, seed: int, forget_fraction: float, limit: int | None
) -> ForgetSplit:
    """Returns normalised CIFAR-10 with a random forget set, the test images as test role."""
    (x, y), (x_test, y_test) = datasets.load("cifar10", data_dir)
    if limit is not None:
        held_out = max(1, limit // 5)
        x, y, x_test, y_test = x[:limit], y[:limit], x_test[:held_out], y_test[:held_out]
    normalize = Normalizer.named("cifar10")
    return ForgetSplit.random(
        normalize(x),
        y,
        fraction=forget_fraction,
        seed=seed,
        test=(normalize(x_test), y_test),
        num_classes=10,
    )


def _train(
    model: keras.Model, split: ForgetSplit, seed: int, options: dict[str, Any]
) -> keras.Model:
    """Trains a model on all training images, in an order that follows the seed."""
    x, y = (np.concatenate(part) for part in zip(split.retain, split.forget, strict=True))
    numbers = np.random.default_rng(seed)
    for epoch in range(ORIGINAL_EPOCHS):
        order = numbers.permutation(len(y))
        own = {"initial_epoch": epoch, "epochs": epoch + 1, "shuffle": False}
        model.fit(x[order], y[order], **own, **options)
    return model


def _unlearn(model: keras.Model, split: ForgetSplit, row: str, **options: Any) -> keras.Model:
    """Makes one row from the original."""
    if row != "finetune":
        return methods.vision_confuser(
            model, split, class_weights=CLASS_WEIGHTS, **ROWS[row], **options
        )
    mean = float(np.mean(CLASS_WEIGHTS))
    return methods.finetune(
        model,
        split,
        loss=WeightedSparseCategoricalCrossentropy([mean] * len(CLASS_WEIGHTS)),
        optimizer=keras.optimizers.SGD(momentum=0.9, weight_decay=5e-4),
        **options,
    )


def _backbone_weights(data_dir: str | PathLike | None) -> str:
    """Returns the weight file of the backbone if it is here, else Keras' own name for it."""
    path = datasets.data_path("resnet50_notop.h5", data_dir)
    return str(path) if path is not None and path.is_file() else "imagenet"
