"""One model's figures from its logits: what a candidate and the references are compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfunlearn import attacks, metrics
from tfunlearn.attacks import MembershipScores
from tfunlearn.metrics.softmax import log_softmax

__all__ = [
    "LOW_RATE",
    "Figure",
    "Reading",
    "attackable",
    "comparable",
    "listed",
    "read",
    "resolvable",
    "steps",
]

LOW_RATE = 0.01
"""The false positive rate at which the loss attack is read off."""


class Figure(NamedTuple):
    """A figure's key, its heading for people, and its unit."""

    name: str
    label: str
    unit: str


_OTHERS = (
    Figure("loss_auc", "loss attack AUC", "fraction"),
    Figure("loss_tpr_at_fpr_0_01", "loss attack TPR at 1 % FPR", "fraction"),
    Figure("label_only_gap", "label-only gap", "fraction"),
    Figure("lira_auc", "LiRA AUC", "fraction"),
    Figure("forget_deviation_p95", "forget margins' deviation, 95th percentile", "deviation"),
    Figure("retain_deviation", "retain margins' mean deviation", "deviation"),
    Figure("test_deviation", "test margins' mean deviation", "deviation"),
    Figure("forget_js", "JS divergence on forget", "nats"),
)


def listed(roles: Sequence[str]) -> tuple[Figure, ...]:
    """Returns the figures of an audit over these roles, in the order they are shown.

    Example:
        >>> [figure.name for figure in listed(["forget", "retain", "test"])][-3:]
        ['retain_deviation', 'test_deviation', 'forget_js']
    """
    by_role = [
        Figure(f"{role}_{kind}", f"{role} {kind}", unit)
        for kind, unit in (("accuracy", "fraction"), ("loss", "nats"))
        for role in roles
    ]
    return (*by_role, *_OTHERS)


@dataclass(frozen=True, eq=False)
class Reading:
    """What one model's logits say without any other model's.

    Attributes:
        values: Name to figure: accuracy and mean loss by role, and what the attacks find that
            need no other model.
        margins: Role to logit margins, float64 of shape (n,).
        scores: Attack to its scores, forget examples as members; empty where it has too few.
        right: Whether each forget example is answered right, bool of shape (F,).
        log_probabilities: The forget examples' log-softmax, float64 of shape (F, C).
    """

    values: Mapping[str, float]
    margins: Mapping[str, np.ndarray]
    scores: Mapping[str, MembershipScores]
    right: np.ndarray
    log_probabilities: np.ndarray


def comparable(labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns which test examples are of a class of the forget set, bool of shape (n,).

    An attack that had other classes on one side could tell the sides apart by class alone.

    Example:
        >>> comparable({"forget": np.array([1, 1]), "test": np.array([0, 1, 2])})
        array([False,  True, False])
    """
    return np.isin(labels["test"], np.unique(labels["forget"]))


def attackable(labels: Mapping[str, np.ndarray]) -> tuple[bool, str]:
    """Returns whether there are examples enough for an attack, and the reason if not.

    Example:
        >>> attackable({"forget": np.array([1]), "test": np.array([0, 1])})
        (False, 'there are 1 forget examples and 1 test examples of their classes; it takes 2 each')
    """
    sides = len(labels["forget"]), int(np.count_nonzero(comparable(labels)))
    if min(sides) >= 2:
        return True, ""
    return False, (
        f"there are {sides[0]:,} forget examples and {sides[1]:,} test examples of their classes; "
        "it takes 2 each"
    )


def resolvable(labels: Mapping[str, np.ndarray]) -> tuple[bool, str]:
    """Returns whether there are examples enough for the low rate, and the reason if not.

    Of the forget examples it takes as many as of the test examples: with fewer, a model that
    reaches the rate with one example would stand alone among references that do with none.

    Example:
        >>> resolvable({"forget": np.zeros(30, int), "test": np.zeros(200, int)})[1]
        'a rate of 0.01 takes 100 examples a side, and there are 30 forget and 200 test examples'
    """
    sides = len(labels["forget"]), int(np.count_nonzero(comparable(labels)))
    least = round(1 / LOW_RATE)
    if min(sides) >= least:
        return True, ""
    return False, (
        f"a rate of {LOW_RATE:g} takes {least} examples a side, and there are {sides[0]:,} forget "
        f"and {sides[1]:,} test examples"
    )


def steps(labels: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the least step that a figure can make, of those that count examples.

    Example:
        >>> labels = {"forget": np.zeros(4, int), "test": np.zeros(5, int)}
        >>> found = steps(labels)
        >>> found["forget_accuracy"], found["label_only_gap"], found["lira_auc"]
        (0.25, 0.25, 0.05)
    """
    found = {f"{role}_accuracy": 1 / len(own) for role, own in labels.items()}
    sides = len(labels["forget"]), int(np.count_nonzero(comparable(labels)))
    if min(sides):
        found |= dict.fromkeys(("loss_auc", "lira_auc"), 1 / (sides[0] * sides[1]))
        found |= {"loss_tpr_at_fpr_0_01": 1 / sides[0], "label_only_gap": 1 / min(sides)}
    return found


def read(labels: Mapping[str, np.ndarray], logits: Mapping[str, np.ndarray]) -> Reading:
    """Reads one model's figures off its logits.

    Args:
        labels: Role to class numbers, integers of shape (n,); "forget" and "test" among them.
        logits: The same roles to scores before the softmax, shape (n, C), finite.

    Returns:
        The reading; attacks are absent where a side has fewer than 2 examples, and the loss
        attack's low rate where a side is too small for it.

    Raises:
        ValueError: If shapes do not fit, or logits are not finite or look like probabilities.
    """
    scores = {role: np.asarray(logits[role], dtype=np.float64) for role in labels}
    losses = {role: metrics.cross_entropy(own, scores[role]) for role, own in labels.items()}
    answers = {role: own.argmax(axis=1) for role, own in scores.items()}
    values = {f"{role}_accuracy": float(np.mean(answers[role] == labels[role])) for role in labels}
    values |= {f"{role}_loss": float(own.mean()) for role, own in losses.items()}
    found: dict[str, MembershipScores] = {}
    if attackable(labels)[0]:
        found = _attacks(labels, scores, losses, answers)
        values |= _attack_values(found, resolvable(labels)[0])
    return Reading(
        values=values,
        margins={role: metrics.margins(own, scores[role]) for role, own in labels.items()},
        scores=found,
        right=answers["forget"] == labels["forget"],
        log_probabilities=log_softmax(scores["forget"]),
    )


def _attacks(
    labels: Mapping[str, np.ndarray],
    logits: Mapping[str, np.ndarray],
    losses: Mapping[str, np.ndarray],
    answers: Mapping[str, np.ndarray],
) -> dict[str, MembershipScores]:
    """Returns the scores of the attacks that need one model only."""
    mask = comparable(labels)
    own, others = labels["forget"], labels["test"][mask]
    return {
        "loss_threshold": attacks.loss_threshold(losses["forget"], losses["test"][mask]),
        "modified_entropy_threshold": attacks.modified_entropy_threshold(
            own, logits["forget"], others, logits["test"][mask]
        ),
        "correctness": attacks.correctness(own, answers["forget"], others, answers["test"][mask]),
    }


def _attack_values(found: Mapping[str, MembershipScores], resolved: bool) -> dict[str, float]:
    by_loss, by_label = found["loss_threshold"], found["correctness"]
    curve = attacks.roc(by_loss.members, by_loss.nonmembers)
    values = {"loss_auc": curve.auc}
    if resolved:
        values["loss_tpr_at_fpr_0_01"] = curve.tpr_at(LOW_RATE)
    values["label_only_gap"] = float(by_label.members.mean() - by_label.nonmembers.mean())
    return values
