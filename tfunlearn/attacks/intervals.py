"""Figures with intervals: exact for proportions, resampled for others, ranked among references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.checks import check_level, check_repeats, check_whole, numbers
from tfunlearn.seeds import check_seed

__all__ = [
    "Estimate",
    "ReferencePercentile",
    "bootstrap",
    "clopper_pearson",
    "reference_percentile",
]

BLOCK = 4_000_000  # numbers drawn at once, 32 MB of indices


@dataclass(frozen=True)
class Estimate:
    """A figure, its interval, and what they rest on.

    Attributes:
        value: The figure.
        low: Lower end of the interval.
        high: Upper end.
        level: Share of such intervals that hold the true value, as 0.95.
        sizes: Examples per sample.
        method: How the interval was made.
    """

    value: float
    low: float
    high: float
    level: float
    sizes: tuple[int, ...]
    method: str

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class ReferencePercentile:
    """Where a figure lies in the distribution of the references' own figures.

    Attributes:
        value: The candidate's figure.
        percentile: Share of the references below it, equal ones for a half, times 100.
        low: Lower end of the interval for the percentile.
        high: Upper end.
        level: Share of such intervals that hold the true percentile, as 0.95.
        p_value: Chance of a rank at least as far out, on either side, for one more reference.
        references: How many there are.
    """

    value: float
    percentile: float
    low: float
    high: float
    level: float
    p_value: float
    references: int

    @property
    def smallest_p_value(self) -> float:
        """The least p-value that so many references can give, 2 / (N + 1), at most 1."""
        return min(1.0, 2 / (self.references + 1))


def clopper_pearson(successes: int, trials: int, *, level: float = 0.95) -> Estimate:
    """Returns a proportion with its exact interval, which holds the truth at least at its level.

    Args:
        successes: Count from 0 to `trials`.
        trials: Count of at least 1.
        level: Fraction in (0, 1).

    Raises:
        TypeError: If a count is no whole number.
        ValueError: If a count or the level lies outside its range.

    Example:
        >>> found = clopper_pearson(0, 10)
        >>> found.low, round(found.high, 4), found.sizes
        (0.0, 0.3085, (10,))

    Reference:
        Clopper, Pearson (1934), The use of confidence or fiducial limits illustrated in the case
        of the binomial, Biometrika 26.
    Deviation:
        None known.
    """
    trials = check_whole("trials", trials, 1)
    successes = check_whole("successes", successes, 0)
    if successes > trials:
        raise ValueError(
            "successes must be some of the trials. "
            f"Expected at most {trials}. Received {successes}."
        )
    low, high = exact_ends(successes, trials, check_level(level))
    return Estimate(successes / trials, low, high, level, (trials,), "Clopper-Pearson")


def exact_ends(successes: int, trials: int, level: float) -> tuple[float, float]:
    """Returns the two ends of the Clopper-Pearson interval."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, trials - successes, 1 - tail) if successes < trials else 1.0
    return float(low), float(high)


def bootstrap(
    function: Callable[..., Any],
    *samples: ArrayLike,
    level: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
    vectorized: bool = False,
) -> Estimate:
    """Returns a figure of one or more samples with its percentile bootstrap interval.

    Each sample is drawn from by itself, with replacement, to its own size: sides stay as large as
    they are. The order of the examples changes nothing.

    For means, rates and other smooth figures. Not for a maximum over thresholds such as the
    attacker's advantage: there it misses the truth (see `confidence_band`).

    Args:
        function: Samples to a number. With `vectorized`, it gets arrays with one axis more in
            front, (B, N) or (B, N, D), and returns shape (B,).
        *samples: Independent samples, each of shape (N,) or (N, D) with an example per row.
        level: Fraction in (0, 1).
        repeats: Resamples, at least 2 / (1 - level).
        seed: Seed of the draws.
        vectorized: Whether the function takes many resamples at once; much faster.

    Raises:
        TypeError: If `repeats` is no whole number.
        ValueError: If a sample is empty or has another shape, an option lies outside its range,
            or the function gives something else than one finite number for a resample.

    Example:
        >>> found = bootstrap(lambda x: x.mean(axis=-1), [0.0, 1.0] * 50, vectorized=True)
        >>> found.value, found.low < 0.5 < found.high, found.sizes
        (0.5, True, (100,))

    Reference:
        Efron, Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    Deviation:
        None known.
    """
    level = check_level(level)
    repeats = check_repeats(repeats, level)
    check_seed(seed)
    if not samples:
        raise ValueError("samples must be given. Expected at least one. Received none.")
    rows = [_sorted_rows(number, sample) for number, sample in enumerate(samples)]
    rng = np.random.default_rng(seed)
    at_once = max(1, BLOCK // sum(len(sample) for sample in rows))
    drawn = []
    for start in range(0, repeats, at_once):
        size = min(at_once, repeats - start)
        blocks = [sample[rng.integers(0, len(sample), (size, len(sample)))] for sample in rows]
        drawn.append(_values(function, blocks, vectorized))
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    value = float(_values(function, [sample[None] for sample in rows], vectorized)[0])
    method = f"bootstrap, percentile, {repeats} resamples, seed {seed}"
    sizes = tuple(len(sample) for sample in rows)
    return Estimate(value, float(low), float(high), level, sizes, method)


def _sorted_rows(number: int, sample: ArrayLike) -> np.ndarray:
    """Returns a sample in an order that depends on its rows alone."""
    sample = np.asarray(sample)
    if sample.ndim not in (1, 2) or not len(sample):
        raise ValueError(
            f"samples must hold an example per row. Expected shape (N,) or (N, D) with N >= 1. "
            f"Received {sample.shape} as sample {number}."
        )
    return sample[np.lexsort(sample.reshape(len(sample), -1).T[::-1])]


def _values(function: Callable[..., Any], blocks: list[np.ndarray], vectorized: bool) -> np.ndarray:
    """Returns the function's value for every resample of a block."""
    if vectorized:
        values = np.asarray(function(*blocks), dtype=np.float64)
    else:
        values = np.array([function(*parts) for parts in zip(*blocks, strict=True)], np.float64)
    expected = (len(blocks[0]),)
    if values.shape != expected:
        raise ValueError(
            "function must return one number per resample. "
            f"Expected shape {expected} of all of them. Received {values.shape}."
        )
    bad = np.count_nonzero(~np.isfinite(values))
    if bad:
        raise ValueError(
            "function must be finite on every resample, or the figure has no bootstrap interval. "
            f"Expected no NaN and no infinity. Received {bad} among {len(values)}."
        )
    return values


def reference_percentile(
    value: float, reference_values: ArrayLike, *, level: float = 0.95
) -> ReferencePercentile:
    """Says where a candidate's figure lies among the same figures of retrained models.

    The p-value is that of the rank: were the candidate one more reference, every rank would be as
    likely. It is exact without ties and errs to the larger side with them. It cannot fall below
    2 / (N + 1): fewer than 39 references can set nothing apart at the 5 % level.

    Args:
        value: The candidate's figure, finite.
        reference_values: The same figure of every reference, shape (N,), finite.
        level: Fraction in (0, 1), of the interval.

    Returns:
        Percentile, its Clopper-Pearson interval (with ties: from the share strictly below to the
        share not above), the two-sided p-value and N.

    Raises:
        ValueError: If a figure is not finite, there is no reference, or the level lies outside
            its range.

    Example:
        >>> found = reference_percentile(0.9, [0.5, 0.52, 0.55])
        >>> found.percentile, found.p_value, found.references
        (100.0, 0.5, 3)
        >>> round(found.low, 1), found.high
        (29.2, 100.0)

    Reference:
        Phipson, Smyth (2010), Permutation P-values Should Never Be Zero, Statistical Applications
        in Genetics and Molecular Biology 9.
    Deviation:
        Two-sided by doubling the smaller tail.
    """
    level = check_level(level)
    references = numbers("reference_values", reference_values)
    (value,) = numbers("value", [value])
    total = len(references)
    below, above = int(np.sum(references < value)), int(np.sum(references > value))
    ties = total - below - above
    return ReferencePercentile(
        value=float(value),
        percentile=100 * (below + ties / 2) / total,
        low=100 * exact_ends(below, total, level)[0],
        high=100 * exact_ends(below + ties, total, level)[1],
        level=level,
        p_value=min(1.0, 2 * (1 + ties + min(below, above)) / (total + 1)),
        references=total,
    )
