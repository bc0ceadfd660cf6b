"""Lower bounds on epsilon from scores: one half chooses the threshold, the other is counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.checks import check_level, numbers
from tfunlearn.attacks.epsilon import DELTA, EpsilonBound, check_delta, epsilon_at, upper_ends
from tfunlearn.attacks.margin_banks import margin_bank, read_only, same_examples
from tfunlearn.seeds import check_seed

__all__ = ["EpsilonBounds", "epsilon_lower_bound", "epsilon_lower_bounds"]


@dataclass(frozen=True, eq=False)
class EpsilonBounds:
    """A lower bound on epsilon for every example; made by `epsilon_lower_bounds`.

    Each bound holds at the level by itself, not all of them together: among many examples without
    any leak, up to one in twenty may still stand above 0 at level 0.95. The arrays are of shape
    (examples,) and cannot be written to.

    Attributes:
        values: The bounds, float64, at least 0.
        ceiling: The bound that an attack without any error would have given with these models.
        thresholds: Where each attack was cut, float64.
        above: Whether margins from the threshold on are positive (unlearned), bool.
        false_positives: Retrained models called unlearned, int64.
        negatives: Retrained models counted.
        false_negatives: Unlearned models called retrained, int64.
        positives: Unlearned models counted.
        chosen_on: Unlearned and retrained models that chose the threshold and were not counted.
        examples: Number of examples.
        delta: The delta of (epsilon, delta).
        level: Share of such bounds that lie below the true epsilon, as 0.95.
        seed: Seed of the halves.
    """

    values: np.ndarray
    ceiling: float
    thresholds: np.ndarray
    above: np.ndarray
    false_positives: np.ndarray
    negatives: int
    false_negatives: np.ndarray
    positives: int
    chosen_on: tuple[int, int]
    examples: int
    delta: float
    level: float
    seed: int


def epsilon_lower_bound(
    positive_scores: ArrayLike,
    negative_scores: ArrayLike,
    *,
    delta: float = DELTA,
    level: float = 0.95,
    seed: int = 0,
) -> EpsilonBound:
    """Returns a lower bound on epsilon from an attack's scores.

    The threshold, and the side of it that is positive, are chosen on one half of the trials of each
    side, and the errors are counted on the other half. Chosen and counted on the same trials the
    bound would be too high.

    The trials must be independent. Scores of different models on one example are. Scores of one
    model on different examples are not: they share its training, and the bound then speaks of
    these examples under this model, not of the method.

    Args:
        positive_scores: The attack's scores of trials with the example, shape (N,); whether higher
            or lower ones are positive is found out.
        negative_scores: The same without the example, shape (M,).
        delta: The delta of (epsilon, delta), in [0, 1).
        level: Share of such bounds that hold, in (0, 1).
        seed: Seed of the halves.

    Returns:
        The bound, its counts, the threshold and the seed.

    Raises:
        ValueError: If a score or an option breaks the rules above, or if the trials are so few that
            even an attack without errors would not show an epsilon above 0 (11 a side at 0.95).

    Example:
        >>> found = epsilon_lower_bound(range(40, 80), range(40))
        >>> round(found.value, 3), found.positives, found.chosen_on
        (1.597, 20, (20, 20))

    Reference:
        See `epsilon_from_counts`.
    Deviation:
        The threshold is that of the largest bound on the choosing half; the papers leave its
        choice open.
    """
    delta, level = check_delta(delta), check_level(level)
    positive = numbers("positive_scores", positive_scores)[:, None]
    negative = numbers("negative_scores", negative_scores)[:, None]
    names = ("positive_scores", "negative_scores")
    found = _halved(positive, negative, names, delta, level, seed)
    return EpsilonBound(
        value=float(found.values[0]),
        ceiling=found.ceiling,
        false_positives=int(found.false_positives[0]),
        negatives=found.negatives,
        false_negatives=int(found.false_negatives[0]),
        positives=found.positives,
        delta=delta,
        level=level,
        threshold=float(found.thresholds[0]),
        above=bool(found.above[0]),
        chosen_on=found.chosen_on,
        seed=seed,
    )


def epsilon_lower_bounds(
    unlearned: ArrayLike,
    retrained: ArrayLike,
    *,
    delta: float = DELTA,
    level: float = 0.95,
    seed: int = 0,
) -> EpsilonBounds:
    """Returns for every example a lower bound on epsilon between unlearned and retrained models.

    The attack cuts the example's margin at a threshold of its own, chosen on one half of the models
    of each side; the errors are counted on the other half, the same models for all examples. No
    bound exceeds `ceiling`, which is about 2.1 for 64 models a side.

    Args:
        unlearned: Margins in nats of unlearned models, shape (models, examples).
        retrained: Margins of models retrained without the examples, shape (models, examples).
        delta: The delta of (epsilon, delta), in [0, 1).
        level: Share of such bounds that hold, each by itself, in (0, 1).
        seed: Seed of the halves.

    Returns:
        The bounds, their counts and thresholds, and the seed.

    Raises:
        ValueError: If a shape, a margin or an option breaks the rules above, or if the models are
            so few that no bound could lie above 0 (11 a side at 0.95).

    Example:
        >>> import numpy as np
        >>> side = np.linspace(0.0, 1.0, 64)[:, None]
        >>> found = epsilon_lower_bounds(side + [[0.0, 5.0]], side + [[0.0, 0.0]])
        >>> found.values.round(3), round(found.ceiling, 3)
        (array([0.   , 2.102]), 2.102)

    Reference:
        See `epsilon_from_counts`.
    Deviation:
        See `epsilon_lower_bound`.
    """
    delta, level = check_delta(delta), check_level(level)
    positive = margin_bank("unlearned", unlearned, least=1)
    negative = margin_bank("retrained", retrained, least=1)
    same_examples("unlearned", positive, "retrained", negative)
    return _halved(positive, negative, ("unlearned", "retrained"), delta, level, seed)


def _halved(
    positive: np.ndarray,
    negative: np.ndarray,
    names: tuple[str, str],
    delta: float,
    level: float,
    seed: int,
) -> EpsilonBounds:
    """Chooses each column's threshold on half of the rows and counts on the others."""
    check_seed(seed)
    rng = np.random.default_rng(seed)
    _check_enough(names, (len(positive), len(negative)), delta, level)
    choosing, counted = _split(positive, rng)
    choosing_other, counted_other = _split(negative, rng)
    thresholds, above = _chosen(choosing, choosing_other, delta, level)
    false_negatives = np.count_nonzero((counted >= thresholds) != above, axis=0)
    false_positives = np.count_nonzero((counted_other >= thresholds) == above, axis=0)
    fpr, fnr = upper_ends(len(counted_other), level), upper_ends(len(counted), level)
    return EpsilonBounds(
        values=read_only(epsilon_at(fpr[false_positives], fnr[false_negatives], delta)),
        ceiling=float(epsilon_at(fpr[0], fnr[0], delta)),
        thresholds=read_only(thresholds),
        above=read_only(above),
        false_positives=read_only(false_positives),
        negatives=len(counted_other),
        false_negatives=read_only(false_negatives),
        positives=len(counted),
        chosen_on=(len(choosing), len(choosing_other)),
        examples=positive.shape[1],
        delta=delta,
        level=level,
        seed=seed,
    )


def _split(side: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(len(side))
    return side[order[: len(side) // 2]], side[order[len(side) // 2 :]]


def _chosen(
    positive: np.ndarray, negative: np.ndarray, delta: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns each column's threshold of the largest bound, and whether positive is above it.

    Of equal bounds, as where all are 0, the one with the larger |TPR - FPR| is taken.
    """
    both = np.concatenate([positive, negative])
    order = np.argsort(both, axis=0, kind="stable")
    values = np.take_along_axis(both, order, axis=0)
    positive_below = np.cumsum(order < len(positive), axis=0)[:-1]
    negative_below = np.arange(1, len(both))[:, None] - positive_below
    fpr, fnr = upper_ends(len(negative), level), upper_ends(len(positive), level)
    if_above = epsilon_at(fpr[len(negative) - negative_below], fnr[positive_below], delta)
    if_below = epsilon_at(fpr[negative_below], fnr[len(positive) - positive_below], delta)
    lead = negative_below / len(negative) - positive_below / len(positive)
    merit = np.maximum(if_above, if_below) + 1e-9 * np.abs(lead)
    merit[values[1:] == values[:-1]] = -1.0
    best = merit.argmax(axis=0)[None, :]
    low, high, lead = (
        np.take_along_axis(each, best, axis=0)[0] for each in (values[:-1], values[1:], lead)
    )
    middle = low + (high - low) / 2
    return np.where(middle > low, middle, high), lead >= 0


def _check_enough(
    names: tuple[str, str], trials: tuple[int, int], delta: float, level: float
) -> None:
    """Raises unless the counted halves are large enough for a bound above 0."""
    least = 1
    while epsilon_at(*2 * [upper_ends(least, level)[0]], delta) <= 0:
        least += 1
    for name, number in zip(names, trials, strict=True):
        if (number + 1) // 2 < least:
            raise ValueError(
                f"{name} must hold enough trials for a bound above 0 at level {level}. "
                f"Expected at least {2 * least - 1}. Received {number}."
            )
