"""Lower bounds on epsilon from the errors of one attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.checks import check_level, check_whole
from tfunlearn.attacks.intervals import exact_ends

__all__ = [
    "DELTA",
    "EpsilonBound",
    "check_delta",
    "epsilon_at",
    "epsilon_from_counts",
    "upper_ends",
]

DELTA = 1e-5


@dataclass(frozen=True)
class EpsilonBound:
    """A lower bound on epsilon and what it rests on.

    Attributes:
        value: The bound, at least 0; 0 says that nothing was shown, not that nothing leaks.
        ceiling: The bound that an attack without any error would have given with these trials.
        false_positives: Negatives called positive.
        negatives: Trials without the example that were counted.
        false_negatives: Positives called negative.
        positives: Trials with the example that were counted.
        delta: The delta of (epsilon, delta).
        level: Share of such bounds that lie below the true epsilon, as 0.95.
        threshold: Where the attack was cut; None where the counts were given.
        above: Whether scores from the threshold on are positive, rather than those below it.
        chosen_on: Positive and negative trials that chose the threshold and were not counted.
        seed: Seed of the halves.
    """

    value: float
    ceiling: float
    false_positives: int
    negatives: int
    false_negatives: int
    positives: int
    delta: float
    level: float
    threshold: float | None = None
    above: bool | None = None
    chosen_on: tuple[int, int] | None = None
    seed: int | None = None


def epsilon_from_counts(
    false_positives: int,
    negatives: int,
    false_negatives: int,
    positives: int,
    *,
    delta: float = DELTA,
    level: float = 0.95,
) -> EpsilonBound:
    """Returns a lower bound on epsilon from one attack's errors.

    It holds only for an attack that was fixed before the counted trials were seen, its threshold
    included (`epsilon_lower_bound` sees to that), and for independent trials.

    Args:
        false_positives: Trials without the example that the attack called positive.
        negatives: Trials without the example, at least 1.
        false_negatives: Trials with it that the attack called negative.
        positives: Trials with the example, at least 1.
        delta: The delta of (epsilon, delta), in [0, 1).
        level: Share of such bounds that hold, in (0, 1). Half of the rest goes to either rate.

    Returns:
        max(0, log((1 - delta - FPR) / FNR), log((1 - delta - FNR) / FPR)) at the upper
        Clopper-Pearson ends of FPR and FNR, with the counts.

    Raises:
        TypeError: If a count is no whole number.
        ValueError: If a count or an option lies outside its range.

    Example:
        >>> found = epsilon_from_counts(0, 32, 0, 32)
        >>> round(found.value, 3), found.value == found.ceiling
        (2.102, True)
        >>> epsilon_from_counts(16, 32, 16, 32).value
        0.0

    Reference:
        Jagielski, Ullman, Oprea, 2020, "Auditing Differentially Private Machine Learning: How
        Private is Private SGD?", arXiv 2006.07709. Nasr, Song, Thakurta, Papernot, Carlini, 2021,
        "Adversary Instantiation: Lower Bounds for Differentially Private Machine Learning",
        arXiv 2101.04535.
    Deviation:
        None known.
    """
    negatives = check_whole("negatives", negatives, 1)
    positives = check_whole("positives", positives, 1)
    false_positives = _some("false_positives", false_positives, "negatives", negatives)
    false_negatives = _some("false_negatives", false_negatives, "positives", positives)
    delta, level = check_delta(delta), check_level(level)
    fpr, fnr = upper_ends(negatives, level), upper_ends(positives, level)
    return EpsilonBound(
        value=float(epsilon_at(fpr[false_positives], fnr[false_negatives], delta)),
        ceiling=float(epsilon_at(fpr[0], fnr[0], delta)),
        false_positives=false_positives,
        negatives=negatives,
        false_negatives=false_negatives,
        positives=positives,
        delta=delta,
        level=level,
    )


def upper_ends(trials: int, level: float) -> np.ndarray:
    """Returns the upper Clopper-Pearson end of every count from 0 to the trials.

    Args:
        trials: At least 1.
        level: Level of the two-sided interval; a count's end holds by (1 + level) / 2.

    Example:
        >>> upper_ends(2, 0.95).round(3)
        array([0.842, 0.987, 1.   ])
    """
    return np.array([exact_ends(count, trials, level)[1] for count in range(trials + 1)])


def epsilon_at(fpr: ArrayLike, fnr: ArrayLike, delta: float) -> np.ndarray:
    """Returns the least epsilon that allows an attack of these rates.

    Args:
        fpr: False positive rates in (0, 1].
        fnr: False negative rates in (0, 1], of a shape that broadcasts.
        delta: In [0, 1).

    Example:
        >>> epsilon_at([0.25, 1.0], 0.25, 0.0).round(3)
        array([1.099, 0.   ])
    """
    fpr, fnr = np.asarray(fpr), np.asarray(fnr)
    odds = np.maximum((1 - delta - fpr) / fnr, (1 - delta - fnr) / fpr)
    return np.log(np.maximum(odds, 1.0))


def check_delta(delta: Any) -> float:
    """Returns delta as float.

    Raises:
        ValueError: If it lies outside [0, 1).

    Example:
        >>> check_delta(0)
        0.0
    """
    delta = float(delta)
    if not 0.0 <= delta < 1.0:
        raise ValueError(f"delta must be a probability. Expected [0, 1). Received {delta}.")
    return delta


def _some(name: str, count: int, of: str, total: int) -> int:
    count = check_whole(name, count, 0)
    if count > total:
        raise ValueError(
            f"{name} must be some of the {of}. Expected at most {total}. Received {count}."
        )
    return count
