"""Whether a model lies inside the spread of retrained models, over many figures at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfunlearn.audit.spread_by_example import others

__all__ = ["SpreadTest", "spread_test"]

_TIE = 1e-9


@dataclass(frozen=True)
class SpreadTest:
    """What `spread_test` found.

    Attributes:
        inside: False where the p-value is at most 1 - level; True otherwise; None where so few
            references could not give a p-value that small.
        p_value: Share of the models, the candidate among them, that lie at least as far out.
        level: Share of retrained models that lie inside, at least.
        references: How many there are.
        deviations: Figure to its distance from the mean of the references, in their standard
            deviations; infinite where all of them are equal, the candidate is not, and the figure
            has no resolution.
    """

    inside: bool | None
    p_value: float
    level: float
    references: int
    deviations: Mapping[str, float]

    @property
    def furthest(self) -> tuple[str, ...]:
        """The figures, the furthest from the references first."""
        return tuple(sorted(self.deviations, key=lambda name: -abs(self.deviations[name])))


def spread_test(
    candidate: Mapping[str, float],
    references: Mapping[str, Sequence[float]],
    *,
    level: float = 0.95,
    resolution: Mapping[str, float] | None = None,
) -> SpreadTest:
    """Tells whether a model could be one more of the references, by all its figures at once.

    Each of the N + 1 models is held against the other N: its distance is the largest one of its
    figures, in standard deviations of the others. The p-value is the rank of the candidate's
    distance among all N + 1. If the candidate is exchangeable with the references, it is at most
    1 - level in no more than that share of cases, whatever the figures' distribution and however
    they depend on one another: looking at more figures raises no more false alarms.

    A figure's resolution counts as a part of its spread. Without it, where all references have the
    same accuracy but for one that gets a single example more, that one would lie infinitely far
    out, and hide every candidate.

    Args:
        candidate: Name of a figure to the model's value, finite.
        references: The same names to the references' values, finite, one per reference, in the
            same order for every figure; at least 2.
        level: Fraction in (0, 1). An answer takes 1 / (1 - level) - 1 references: 19 at 0.95.
        resolution: Name of a figure to the least step that it can make, at least 0; of those that
            are not named 0.

    Returns:
        The answer with its p-value. "Inside" says that these figures do not tell the candidate
        from a retrained model; it does not say that nothing would.

    Raises:
        ValueError: If the names differ, a value is not finite, the references' numbers of values
            differ or are below 2, or the level or a resolution lies outside its range.

    Example:
        >>> references = {"forget_accuracy": [0.8 + 0.001 * i for i in range(19)]}
        >>> found = spread_test({"forget_accuracy": 0.95}, references)
        >>> found.inside, found.p_value
        (False, 0.05)
        >>> spread_test({"forget_accuracy": 0.81}, references).inside
        True

    Reference:
        The rank argument is that of full conformal prediction: Vovk, Gammerman, Shafer (2005),
        Algorithmic Learning in a Random World, chapter 2; the largest studentised deviation as
        the nonconformity score is ours.
    Deviation:
        None known.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be a share. Expected (0, 1). Received {level}.")
    names = list(candidate)
    table = _table(candidate, references, names)
    scores = _distances(table, _steps(names, resolution or {}))
    largest = np.abs(scores).max(axis=1)
    count = len(table) - 1
    # models that lie equally far but for rounding share their rank
    p_value = float(np.count_nonzero(largest >= largest[-1] * (1 - _TIE))) / (count + 1)
    decidable = count + 1 >= round(1 / (1 - level), 9)
    return SpreadTest(
        inside=p_value > 1 - level + 1e-12 if decidable else None,
        p_value=p_value,
        level=level,
        references=count,
        deviations=dict(zip(names, scores[-1].tolist(), strict=True)),
    )


def _steps(names: Sequence[str], resolution: Mapping[str, float]) -> np.ndarray:
    """Returns the least step of each figure."""
    bad = {name: step for name, step in resolution.items() if not 0 <= step < math.inf}
    if bad or set(resolution) - set(names):
        raise ValueError(
            "resolution must hold a step for figures of the candidate. Expected finite numbers of "
            f"at least 0 for some of {sorted(names)}. Received {dict(resolution)}."
        )
    return np.array([resolution.get(name, 0.0) for name in names])


def _distances(table: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Returns each model's figures minus the others' mean, in the others' standard deviations."""
    sums = list(others(table))
    gaps = table - np.array([own.mean for own in sums])
    spread = np.array([own.deviation for own in sums])
    # what lies below the rounding of the figures is none
    scale = np.abs(table).max(axis=0, initial=0.0)
    spread[spread <= 1e-12 * scale] = 0.0
    gaps[np.abs(gaps) <= 1e-12 * scale] = 0.0
    spread = np.hypot(spread, steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gaps == 0.0, 0.0, gaps / spread)


def _table(
    candidate: Mapping[str, float], references: Mapping[str, Sequence[float]], names: list[str]
) -> np.ndarray:
    """Returns a row per model, the candidate's last, and a column per figure."""
    if not names or set(names) != set(references):
        raise ValueError(
            "references must hold the candidate's figures. "
            f"Expected {sorted(names) or 'at least one'}. Received {sorted(references)}."
        )
    sizes = {len(references[name]) for name in names}
    if len(sizes) > 1 or min(sizes) < 2:
        raise ValueError(
            "references must hold one value per reference for every figure. "
            f"Expected equal numbers of at least 2. Received {sorted(sizes)}."
        )
    columns = [[*references[name], candidate[name]] for name in names]
    bad = [name for name, column in zip(names, columns, strict=True) if not _finite(column)]
    if bad:
        raise ValueError(f"figures must be finite. Received others in {bad}.")
    return np.array(columns, dtype=np.float64).T


def _finite(column: Sequence[float]) -> bool:
    return all(math.isfinite(value) for value in column)
