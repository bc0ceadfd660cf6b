"""Models side by side, each number beside the retrained reference's."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfunlearn.attacks.checks import check_level
from tfunlearn.audit.banked import HELD_OUT, Banked, column_values, take
from tfunlearn.audit.columns import columns
from tfunlearn.audit.copies import require_distinct
from tfunlearn.audit.environment import environment
from tfunlearn.audit.example_images import Images, illustrated, lookup
from tfunlearn.audit.judge import Judge
from tfunlearn.audit.measure import Measured, finite_logits
from tfunlearn.audit.measure import measured as measure_logits
from tfunlearn.audit.outputs import Reader
from tfunlearn.audit.rows import RowMaker
from tfunlearn.audit.training_note import retain_figures, training_note
from tfunlearn.data import ForgetSplit
from tfunlearn.methods.checks import check_inputs
from tfunlearn.models import fingerprint, num_classes
from tfunlearn.report import AuditReport, wording
from tfunlearn.seeds import check_seed

if TYPE_CHECKING:
    from tfunlearn.audit.bank import ReferenceBank

__all__ = ["compare"]

WEIGHTED = "Training examples carry sample weights; what is measured here is unweighted."


def compare(
    models: Mapping[str, keras.Model],
    split: ForgetSplit,
    *,
    reference: str | Sequence[str] | None = "retrained",
    original: str | None = "original",
    bank: ReferenceBank | None = None,
    held_out: bool = True,
    level: float = 0.95,
    svc: bool = False,
    images: Images | None = None,
    seconds: Mapping[str, float] | None = None,
    title: str = "",
    command: str = "",
    seed: int = 0,
    batch_size: int = 512,
) -> AuditReport:
    """Measures models on every role of a split and puts each number beside the references'.

    No model is trained or changed. Membership attacks set the forget examples against the test
    examples of the classes that occur in the forget set (all, if all occur): with other classes
    among them they could tell the sides apart by class, which says nothing on membership.

    With a bank, or with several references among the models, each other model also gets
    evidence: whether it lies inside the references' spread, over all its figures at once.

    Args:
        models: Name to built classifier; all with the split's number of classes.
        split: Roles to measure on; forget, retain, test and, if present, validation are read.
        reference: Name, or names, of the models retrained without the forget set. Gaps are taken
            to their mean; with several, their spread is shown. With a bank it is not looked at.
            None without a bank: a report without references, which says so.
        original: Name of the model that unlearning started from. None: utility preservation,
            performance drop and weight distance are absent.
        bank: Models retrained without the forget set, which are the references then; no row each.
        held_out: With a bank: keep its last model out of the references and audit it like the
            others, as the row "held-out retrain".
        level: Share of retrained models that lie inside the spread, in (0, 1). An answer takes
            1 / (1 - level) - 1 references: 19 at 0.95.
        svc: Whether the evidence has the attack by an SVC as well: seconds to minutes a model.
        images: What the forget examples look like, to be shown beside those that the evidence
            lists as furthest from the references: uint8, or float in [0, 1], shape (N, H, W),
            (N, H, W, 1) or (N, H, W, 3), in the order of `split.ids["forget"]`. Or a function that
            gets ids, int64 of shape (N,), and returns such an array: `lambda ids: x[ids]` shows
            training images without a copy of all of them. Those listed are kept in the report, of
            images of more than 64 pixels on a side the means of blocks. None: none are shown.
        seconds: Name to the seconds that it took to make that model.
        title: Heading of the report.
        command: How to make the report again, for its readers.
        seed: Seed of the membership attacks.
        batch_size: Examples per prediction step, at least 1.

    Returns:
        The report. Costs one forward pass over every role per model.

    Raises:
        TypeError: If something else than Keras models is compared, or images have another dtype.
        ValueError: If the reference or the original is missing, a reference is there twice, class
            counts differ, a time is negative or of an unknown model, the bank is of other data or
            too small, images have another shape, number or range, or the outputs of a reference or
            of the original are not finite.
    """
    check_seed(seed)
    check_level(level)
    _check_models(models, split)
    references = _references(models, reference, original, bank)
    prints = {name: fingerprint(model) for name, model in models.items()}
    beside = (*references, *([] if original is None else [original]))  # it was no retrained one
    require_distinct("reference", {name: prints[name] for name in beside if references})
    banked = None if bank is None else take(bank, split, held_out=held_out)
    shown = _with_held_out(models, banked)
    times = _times(models, seconds)
    look = lookup(images, split.ids["forget"])
    if banked is not None and banked.held_out_seconds is not None:
        times[HELD_OUT] = banked.held_out_seconds
    measured: dict[str, dict[str, Measured]] = {}
    own_columns = columns(split.roles)
    maker = RowMaker(shown, split, original, measured, times, own_columns, seed)
    judge = Judge(split, banked and banked.references, references, original, maker.remarks)
    options = {"level": level, "seed": seed, "svc": svc}
    for name, logits in _read(shown, split, banked, references, original, batch_size):
        measured[name] = {role: measure_logits(split.labels(role), logits[role]) for role in logits}
        if name in references or name == original:
            _check_finite(name, measured[name], split)
        judge.see(name, logits, **options)
    rows = tuple(maker.row(name) for name in shown)
    values = {}
    if banked is not None:
        tested = None if original is None else measured[original]["test"].accuracy
        values = column_values(banked, tested, seed=seed)
    return AuditReport(
        title=title or "Unlearning audit",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment(),
        split=summary(split),
        original=original,
        references=references,
        columns=own_columns,
        rows=rows,
        notes=(
            *filter(None, [split.duplicates.note()]),
            *maker.notes(),
            *_on_references(references, banked),
            *([WEIGHTED] if split.is_weighted else []),
            *_trained_alike(measured, split, references, banked, original),
        ),
        reference_values=values,
        reference_seeds=banked.seeds if banked else (),
        evidence=illustrated({n: judge.found[n] for n in shown if n in judge.found}, look),
        fingerprints=prints,
        command=command,
    )


def _with_held_out(
    models: Mapping[str, keras.Model], banked: Banked | None
) -> dict[str, keras.Model | None]:
    """Returns the models of all rows; the one that a bank holds out has none."""
    if banked is None or banked.held_out is None:
        return dict(models)
    if HELD_OUT in models:
        raise ValueError(
            "models must leave a name to the bank's model that is held out. "
            f"Expected another name, or held_out=False. Received {HELD_OUT!r}."
        )
    return {**models, HELD_OUT: None}


def _read(
    models: Mapping[str, keras.Model | None],
    split: ForgetSplit,
    banked: Banked | None,
    references: tuple[str, ...],
    original: str | None,
    batch_size: int,
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields each model's logits by role: references first, then the original, then the others."""
    reader = Reader(split, split.roles, batch_size=batch_size)
    for name in sorted(models, key=lambda name: (name not in references, name != original)):
        if models[name] is None:
            yield name, banked.held_out
        else:
            yield name, dict(finite_logits(models[name], reader))


def _check_models(models: Mapping[str, keras.Model], split: ForgetSplit) -> None:
    for name, model in models.items():
        if not isinstance(name, str) or not isinstance(model, keras.Model):
            raise TypeError(
                "models must map names to Keras models. Expected str to keras.Model. "
                f"Received {type(name).__name__} {name!r} to {type(model).__name__}."
            )
        found = num_classes(model)
        if found != split.num_classes:
            raise ValueError(
                "models must tell the split's classes apart. "
                f"Expected {split.num_classes} classes. Received {found} from {name!r}. "
                "If the split counts too few, give it num_classes."
            )
        check_inputs(model, split)


def _references(
    models: Mapping[str, keras.Model],
    reference: str | Sequence[str] | None,
    original: str | None,
    bank: ReferenceBank | None,
) -> tuple[str, ...]:
    """Returns the references' names after checking that they and the original are there."""
    names: tuple[str, ...] = ()
    if bank is None and reference is not None:
        names = (reference,) if isinstance(reference, str) else tuple(reference)
        missing = [name for name in names if name not in models]
        if missing or not names:
            raise ValueError(
                "reference must name models retrained without the forget set; without one no "
                f"number can be judged. Expected names among {list(models)}, or None for a report "
                f"that says so. Received {list(names)}."
            )
    if original is not None and original not in models:
        raise ValueError(
            "original must name the model that unlearning started from, or be None. "
            f"Expected a name among {list(models)}. Received {original!r}."
        )
    if len(set(names)) < len(names) or original in names:
        raise ValueError(
            "reference must name different models, none of them the original. "
            f"Received reference {list(names)} and original {original!r}."
        )
    return names


def _times(
    models: Mapping[str, keras.Model], seconds: Mapping[str, float] | None
) -> dict[str, float]:
    times = {name: float(value) for name, value in (seconds or {}).items()}
    bad = {k: v for k, v in times.items() if k not in models or not math.isfinite(v) or v < 0}
    if bad:
        raise ValueError(
            "seconds must map compared models to times. "
            f"Expected finite values from 0 for names among {list(models)}. Received {bad}."
        )
    return times


def _check_finite(name: str, roles: Mapping[str, Measured], split: ForgetSplit) -> None:
    """Refuses a reference or an original that is not finite; other models get a note."""
    broken = [role for role in split.roles if role not in roles]
    if broken:
        raise ValueError(
            "models must be finite where others are held against them. Expected finite weights "
            "and logits of the references and the original. "
            f"Received NaN or infinity from {name!r} on {', '.join(broken)}."
        )


def summary(split: ForgetSplit) -> dict[str, Any]:
    """Returns what the report keeps of a split."""
    sizes = {role: int(split.size(role)) for role in split.roles}
    training = sizes["forget"] + sizes["retain"]
    return {
        "kind": split.kind,
        "num_classes": int(split.num_classes),
        "sizes": sizes,
        "fractions": {role: sizes[role] / training for role in ("forget", "retain")},
        "class_counts": {
            role: [int(count) for count in split.class_counts(role)] for role in split.roles
        },
        "fingerprint": split.fingerprint(),
    }


def _on_references(references: tuple[str, ...], banked: Banked | None) -> list[str]:
    if banked is not None:
        found = (
            f"The references are {len(banked.seeds)} models retrained without the forget set"
            f"{banked.weighting and f' under {banked.weighting}'}, "
            f"seeds {wording.shown_seeds(banked.seeds)}."
        )
        lost = []
        if banked.diverged:
            total = len(banked.seeds) + (banked.held_out_seed is not None) + len(banked.diverged)
            which = f"seeds {wording.shown_seeds(banked.diverged)}"
            lost = [wording.diverged(len(banked.diverged), total, which)]
        if banked.held_out_seed is None:
            return [found, *lost]
        return [
            *lost,
            f"{found} One more, seed {banked.held_out_seed}, is the row {HELD_OUT!r}: what the "
            "audit says of a model that did what was asked.",
        ]
    if not references:
        return [wording.NO_REFERENCE]
    if len(references) > 1:
        return []
    return [
        "There is one reference, so how much retraining itself varies is not known. "
        "References retrained with other seeds would show it."
    ]


def _trained_alike(
    measured: Mapping[str, Mapping[str, Measured]],
    split: ForgetSplit,
    references: tuple[str, ...],
    banked: Banked | None,
    original: str | None,
) -> list[str]:
    """Returns a note if the references fit the retain set other than the original does."""
    if banked is not None:
        many = banked.references
        tables = many.values["retain_accuracy"], many.values["retain_loss"], many.recalls["retain"]
        theirs = [retain_figures(*own) for own in zip(*tables, strict=True)]
    else:
        theirs = [_retain_figures(measured[name]["retain"]) for name in references]
    if original is None or not theirs:
        return []
    own = _retain_figures(measured[original]["retain"])
    return training_note(own, theirs, split.class_counts("retain").tolist())


def _retain_figures(found: Measured) -> dict[str, float]:
    return retain_figures(found.accuracy, float(found.losses.mean()), found.recalls)
