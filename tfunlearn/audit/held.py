"""A candidate among its references: each of these models held against all the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn import attacks, metrics
from tfunlearn.attacks import MembershipScores
from tfunlearn.audit import figures
from tfunlearn.audit.figures import Reading
from tfunlearn.audit.spread import SpreadTest, spread_test
from tfunlearn.audit.spread_by_example import SpreadByExample, deviations, others
from tfunlearn.metrics.softmax import log_softmax

if TYPE_CHECKING:
    from tfunlearn.audit.references import References

__all__ = ["LIRA", "RELATIVE", "Held", "Relative", "hold", "mean_divergences"]

LIRA = "lira_offline"
"""Name of the attack by how far an example's margin lies above the others'."""

RELATIVE = ("lira_auc", "forget_deviation_p95", "retain_deviation", "test_deviation", "forget_js")
"""The figures that hold a model against the others."""

LEAST_FOR_OWN = 64
"""Other models from which LiRA takes an example's own variance, as in `attacks.lira`."""

_NO_UNIT = "the references' margins do not differ, so there is no unit"
_TINY = 1e-300
_BLOCK = 2**20  # numbers of a block of predictions


class Relative(NamedTuple):
    """How one model's margins lie to the others', example by example.

    Attributes:
        gaps: Role to the margins minus the others' mean margins, nats, float64 of shape (n,).
        deviations: The same in the others' standard deviations.
        models: Number of the others.
    """

    gaps: Mapping[str, np.ndarray]
    deviations: Mapping[str, np.ndarray]
    models: int

    def lira(self, labels: Mapping[str, np.ndarray]) -> MembershipScores | None:
        """Returns the offline LiRA scores; None where examples are too few for an attack.

        They order the examples as `attacks.lira` does. From 64 others on each example has a
        standard deviation of its own; with fewer all share one, and the score is the gap in nats.

        Args:
            labels: Role to class numbers, integers of shape (n,).
        """
        if not figures.attackable(labels)[0]:
            return None
        scores = self.deviations if self.models >= LEAST_FOR_OWN else self.gaps
        return MembershipScores(LIRA, scores["forget"], scores["test"][figures.comparable(labels)])


@dataclass(frozen=True, eq=False)
class Held:
    """A candidate's figures and the references', each of the N + 1 models against the other N.

    Attributes:
        values: Name to the candidate's figure.
        references: The same names to the references' figures, in their order. Those of `RELATIVE`
            belong to this candidate, which is one of the others that a reference is held against.
        aucs: Name of an attack to the references' AUC.
        absent: Name of a figure that could not be had to the reason.
        relative: How the candidate lies to the references; None for the reason in `absent`.
        steps: Name of a figure that counts examples to the least step that it can make.
    """

    values: Mapping[str, float]
    references: Mapping[str, tuple[float, ...]]
    aucs: Mapping[str, tuple[float, ...]]
    absent: Mapping[str, str]
    relative: Relative | None
    steps: Mapping[str, float]

    def test(self, level: float = 0.95) -> SpreadTest:
        """Returns whether the candidate lies inside the references' spread, over all figures.

        All N + 1 rows of figures are made alike, so a candidate that was trained as the references
        were is exchangeable with them, and `spread_test` is exact.
        """
        return spread_test(self.values, self.references, level=level, resolution=self.steps)


def hold(references: References, reading: Reading) -> Held:
    """Holds each of a candidate and its references against all the others of them.

    Costs a few passes over all margins and over all predictions on forget.

    Args:
        references: The references.
        reading: The candidate's figures and margins, as `references.read` returns them.

    Raises:
        ValueError: If the reading is of other examples than the references' are.
    """
    rows = _relative_rows(references, reading)
    absent = dict(references.absent)
    if rows is None:
        absent |= {name: _NO_UNIT for name in RELATIVE if name not in absent}
    table, relative = rows if rows is not None else ({}, None)
    values, found = {}, {}
    for name, *_ in references.listed:
        if name in table:
            *found[name], values[name] = table[name]
            found[name] = tuple(found[name])
        elif name not in absent:
            values[name], found[name] = reading.values[name], references.values[name]
    aucs = dict(references.aucs)
    if "lira_auc" in found:
        aucs[LIRA] = found["lira_auc"]
    steps = {n: step for n, step in figures.steps(references.labels).items() if n in values}
    return Held(values, found, aucs, absent, relative, steps)


def _relative_rows(
    references: References, reading: Reading
) -> tuple[dict[str, list[float]], Relative] | None:
    """Returns `RELATIVE` of all models, the candidate's last, and how that one lies to the others.

    None where the others' margins do not differ for one of the models.
    """
    margins = {role: [*own, reading.margins[role]] for role, own in references.margins.items()}
    models = zip(*margins.values(), *(others(own) for own in margins.values()), strict=True)
    rows = []
    for own in models:
        parts = zip(margins, own[: len(margins)], own[len(margins) :], strict=True)
        relative = _relative({role: (row, spread) for role, row, spread in parts})
        if relative is None:
            return None
        rows.append(_values(relative, references.labels))
    table = {name: [row[name] for row in rows] for name in rows[0]}
    found = mean_divergences(references.forget_logits, reading.log_probabilities)
    return table | {"forget_js": found.tolist()}, relative


def _relative(parts: Mapping[str, tuple[np.ndarray, SpreadByExample]]) -> Relative | None:
    """Returns how a model lies to others; None where their margins do not differ on some role."""
    far = {r: deviations(row, own.mean, own.deviation) for r, (row, own) in parts.items()}
    if any(own is None for own in far.values()):
        return None
    gaps = {role: row - own.mean for role, (row, own) in parts.items()}
    return Relative(gaps, far, min(own.count for _, own in parts.values()))


def _values(relative: Relative, labels: Mapping[str, np.ndarray]) -> dict[str, float]:
    far = {role: np.abs(own) for role, own in relative.deviations.items()}
    scores = relative.lira(labels)
    area = {}
    if scores is not None:
        area = {"lira_auc": attacks.roc(scores.members, scores.nonmembers).auc}
    return area | {
        "forget_deviation_p95": float(np.percentile(far["forget"], 95)),
        "retain_deviation": float(far["retain"].mean()),
        "test_deviation": float(far["test"].mean()),
    }


def mean_divergences(logits: ArrayLike, own: ArrayLike) -> np.ndarray:
    """Returns each model's mean JS divergence to the mean prediction of all the others.

    Args:
        logits: Models' scores before the softmax, shape (N, F, C); read in blocks of examples.
        own: One model more: its scores, or its logarithms of probabilities, shape (F, C).

    Returns:
        Means over the examples, nats, float64 of shape (N + 1,), that one model's last.

    Example:
        >>> mean_divergences(np.zeros((2, 1, 2)), [[1000.0, 0.0]]).round(4)
        array([0.0338, 0.0338, 0.2158])
    """
    last = log_softmax(np.asarray(own, np.float64))
    models, examples, classes = np.shape(logits)
    total, step = np.zeros(models + 1), max(1, _BLOCK // ((models + 1) * classes))
    for start in range(0, examples, step):
        part = slice(start, start + step)
        scores = np.asarray(logits[:, part], np.float64)
        rows = [log_softmax(scores.reshape(-1, classes)), last[part]]
        log_p = np.concatenate(rows)
        mean = _means_of_others(np.exp(log_p).reshape(models + 1, -1, classes))
        log_mean = np.log(np.maximum(mean, _TINY)).reshape(-1, classes)
        total += metrics.js_divergence(log_p, log_mean).reshape(models + 1, -1).sum(axis=1)
    return total / examples


def _means_of_others(tables: np.ndarray) -> np.ndarray:
    """Returns, for each table of positive numbers, the mean of the others, by sums alone."""
    found = np.zeros_like(tables)
    found[1:] = np.cumsum(tables[:-1], axis=0)
    found[:-1] += np.cumsum(tables[:0:-1], axis=0)[::-1]
    return found / (len(tables) - 1)
