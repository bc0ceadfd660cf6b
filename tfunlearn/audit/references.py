"""Many retrained models on one split: their figures, each held against the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn import attacks, metrics
from tfunlearn.attacks import MembershipScores
from tfunlearn.audit import figures
from tfunlearn.audit.figures import Figure, Reading
from tfunlearn.audit.spread_by_example import SpreadByExample, deviations
from tfunlearn.metrics.softmax import log_softmax

__all__ = ["LIRA", "References", "Relative"]

LIRA = "lira_offline"
"""Name of the attack by how far an example's margin lies above the references'."""

LEAST_FOR_OWN = 64
"""Models from which LiRA takes an example's own variance, as in `attacks.lira`."""

_LEAST = 3
_TINY = 1e-300


class Relative(NamedTuple):
    """How a model lies to other models, example by example.

    Attributes:
        gaps: Role to the margins minus the others' mean margins, nats, float64 of shape (n,).
        deviations: The same in the others' standard deviations.
        divergences: JS divergences of the forget examples' predictions to the others' mean
            prediction, nats, float64 of shape (F,).
    """

    gaps: Mapping[str, np.ndarray]
    deviations: Mapping[str, np.ndarray]
    divergences: np.ndarray


class References:
    """Models retrained without the forget set, and what a candidate is held against.

    A reference is held against the others, a candidate against all of them: one model more, so
    its deviations come out smaller by a share of about 1 / (2 N^2), on the careful side.

    Args:
        labels: Role to class numbers, integers of shape (n,); "forget", "retain" and "test" among
            them.
        logits: The same roles to scores before the softmax, shape (N, n, C), finite, N >= 2. One
            model is read at a time, so they may be memory-mapped.

    Attributes:
        labels: As given.
        count: Number of references, N.
        listed: The figures of an audit over these roles.
        values: Name of a figure to the references' values, in their order.
        absent: Name of a figure that could not be had to the reason.
        aucs: Name of an attack to the references' AUC.
        right: Whether a reference answers a forget example right, bool of shape (N, F).
        margins: Role to the references' logit margins, float64 of shape (N, n).

    Raises:
        ValueError: If shapes do not fit, or logits are not finite or look like probabilities.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = {role: np.arange(30) % 3 for role in ("forget", "retain", "test")}
        >>> many = References(labels, {role: rng.normal(size=(5, 30, 3)) for role in labels})
        >>> many.count, len(many.values["lira_auc"]), sorted(many.absent)
        (5, 5, ['loss_tpr_at_fpr_0_01'])
    """

    def __init__(self, labels: Mapping[str, np.ndarray], logits: Mapping[str, ArrayLike]) -> None:
        self.count = _check(labels, logits)
        self.labels = dict(labels)
        self.listed: tuple[Figure, ...] = figures.listed(tuple(labels))
        self.margins = {role: np.empty((self.count, len(own))) for role, own in labels.items()}
        self.right = np.empty((self.count, len(labels["forget"])), bool)
        self._summed = np.zeros(np.shape(logits["forget"])[1:])
        kept = [self._first_pass(place, logits) for place in range(self.count)]
        self._spreads = {role: SpreadByExample.of(own) for role, own in self.margins.items()}
        self._missing = ""
        if self.count < _LEAST:
            self._missing = f"it takes {_LEAST} references: each is held against the others' spread"
        elif not self._second_pass(kept, logits):
            self._missing = "the references' margins do not differ, so there is no unit"
        self.absent = self._absences()
        names = [name for name, *_ in self.listed if name not in self.absent]
        self.values = {name: tuple(values[name] for values, _ in kept) for name in names}
        found = [areas for _, areas in kept]
        self.aucs = {name: tuple(own[name] for own in found) for name in found[0]}

    @property
    def missing(self) -> str:
        """The reason why no model can be held against the others by example; else empty."""
        return self._missing

    def centre(self, role: str) -> np.ndarray:
        """Returns the references' mean margins on a role, float64 of shape (n,)."""
        return self._spreads[role].mean

    def relative(self, reading: Reading) -> Relative | None:
        """Returns how a candidate lies to the references; None for the reason in `missing`."""
        if self._missing:
            return None
        spreads = {role: (own.mean, own.deviation) for role, own in self._spreads.items()}
        return _relative(reading.margins, reading.log_probabilities, spreads, self._mean())

    def figures(self, reading: Reading) -> dict[str, float]:
        """Returns a candidate's figures, those of `values`."""
        found, relative = dict(reading.values), self.relative(reading)
        if relative is not None:
            found |= _relative_values(relative)
            scores = self.lira(relative)
            found |= {} if scores is None else {"lira_auc": _area(scores)}
        return {name: found[name] for name in self.values}

    def lira(self, relative: Relative) -> MembershipScores | None:
        """Returns the offline LiRA scores of a model; None where examples are too few.

        They order the examples as `attacks.lira` does. From 65 references on each example has a
        standard deviation of its own; with fewer all share one, and the score is the gap in nats.
        """
        if not figures.attackable(self.labels)[0]:
            return None
        scores = relative.deviations if self.count > LEAST_FOR_OWN else relative.gaps
        others = scores["test"][figures.comparable(self.labels)]
        return MembershipScores(LIRA, scores["forget"], others)

    def _first_pass(
        self, place: int, logits: Mapping[str, ArrayLike]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Keeps what all examples need of one reference; returns its figures and AUCs."""
        reading = figures.read(self.labels, {role: own[place] for role, own in logits.items()})
        for role, own in reading.margins.items():
            self.margins[role][place] = own
        self.right[place] = reading.right
        self._summed += np.exp(reading.log_probabilities)
        curves = {
            name: attacks.roc(own.members, own.nonmembers) for name, own in reading.scores.items()
        }
        return dict(reading.values), {name: curve.auc for name, curve in curves.items()}

    def _second_pass(
        self,
        kept: list[tuple[dict[str, float], dict[str, float]]],
        logits: Mapping[str, ArrayLike],
    ) -> bool:
        """Adds each reference's figures against the others; returns whether they can be had."""
        for place, (values, areas) in enumerate(kept):
            margins = {role: own[place] for role, own in self.margins.items()}
            spreads = {role: own.without(margins[role]) for role, own in self._spreads.items()}
            log_p = log_softmax(np.asarray(logits["forget"][place], np.float64))
            found = _relative(margins, log_p, spreads, self._mean(np.exp(log_p)))
            if found is None:
                return False
            values |= _relative_values(found)
            scores = self.lira(found)
            if scores is not None:
                values["lira_auc"] = areas[LIRA] = _area(scores)
        return True

    def _mean(self, own: np.ndarray | None = None) -> np.ndarray:
        """Returns the mean prediction on forget of all references, or of all but one."""
        if own is None:
            return self._summed / self.count
        return (self._summed - own) / (self.count - 1)

    def _absences(self) -> dict[str, str]:
        found: dict[str, str] = {}
        resolved, reason = figures.resolvable(self.labels)
        if not resolved:
            found["loss_tpr_at_fpr_0_01"] = reason
        if self._missing:
            relative = ("lira_auc", "forget_deviation_p95", "retain_deviation", "test_deviation")
            found |= dict.fromkeys((*relative, "forget_js"), self._missing)
        enough, reason = figures.attackable(self.labels)
        if not enough:
            names = ("loss_auc", "loss_tpr_at_fpr_0_01", "label_only_gap", "lira_auc")
            found |= dict.fromkeys(names, reason)
        return found


def _relative(
    margins: Mapping[str, np.ndarray],
    log_p: np.ndarray,
    spreads: Mapping[str, tuple[np.ndarray, np.ndarray]],
    mean: np.ndarray,
) -> Relative | None:
    """Returns how a model lies to others; None where their margins do not differ on some role."""
    found = {role: deviations(own, *spreads[role]) for role, own in margins.items()}
    if any(own is None for own in found.values()):
        return None
    gaps = {role: own - spreads[role][0] for role, own in margins.items()}
    return Relative(gaps, found, metrics.js_divergence(log_p, np.log(np.maximum(mean, _TINY))))


def _relative_values(relative: Relative) -> dict[str, float]:
    far = {role: np.abs(own) for role, own in relative.deviations.items()}
    return {
        "forget_deviation_p95": float(np.percentile(far["forget"], 95)),
        "retain_deviation": float(far["retain"].mean()),
        "test_deviation": float(far["test"].mean()),
        "forget_js": float(relative.divergences.mean()),
    }


def _area(scores: MembershipScores) -> float:
    return attacks.roc(scores.members, scores.nonmembers).auc


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
