"""What membership attacks show of one model, beside the same attacks on the references."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn import attacks, metrics
from tfunlearn.attacks import Estimate, MembershipScores
from tfunlearn.audit.figures import Reading, comparable
from tfunlearn.audit.held import LIRA, Held
from tfunlearn.audit.references import References
from tfunlearn.report.evidence import AttackResult, Interval

__all__ = ["attack_results", "thinned"]

_LABELS = {
    "loss_threshold": "loss threshold",
    "modified_entropy_threshold": "modified entropy threshold",
    "correctness": "label only: right or wrong",
    LIRA: "LiRA, offline",
    "svc_confidence": "SVC on confidence",
}
_SHOWN = ("auc", "advantage", "balanced_accuracy", "tpr_at_fpr_0_01", "tpr_at_fpr_0_001")
_SVC_LIMIT = 2000
_STEPS = 100


def attack_results(
    references: References,
    reading: Reading,
    held: Held,
    logits: Mapping[str, ArrayLike],
    *,
    level: float,
    seed: int,
    svc: bool,
) -> tuple[AttackResult, ...]:
    """Returns what each attack shows: forget examples against test examples of their classes.

    Args:
        references: The retrained models.
        reading: The model's.
        held: It and the references, each against all the others.
        logits: Role to its logits.
        level: Level of the intervals.
        seed: Seed of the resamples and of the SVC's halves.
        svc: Whether to add the SVC, fitted on at most 2,000 examples a side; not run on the
            references.

    Returns:
        An entry per attack that can be made; none where examples are too few.
    """
    found = list(reading.scores.values())
    lira = None if held.relative is None else held.relative.lira(references.labels)
    found += [] if lira is None else [lira]
    if svc and reading.scores:
        found.append(_svc(references, logits, level, seed))
    return tuple(_result(scores, held.aucs.get(scores.attack), level, seed) for scores in found)


def thinned(
    fpr: np.ndarray, tpr: np.ndarray, least: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns at most 203 points of a ROC curve, close together where either axis shows it.

    Args:
        fpr: False positive rates, rising from 0 to 1, shape (P,).
        tpr: True positive rates, rising from 0 to 1, shape (P,).
        least: The smallest rate above 0 that can occur; from there on the points are spread by
            the logarithm of the false positive rate.

    Example:
        >>> rates = np.linspace(0, 1, 10_001)
        >>> fpr, tpr = thinned(rates, rates, 1e-4)
        >>> fpr[:2], fpr[-1], len(fpr) <= 203
        ((0.0, 0.0001), 1.0, True)
    """
    by_fpr = np.searchsorted(fpr, np.geomspace(least, 1.0, _STEPS) * (1 + 1e-12), side="right") - 1
    by_tpr = np.searchsorted(tpr, np.linspace(0.0, 1.0, _STEPS))
    ends = [0, int(np.searchsorted(fpr, 0.0, side="right")) - 1, len(fpr) - 1]
    kept = np.unique(np.concatenate([by_fpr, np.minimum(by_tpr, len(tpr) - 1), ends]))
    return tuple(fpr[kept].tolist()), tuple(tpr[kept].tolist())


def _result(
    scores: MembershipScores, aucs: tuple[float, ...] | None, level: float, seed: int
) -> AttackResult:
    shown = attacks.membership_evidence(scores, level=level, seed=seed)
    figures = {name: own for name, own in shown.figures.items() if name in _SHOWN}
    absent = {name: reason for name, reason in shown.absent.items() if name in _SHOWN}
    if aucs is None:
        absent["references"] = "the attack was not run on the references"
    fpr, tpr = thinned(shown.roc.fpr, shown.roc.tpr, 1 / shown.nonmembers)
    return AttackResult(
        attack=scores.attack,
        label=_LABELS[scores.attack],
        members=shown.members,
        nonmembers=shown.nonmembers,
        figures={name: _interval(own) for name, own in figures.items()},
        absent=absent,
        fpr=fpr,
        tpr=tpr,
        references=aucs or (),
    )


def _interval(found: Estimate) -> Interval:
    return Interval(found.value, found.low, found.high, found.method)


def _svc(
    references: References, logits: Mapping[str, ArrayLike], level: float, seed: int
) -> MembershipScores:
    """Returns the scores of SalUn's attack; fitted on retain against test, judging forget."""
    labels, mask = references.labels, comparable(references.labels)
    sure = {
        role: np.exp(-metrics.cross_entropy(labels[role], logits[role]))
        for role in ("retain", "forget", "test")
    }
    return attacks.svc_confidence(
        sure["retain"], sure["forget"], sure["test"][mask], limit=_SVC_LIMIT, level=level, seed=seed
    ).scores
