"""The references that a bank holds, as an audit uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfunlearn import metrics
from tfunlearn.attacks.membership import FOLDS, membership_attack
from tfunlearn.audit import figures
from tfunlearn.audit.bank_key import data_marks
from tfunlearn.audit.copies import require_distinct_logits
from tfunlearn.audit.references import References
from tfunlearn.data import ForgetSplit

__all__ = ["HELD_OUT", "Banked", "column_values", "take"]

HELD_OUT = "held-out retrain"
"""Name of the row of the bank's model that is audited and not among the references."""


@dataclass(frozen=True, eq=False)
class Banked:
    """A bank's models without the forget set, parted into references and one that is held out.

    Attributes:
        references: The references.
        seeds: Their seeds.
        seconds: What training each took.
        held_out: Role to the logits of the model that is held out; None if none is.
        held_out_seed: Its seed.
        held_out_seconds: What its training took.
        weighting: The class and sample weights that all were trained under, in words; "" for none.
        diverged: Seeds of the bank's models that are not there as their training diverged.
    """

    references: References
    seeds: tuple[int, ...]
    seconds: tuple[float, ...]
    held_out: dict[str, np.ndarray] | None
    held_out_seed: int | None
    held_out_seconds: float | None
    weighting: str = ""
    diverged: tuple[int, ...] = ()


def take(bank: Any, split: ForgetSplit, *, held_out: bool) -> Banked:
    """Returns a bank's models as references, the last of them held out if asked.

    Args:
        bank: A `ReferenceBank`, or what has its `seeds`, `seconds` and `logits(role)`.
        split: The split it was made for.
        held_out: Whether to hold out the model with the last seed.

    Raises:
        ValueError: If the bank was made for other data, holds too few models, one of them twice, or
            logits that are not finite.
    """
    _check_data(bank, split)
    seeds = tuple(int(seed) for seed in bank.seeds)
    seconds = tuple(float(value) for value in bank.seconds)
    least = 3 if held_out else 2
    if len(seeds) < least:
        raise ValueError(
            "bank must hold models to compare with"
            + (" besides the one that is held out. " if held_out else ". ")
            + f"Expected at least {least}. Received {len(seeds)}."
        )
    labels = {role: split.labels(role) for role in split.roles}
    logits = {role: bank.logits(role) for role in split.roles}
    shapes = {role: np.shape(own) for role, own in logits.items()}
    wanted = {role: (len(seeds), len(own), split.num_classes) for role, own in labels.items()}
    if shapes != wanted:
        raise ValueError(
            "bank must hold logits for every model, example and class. "
            f"Expected shapes {wanted}. Received {shapes}."
        )
    require_distinct_logits("bank", [f"seed {seed}" for seed in seeds], logits)
    last = len(seeds) - held_out
    return Banked(
        references=References(labels, {role: own[:last] for role, own in logits.items()}),
        seeds=seeds[:last],
        seconds=seconds[:last],
        held_out={r: np.asarray(own[-1], np.float64) for r, own in logits.items()}
        if held_out
        else None,
        held_out_seed=seeds[-1] if held_out else None,
        held_out_seconds=seconds[-1] if held_out else None,
        weighting=_weighting(getattr(bank, "settings", {}).get("training", {})),
        diverged=tuple(int(seed) for seed in getattr(bank, "diverged", ())),
    )


def column_values(
    banked: Banked, original_accuracy: float | None, *, seed: int
) -> dict[str, tuple[float, ...]]:
    """Returns the references' values of a report's columns; those that cannot be had are absent.

    Args:
        banked: The references.
        original_accuracy: The original's test accuracy; None without an original.
        seed: Seed of the membership attack.
    """
    references = banked.references
    names = [f"{role}_{kind}" for role in references.labels for kind in ("accuracy", "loss")]
    found = {name: references.values[name] for name in names}
    for role, recalls in references.recalls.items():
        found[f"{role}_balanced_accuracy"] = tuple(np.nanmean(recalls, axis=1).tolist())
        found[f"{role}_worst_recall"] = tuple(np.nanmin(recalls, axis=1).tolist())
    found["seconds"] = banked.seconds
    if original_accuracy is not None:
        pairs = [(own, original_accuracy) for own in found["test_accuracy"]]
        found["performance_drop"] = tuple(metrics.performance_drop(*pair) for pair in pairs)
        if original_accuracy > 0:
            kept = [metrics.utility_preservation(*pair) for pair in pairs]
            found["utility_preservation"] = tuple(kept)
    return found | _membership(references, seed)


def _weighting(training: Mapping[str, Any]) -> str:
    """Returns a bank's class and sample weights in words."""
    parts = []
    if own := training.get("class_weight"):
        shown = ", ".join(f"{label}: {weight:g}" for label, weight in own.items())
        parts.append(f"class weights {{{shown}}}")
    if training.get("sample_weights"):
        parts.append("sample weights")
    return " and ".join(parts)


def _membership(references: References, seed: int) -> dict[str, tuple[float, ...]]:
    """Returns what the report's attack finds on each reference."""
    mask = figures.comparable(references.labels)
    if min(len(references.labels["forget"]), np.count_nonzero(mask)) < FOLDS:
        return {}
    sides = references.margins["forget"], references.margins["test"][:, mask]
    # log(1 + exp(-margin)) is the cross-entropy
    losses = [np.logaddexp(0.0, -own) for own in sides]
    found = [membership_attack(*pair, seed=seed) for pair in zip(*losses, strict=True)]
    return {
        "membership_accuracy": tuple(own.accuracy for own in found),
        "membership_deviation": tuple(own.deviation for own in found),
    }


def _check_data(bank: Any, split: ForgetSplit) -> None:
    """Refuses a bank that says that it was made for other data."""
    known = getattr(bank, "settings", {}).get("data")
    if known is None or set(split.roles) - set(known):
        return  # a role that is not kept is refused by the bank itself
    if any(split.source(role).is_stream for role in split.roles):
        return
    found = data_marks(split, split.roles)
    other = sorted(role for role in found if found[role] != known[role])
    if other:
        raise ValueError(
            "bank must be of the same data. Expected a bank made for this split. "
            f"Received one of other ids, labels or inputs for {', '.join(other)}."
        )
