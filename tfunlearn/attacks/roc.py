"""The receiver operating characteristic of an attack, exact under ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.checks import numbers

__all__ = ["Roc", "roc"]


@dataclass(frozen=True, eq=False)
class Roc:
    """What an attack reaches at every threshold on its scores; made by `roc`.

    A positive is a member. An example is called a member where its score is at least the
    threshold. The arrays are float64, of one length, and cannot be written to.

    Attributes:
        fpr: Share of non-members called members, rising from 0 to 1.
        tpr: Share of members called members, rising from 0 to 1.
        thresholds: Falling; infinity first (nobody is called a member), then every score that
            occurs, once.
        members: Number of members.
        nonmembers: Number of non-members.
    """

    fpr: np.ndarray
    tpr: np.ndarray
    thresholds: np.ndarray
    members: int
    nonmembers: int

    @property
    def auc(self) -> float:
        """Area under the curve: how often a member outscores a non-member, ties for a half."""
        caught, false = self.counts
        doubled = int(np.sum(np.diff(false) * (caught[1:] + caught[:-1])))
        return doubled / (2 * self.members * self.nonmembers)

    @property
    def advantage(self) -> float:
        """The attacker's advantage, max |TPR - FPR| over the thresholds, in [0, 1].

        The best threshold is picked on the examples that are counted, so the number lies above 0
        even where nothing leaks: set it beside the same number of retrained models.
        """
        return float(np.max(np.abs(self.tpr - self.fpr)))

    @property
    def balanced_accuracy(self) -> float:
        """The best (TPR + 1 - FPR) / 2 over the thresholds, in [0.5, 1].

        Picked on the counted examples, as `advantage`; unlike it, scores that are lower for
        members earn nothing here.
        """
        return float(0.5 + np.max(self.tpr - self.fpr) / 2)

    @property
    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Members and non-members called members at each threshold, int64."""
        caught, false = self.tpr * self.members, self.fpr * self.nonmembers
        return np.rint(caught).astype(np.int64), np.rint(false).astype(np.int64)

    def resolves(self, fpr: float) -> bool:
        """Returns whether one false alarm among the non-members stays within this FPR."""
        return 1 / self.nonmembers <= fpr

    def tpr_at(self, fpr: float) -> float:
        """Returns the largest TPR whose FPR does not exceed the one asked for.

        Nothing is interpolated between thresholds.

        Args:
            fpr: False positive rate, a fraction in (0, 1].

        Returns:
            The true positive rate, a fraction.

        Raises:
            ValueError: If the non-members are too few to resolve that FPR, 1/N > fpr: then no
                false alarm at all would be allowed, which shows a lower FPR than was asked for.
        """
        fpr = float(fpr)
        if not 0.0 < fpr <= 1.0:
            raise ValueError(f"fpr must be a false positive rate. Expected (0, 1]. Received {fpr}.")
        if not self.resolves(fpr):
            raise ValueError(
                "fpr must be resolved by the non-members. "
                f"Expected at least {int(np.ceil(round(1 / fpr, 9)))} of them for a false "
                f"positive rate of {fpr:g}. Received {self.nonmembers}."
            )
        return float(self.tpr[np.searchsorted(self.fpr, fpr, side="right") - 1])


def roc(member_scores: ArrayLike, nonmember_scores: ArrayLike) -> Roc:
    """Returns the ROC curve of an attack's scores.

    Equal scores share one threshold, so no order among ties is made up. The order of the
    examples changes nothing.

    Args:
        member_scores: A score per member, shape (M,), finite; higher is more like a member.
        nonmember_scores: A score per non-member, shape (N,), finite.

    Returns:
        The curve, with a point for every distinct score and one for nobody.

    Raises:
        ValueError: If a side is no flat list of at least one finite number.

    Example:
        >>> curve = roc([3.0, 2.0], [2.0, 1.0])
        >>> curve.thresholds.tolist(), curve.tpr.tolist(), curve.fpr.tolist()
        ([inf, 3.0, 2.0, 1.0], [0.0, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0])
        >>> curve.auc, curve.advantage, curve.balanced_accuracy, curve.tpr_at(0.5)
        (0.875, 0.5, 0.75, 1.0)

    Reference:
        Fawcett (2006), An introduction to ROC analysis, Pattern Recognition Letters 27. The
        advantage is that of Yeom, Giacomelli, Fredrikson, Jha (2018), Privacy Risk in Machine
        Learning, arXiv 1709.01604, at the best threshold. TPR at a low FPR: Carlini et al.
        (2022), Membership Inference Attacks From First Principles, arXiv 2112.03570.
    Deviation:
        None known; the points are those of `sklearn.metrics.roc_curve(drop_intermediate=False)`.
    """
    members = numbers("member_scores", member_scores)
    others = numbers("nonmember_scores", nonmember_scores)
    scores, place = np.unique(np.concatenate([members, others]), return_inverse=True)
    return Roc(
        fpr=_reached(place[len(members) :], len(scores)),
        tpr=_reached(place[: len(members)], len(scores)),
        thresholds=_frozen(np.concatenate([[np.inf], scores[::-1]])),
        members=len(members),
        nonmembers=len(others),
    )


def _reached(place: np.ndarray, size: int) -> np.ndarray:
    """Returns the share of a side at or above each score, from none to all."""
    counts = np.bincount(place, minlength=size)[::-1]
    return _frozen(np.concatenate([[0], np.cumsum(counts)]) / len(place))


def _frozen(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values
