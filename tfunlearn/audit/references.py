"""Many retrained models on one split, and what a candidate is held against."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn import attacks, metrics
from tfunlearn.audit import figures
from tfunlearn.audit.figures import Figure, Reading
from tfunlearn.audit.held import Held, hold

__all__ = ["References"]


class References:
    """Models retrained without the forget set, and what a candidate is held against.

    Figures that hold a model against others (`held.RELATIVE`) are made anew for every candidate:
    each of the N + 1 models, the candidate among them, is held against the other N. A reference's
    value of such a figure so belongs to one candidate, and a candidate far from all references
    makes theirs smaller. All other figures need one model only.

    Args:
        labels: Role to class numbers, integers of shape (n,); "forget", "retain" and "test" among
            them.
        logits: The same roles to scores before the softmax, shape (N, n, C), finite, N >= 2. One
            model is read at a time, so they may be memory-mapped; those of the forget role are
            read again for every candidate.

    Attributes:
        labels: As given.
        count: Number of references, N.
        listed: The figures of an audit over these roles.
        values: Name of a figure that needs one model only to the references' values, in their
            order.
        absent: Name of a figure that the data are too small for to the reason.
        aucs: Name of an attack that needs one model only to the references' AUC.
        recalls: Role to the references' recalls by class, float64 of shape (N, C); NaN for a class
            without examples.
        right: Whether a reference answers a forget example right, bool of shape (N, F).
        margins: Role to the references' logit margins, float64 of shape (N, n).
        forget_logits: As given, shape (N, F, C).

    Raises:
        ValueError: If shapes do not fit, or logits are not finite or look like probabilities.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = {role: np.arange(30) % 3 for role in ("forget", "retain", "test")}
        >>> logits = {role: rng.normal(size=(20, 30, 3)) for role in labels}
        >>> many = References(labels, {role: own[:19] for role, own in logits.items()})
        >>> held = many.hold(many.read({role: own[19] for role, own in logits.items()}))
        >>> many.count, len(held.references["lira_auc"]), sorted(held.absent)
        (19, 19, ['loss_tpr_at_fpr_0_01'])
        >>> held.test().inside
        True
    """

    def __init__(self, labels: Mapping[str, np.ndarray], logits: Mapping[str, ArrayLike]) -> None:
        self.count = _check(labels, logits)
        self.labels = dict(labels)
        self.listed: tuple[Figure, ...] = figures.listed(tuple(labels))
        self.margins = {role: np.empty((self.count, len(own))) for role, own in labels.items()}
        classes = np.shape(logits["forget"])[2]
        self.recalls = {role: np.empty((self.count, classes)) for role in labels}
        self.right = np.empty((self.count, len(labels["forget"])), bool)
        self.forget_logits = logits["forget"]
        self._types = {role: np.asarray(own[0]).dtype for role, own in logits.items()}
        kept = [self._first_pass(place, logits) for place in range(self.count)]
        self.absent = self._absences()
        names = [name for name, *_ in self.listed if name in kept[0][0]]
        self.values = {name: tuple(values[name] for values, _ in kept) for name in names}
        self.aucs = {name: tuple(own[name] for _, own in kept) for name in kept[0][1]}

    def read(self, logits: Mapping[str, ArrayLike]) -> Reading:
        """Reads a candidate as the references were read: rounded to the type they are kept in.

        Args:
            logits: Role to scores before the softmax, shape (n, C), finite. Beyond the range of
                the references' type (65,504 for float16) they count as its ends.

        Raises:
            ValueError: If roles or shapes do not fit, or logits are not finite or look like
                probabilities.
        """
        self._check_candidate(logits)
        return figures.read(
            self.labels, {r: _rounded(logits[r], t) for r, t in self._types.items()}
        )

    def hold(self, reading: Reading) -> Held:
        """Holds a candidate and the references against one another; see `held.hold`."""
        return hold(self, reading)

    def centre(self, role: str) -> np.ndarray:
        """Returns the references' mean margins on a role, float64 of shape (n,)."""
        return self.margins[role].mean(axis=0)

    def _first_pass(
        self, place: int, logits: Mapping[str, ArrayLike]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Keeps what all examples need of one reference; returns its figures and AUCs."""
        reading = figures.read(self.labels, {role: own[place] for role, own in logits.items()})
        for role, own in reading.margins.items():
            self.margins[role][place] = own
            self.recalls[role][place] = metrics.class_recalls(
                self.labels[role], logits[role][place]
            )
        self.right[place] = reading.right
        curves = {
            name: attacks.roc(own.members, own.nonmembers) for name, own in reading.scores.items()
        }
        return dict(reading.values), {name: curve.auc for name, curve in curves.items()}

    def _absences(self) -> dict[str, str]:
        found: dict[str, str] = {}
        resolved, reason = figures.resolvable(self.labels)
        if not resolved:
            found["loss_tpr_at_fpr_0_01"] = reason
        enough, reason = figures.attackable(self.labels)
        if not enough:
            names = ("loss_auc", "loss_tpr_at_fpr_0_01", "label_only_gap", "lira_auc")
            found |= dict.fromkeys(names, reason)
        return found

    def _check_candidate(self, logits: Mapping[str, ArrayLike]) -> None:
        classes = np.shape(self.forget_logits)[2]
        wanted = {role: (len(own), classes) for role, own in self.labels.items()}
        shapes = {role: np.shape(own) for role, own in logits.items()}
        if shapes != wanted:
            raise ValueError(
                "logits must be of the references' roles, examples and classes. "
                f"Expected shapes {wanted}. Received {shapes}."
            )


def _rounded(scores: ArrayLike, kind: np.dtype) -> np.ndarray:
    """Returns scores in a type of few digits; what lies beyond its range gets its ends."""
    scores = np.asarray(scores)
    if kind.kind != "f" or kind.itemsize >= scores.dtype.itemsize:
        return scores
    ends = np.finfo(kind)
    held = np.clip(scores, ends.min, ends.max)
    return np.where(np.isfinite(scores), held, scores).astype(kind)


def _check(labels: Mapping[str, np.ndarray], logits: Mapping[str, ArrayLike]) -> int:
    """Returns the number of references after checking that all roles hold as many."""
    missing = {"forget", "retain", "test"} - set(labels)
    if missing or set(labels) != set(logits):
        raise ValueError(
            "labels and logits must hold the same roles. Expected forget, retain and test among "
            f"them. Received {sorted(labels)} and {sorted(logits)}."
        )
    shapes = {role: np.shape(own) for role, own in logits.items()}
    count, _, classes = shapes["forget"] if len(shapes["forget"]) == 3 else (0, 0, 0)
    bad = {r: s for r, s in shapes.items() if s != (count, len(labels[r]), classes)}
    if bad or count < 2:
        raise ValueError(
            "logits must hold a table per reference, of the role's examples and the classes. "
            "Expected shape (N, n, C) with N >= 2, equal N and C, and n as of the labels. "
            f"Received {bad or shapes}."
        )
    return count
