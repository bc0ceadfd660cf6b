"""Models side by side, each number beside the retrained reference's."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfunlearn.audit.columns import columns
from tfunlearn.audit.environment import environment
from tfunlearn.audit.measure import Measured, measure
from tfunlearn.audit.outputs import Reader
from tfunlearn.audit.rows import RowMaker
from tfunlearn.data import ForgetSplit
from tfunlearn.methods.checks import check_inputs
from tfunlearn.models import num_classes
from tfunlearn.report import AuditReport
from tfunlearn.seeds import check_seed

__all__ = ["compare"]


def compare(
    models: Mapping[str, keras.Model],
    split: ForgetSplit,
    *,
    reference: str | Sequence[str] = "retrained",
    original: str | None = "original",
    seconds: Mapping[str, float] | None = None,
    title: str = "",
    seed: int = 0,
    batch_size: int = 512,
) -> AuditReport:
    """Measures models on every role of a split and puts each number beside the reference's.

    No model is trained or changed. The membership attack sets the forget examples against the
    test examples of the classes that occur in the forget set (all, if all occur): with other
    classes among them it could tell the sides apart by class, which says nothing on membership.

    Args:
        models: Name to built classifier; all with the split's number of classes.
        split: Roles to measure on; forget, retain, test and, if present, validation are read.
        reference: Name, or names, of the models retrained without the forget set. Gaps are taken
            to their mean; with several, their spread is shown.
        original: Name of the model that unlearning started from. None: utility preservation,
            performance drop and weight distance are absent.
        seconds: Name to the seconds that it took to make that model.
        title: Heading of the report.
        seed: Seed of the membership attack.
        batch_size: Examples per prediction step, at least 1.

    Returns:
        The report. Costs one forward pass over every role per model.

    Raises:
        TypeError: If something else than Keras models is compared.
        ValueError: If the reference or the original is missing, class counts differ, a time is
            negative or of an unknown model, or the outputs of a reference or of the original
            are not finite.
    """
    check_seed(seed)
    _check_models(models, split)
    references = _references(models, reference, original)
    times = _times(models, seconds)
    reader = Reader(split, split.roles, batch_size=batch_size)
    measured = {}
    for name, model in models.items():
        measured[name] = measure(model, split, reader)
        if name in references or name == original:
            _check_finite(name, measured[name], split)
    shown = columns(split.roles)
    maker = RowMaker(models, split, original, measured, times, shown, seed)
    rows = tuple(maker.row(name) for name in models)
    return AuditReport(
        title=title or "Unlearning audit",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment(),
        split=summary(split),
        original=original,
        references=references,
        columns=shown,
        rows=rows,
        notes=(*maker.notes(), *_on_references(references)),
    )


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
    models: Mapping[str, keras.Model], reference: str | Sequence[str], original: str | None
) -> tuple[str, ...]:
    """Returns the references' names after checking that they and the original are there."""
    names = (reference,) if isinstance(reference, str) else tuple(reference)
    missing = [name for name in names if name not in models]
    if missing or not names:
        raise ValueError(
            "reference must name models retrained without the forget set; without one no number "
            f"can be judged. Expected names among {list(models)}. Received {list(names)}."
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


def _on_references(references: tuple[str, ...]) -> list[str]:
    if len(references) > 1:
        return []
    return [
        "There is one reference, so how much retraining itself varies is not known. "
        "References retrained with other seeds would show it."
    ]
