"""What an attack's scores show: the figures everybody reports, each with an interval and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from tfunlearn.attacks.checks import numbers
from tfunlearn.attacks.intervals import Estimate
from tfunlearn.attacks.roc import Roc, roc
from tfunlearn.attacks.roc_intervals import (
    auc_interval,
    confidence_band,
    decision_interval,
    tpr_interval,
)

__all__ = ["MembershipEvidence", "MembershipScores", "check_scores", "membership_evidence"]

_TPR = {"tpr_at_fpr_0_01": 0.01, "tpr_at_fpr_0_001": 0.001}
_UNDECIDED = "the attack gives scores and decides nothing"


@dataclass(frozen=True, eq=False)
class MembershipScores:
    """How much each example looks like a member to one attack.

    Attributes:
        attack: The attack's name.
        members: A score per member, in the order given, float64 of shape (M,), M >= 2; higher is
            more like a member. In an audit, the forget role.
        nonmembers: The same for examples never trained on, shape (N,), N >= 2.
        threshold: The score from which the attack itself says "member", fixed without the
            examples it is used on. None: the attack decides nothing.

    Raises:
        ValueError: If a side is no flat list of at least 2 finite numbers.

    Example:
        >>> MembershipScores("mine", [1, 2], [0, 1]).members
        array([1., 2.])
    """

    attack: str
    members: np.ndarray
    nonmembers: np.ndarray
    threshold: float | None = None

    def __post_init__(self) -> None:
        for side in ("members", "nonmembers"):
            values = numbers(side, getattr(self, side), least=2).copy()
            values.flags.writeable = False
            object.__setattr__(self, side, values)


@dataclass(frozen=True, eq=False)
class MembershipEvidence:
    """What one attack shows; made by `membership_evidence`.

    Attributes:
        attack: The attack's name.
        members: Number of members.
        nonmembers: Number of non-members.
        auc: Area under the ROC curve.
        advantage: Attacker's advantage at the best threshold.
        balanced_accuracy: Best balanced accuracy over the thresholds.
        tpr_at_fpr_0_01: True positive rate at a false positive rate of 1 %.
        tpr_at_fpr_0_001: The same at 0.1 %.
        decision_accuracy: Balanced accuracy of the attack's own decisions; no threshold was
            picked on the examples counted here, so chance is 0.5, for any size.
        absent: For each figure that is None, the reason.
        roc: The whole curve.
    """

    attack: str
    members: int
    nonmembers: int
    auc: Estimate
    advantage: Estimate
    balanced_accuracy: Estimate
    tpr_at_fpr_0_01: Estimate | None
    tpr_at_fpr_0_001: Estimate | None
    decision_accuracy: Estimate | None
    absent: Mapping[str, str]
    roc: Roc

    @property
    def figures(self) -> dict[str, Estimate]:
        """Name to figure, of those that could be had."""
        names = ("auc", "advantage", "balanced_accuracy", *_TPR, "decision_accuracy")
        return {name: getattr(self, name) for name in names if name not in self.absent}


def membership_evidence(
    scores: MembershipScores, *, level: float = 0.95, repeats: int = 1000, seed: int = 0
) -> MembershipEvidence:
    """Returns the figures of an attack's scores, each with its interval.

    Chance is an AUC of 0.5, but chance is not the target: the target is what the same attack
    shows against models retrained without the forget set. For those the curve is enough, and
    `roc` gives it in a fraction of the time.

    The intervals say how far another draw of examples would move a figure; how far another
    training run would move it, only several references show (`reference_percentile`).

    Args:
        scores: From an attack.
        level: Share of the intervals that hold the true value, a fraction in (0, 1).
        repeats: Resamples for the advantage and the balanced accuracy, at least 2 / (1 - level).
        seed: Seed of the resamples.

    Returns:
        The evidence. AUC: DeLong's interval. Advantage and best balanced accuracy: a bootstrap
        band over all thresholds. TPR: exact, or absent where the non-members are too few for the
        rate. The attack's own decisions: Newcombe's interval, or absent if it makes none. The
        order of the examples changes nothing.

    Raises:
        TypeError: If something else than scores is given, or `repeats` is no whole number.
        ValueError: If an option lies outside its range.

    Example:
        >>> scores = MembershipScores("mine", range(50, 250), range(200), threshold=125)
        >>> found = membership_evidence(scores)
        >>> print(found.auc), print(found.decision_accuracy)
        0.7188 [0.6676, 0.7648]
        0.625 [0.5763, 0.6704]
        (None, None)
        >>> found.absent["tpr_at_fpr_0_001"]
        '200 non-members cannot show a false positive rate of 0.001, which takes 1,000'
    """
    check_scores(scores)
    curve = roc(scores.members, scores.nonmembers)
    band = confidence_band(curve, level=level, repeats=repeats, seed=seed)
    method = f"bootstrap band, {repeats} resamples, seed {seed}"
    found, absent = _low_rates(curve, level)
    decided = _decided(scores, level)
    if decided is None:
        absent["decision_accuracy"] = _UNDECIDED
    return MembershipEvidence(
        attack=scores.attack,
        members=curve.members,
        nonmembers=curve.nonmembers,
        auc=auc_interval(curve, level=level),
        advantage=_within(curve, curve.advantage, band, 0.0, level, method),
        balanced_accuracy=_within(curve, curve.balanced_accuracy, band / 2, 0.5, level, method),
        decision_accuracy=decided,
        absent=MappingProxyType(absent),
        roc=curve,
        **found,
    )


def check_scores(scores: Any) -> None:
    """Raises unless scores come from an attack.

    Raises:
        TypeError: If they are anything else.
    """
    if not isinstance(scores, MembershipScores):
        raise TypeError(
            "scores must come from an attack. Expected MembershipScores. "
            f"Received {type(scores).__name__}."
        )


def _low_rates(curve: Roc, level: float) -> tuple[dict[str, Estimate | None], dict[str, str]]:
    """Returns the true positive rates at low false positive rates, or why they are absent."""
    found, absent = {}, {}
    for name, fpr in _TPR.items():
        found[name] = tpr_interval(curve, fpr, level=level) if curve.resolves(fpr) else None
        if found[name] is None:
            absent[name] = (
                f"{curve.nonmembers:,} non-members cannot show a false positive rate of {fpr:g}, "
                f"which takes {round(1 / fpr):,}"
            )
    return found, absent


def _decided(scores: MembershipScores, level: float) -> Estimate | None:
    if scores.threshold is None:
        return None
    return decision_interval(
        int(np.sum(scores.members >= scores.threshold)),
        len(scores.members),
        int(np.sum(scores.nonmembers < scores.threshold)),
        len(scores.nonmembers),
        level=level,
    )


def _within(
    curve: Roc, value: float, step: float, least: float, level: float, method: str
) -> Estimate:
    """Returns a maximum over thresholds with the ends of its band, inside its range."""
    ends = max(least, value - step), min(1.0, value + step)
    return Estimate(value, *ends, level, (curve.members, curve.nonmembers), method)
