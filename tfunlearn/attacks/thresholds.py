"""Attacks by a threshold on one number per example, and by the predicted label alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn import metrics
from tfunlearn.attacks.checks import check_whole, class_numbers, numbers
from tfunlearn.attacks.evidence import MembershipScores, check_scores
from tfunlearn.attacks.folds import FOLDS, assign_folds
from tfunlearn.attacks.roc import roc
from tfunlearn.seeds import check_seed

__all__ = [
    "class_thresholds",
    "correctness",
    "entropy_threshold",
    "loss_threshold",
    "modified_entropy_threshold",
]


def loss_threshold(member_losses: ArrayLike, nonmember_losses: ArrayLike) -> MembershipScores:
    """Scores every example by minus its loss.

    A threshold on the true class's probability is the same attack.

    Args:
        member_losses: Cross-entropy in nats, shape (M,), M >= 2; in an audit, the forget role.
        nonmember_losses: The same for examples never trained on, shape (N,), N >= 2.

    Raises:
        ValueError: If a side is no flat list of at least 2 finite numbers.

    Example:
        >>> loss_threshold([0.5, 1.0], [2.0, 3.0]).members
        array([-0.5, -1. ])

    Reference:
        Yeom, Giacomelli, Fredrikson, Jha (2018), Privacy Risk in Machine Learning, arXiv
        1709.01604.
    Deviation:
        Every threshold instead of the mean training loss alone.
    """
    members = numbers("member_losses", member_losses, least=2)
    others = numbers("nonmember_losses", nonmember_losses, least=2)
    return MembershipScores("loss_threshold", -members, -others)


def entropy_threshold(member_logits: ArrayLike, nonmember_logits: ArrayLike) -> MembershipScores:
    """Scores every example by minus the entropy of its prediction; no label is needed.

    Args:
        member_logits: Scores before the softmax, shape (M, C), M >= 2; in an audit, the forget
            role.
        nonmember_logits: The same for examples never trained on, shape (N, C), N >= 2.

    Raises:
        ValueError: If a side is no table of finite logits of at least 2 examples.

    Example:
        >>> sure, unsure = [[9.0, 0.0], [0.0, 9.0]], [[1.0, 0.0], [0.0, 0.0]]
        >>> found = entropy_threshold(sure, unsure)
        >>> bool(found.members.min() > found.nonmembers.max())
        True

    Reference:
        Song, Mittal (2021), Systematic Evaluation of Privacy Risks of Machine Learning Models,
        arXiv 2003.10595, section 3.2.
    Deviation:
        One threshold for all classes; see `class_thresholds` for theirs.
    """
    return MembershipScores(
        "entropy_threshold", -metrics.entropy(member_logits), -metrics.entropy(nonmember_logits)
    )


def modified_entropy_threshold(
    member_labels: ArrayLike,
    member_logits: ArrayLike,
    nonmember_labels: ArrayLike,
    nonmember_logits: ArrayLike,
) -> MembershipScores:
    """Scores every example by minus the modified entropy, which a sure error makes large.

    Args:
        member_labels: Class numbers, integers of shape (M,), in [0, C), M >= 2; in an audit, the
            forget role.
        member_logits: Scores before the softmax, shape (M, C).
        nonmember_labels: The same for examples never trained on, shape (N,), N >= 2.
        nonmember_logits: Shape (N, C).

    Raises:
        TypeError: If labels are not integers.
        ValueError: If a shape, a label or a logit breaks the rules above.

    Example:
        >>> logits = [[9.0, 0.0], [0.0, 9.0]]
        >>> found = modified_entropy_threshold([0, 1], logits, [1, 0], logits)
        >>> bool(found.members.min() > found.nonmembers.max())
        True

    Reference:
        Song, Mittal (2021), Systematic Evaluation of Privacy Risks of Machine Learning Models,
        arXiv 2003.10595, section 3.2.
    Deviation:
        One threshold for all classes; see `class_thresholds` for theirs.
    """
    return MembershipScores(
        "modified_entropy_threshold",
        -metrics.modified_entropy(member_labels, member_logits),
        -metrics.modified_entropy(nonmember_labels, nonmember_logits),
    )


def correctness(
    member_labels: ArrayLike,
    member_predictions: ArrayLike,
    nonmember_labels: ArrayLike,
    nonmember_predictions: ArrayLike,
) -> MembershipScores:
    """Scores an example 1 if the predicted class is right and 0 if not: the label-only attack.

    No confidence enters, so a model that clips or flattens its confidences cannot hide from it.

    Args:
        member_labels: Class numbers, integers of shape (M,), M >= 2; in an audit, the forget role.
        member_predictions: Predicted class numbers, shape (M,).
        nonmember_labels: The same for examples never trained on, shape (N,), N >= 2.
        nonmember_predictions: Shape (N,).

    Returns:
        Scores; from 1 on the attack says "member". Its balanced accuracy is one half plus half
        the difference of the two sides' accuracies.

    Raises:
        TypeError: If labels or predictions are not integers.
        ValueError: If a shape differs or a class number is negative.

    Example:
        >>> found = correctness([0, 1], [0, 1], [0, 1], [1, 1])
        >>> found.members, found.nonmembers
        (array([1., 1.]), array([0., 1.]))

    Reference:
        The gap attack of Yeom et al. (2018), Privacy Risk in Machine Learning, arXiv 1709.01604,
        section 3.2; label-only attacks: Choquette-Choo et al. (2021), arXiv 2007.14321.
    Deviation:
        None known.
    """
    sides = (
        _right("member", member_labels, member_predictions),
        _right("nonmember", nonmember_labels, nonmember_predictions),
    )
    return MembershipScores("correctness", *sides, threshold=1.0)


def _right(side: str, labels: ArrayLike, predictions: ArrayLike) -> np.ndarray:
    size = len(np.atleast_1d(labels))
    labels = class_numbers(f"{side}_labels", labels, size)
    return (labels == class_numbers(f"{side}_predictions", predictions, size)).astype(np.float64)


def class_thresholds(
    scores: MembershipScores,
    member_labels: ArrayLike,
    nonmember_labels: ArrayLike,
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> MembershipScores:
    """Turns scores into distances to a threshold of the example's class, fitted without it.

    What is a low loss for one class is a high one for another, so each class has a threshold of
    its own. It is the score that parts members from non-members of the class best (balanced
    accuracy; between equals the highest), found on the other folds.

    Args:
        scores: From another attack, such as `entropy_threshold`.
        member_labels: Class numbers of the members, integers of shape (M,).
        nonmember_labels: Class numbers of the non-members, shape (N,); the same classes.
        folds: Number of folds, at least 2.
        seed: Seed of the folds.

    Returns:
        Distances; from 0 on the attack says "member". Its name ends in "by_class".

    Raises:
        TypeError: If labels are not integers, `folds` is no whole number, or something else than
            scores is given.
        ValueError: If a class has fewer than 2 examples on a side: on one side alone, the class
            itself would tell who is a member; and one example leaves nothing to fit on.

    Example:
        >>> found = class_thresholds(
        ...     MembershipScores("mine", [5, 6, 15, 16], [3, 4, 13, 14]),
        ...     [0, 0, 1, 1],
        ...     [0, 0, 1, 1],
        ...     folds=2,
        ... )
        >>> found.attack, bool(found.nonmembers.max() < 0)
        ('mine_by_class', True)

    Reference:
        Song, Mittal (2021), Systematic Evaluation of Privacy Risks of Machine Learning Models,
        arXiv 2003.10595, section 3.2 and its code.
    Deviation:
        The paper finds the thresholds on a shadow model; here on the same model and other
        examples (cross-fitting), which takes no second model.
    """
    check_scores(scores)
    folds = check_whole("folds", folds, 2)
    check_seed(seed)
    values = np.concatenate([scores.members, scores.nonmembers])
    classes = np.concatenate(
        [
            class_numbers("member_labels", member_labels, len(scores.members)),
            class_numbers("nonmember_labels", nonmember_labels, len(scores.nonmembers)),
        ]
    )
    is_member = np.arange(len(values)) < len(scores.members)
    _check_classes(classes, is_member)
    fold = assign_folds(2 * classes + is_member, values, folds, seed)
    distances = np.empty(len(values))
    for number in np.unique(classes):
        own = np.flatnonzero(classes == number)
        distances[own] = _distances(values[own], is_member[own], fold[own])
    members, others = distances[is_member], distances[~is_member]
    return MembershipScores(f"{scores.attack}_by_class", members, others, threshold=0.0)


def _check_classes(classes: np.ndarray, is_member: np.ndarray) -> None:
    """Refuses classes that a side has fewer than two examples of."""
    members, others = classes[is_member], classes[~is_member]
    few = {
        int(number): (int(np.sum(members == number)), int(np.sum(others == number)))
        for number in np.unique(classes)
    }
    few = {number: counts for number, counts in few.items() if min(counts) < 2}
    if few:
        raise ValueError(
            "member_labels and nonmember_labels must hold every class at least twice each. "
            "Expected 2 examples a side. Received, as members and non-members, "
            + ", ".join(f"{a} and {b} of class {number}" for number, (a, b) in few.items())
            + "."
        )


def _distances(values: np.ndarray, is_member: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Returns one class's distances to the thresholds found on the other folds."""
    distances = np.empty(len(values))
    for held in (fold == number for number in np.unique(fold)):
        curve = roc(values[~held & is_member], values[~held & ~is_member])
        best = 1 + np.argmax((curve.tpr - curve.fpr)[1:])
        distances[held] = values[held] - curve.thresholds[best]
    return distances
