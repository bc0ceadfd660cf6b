"""The NeurIPS 2023 unlearning competition's forgetting quality and final score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.competition_thresholds import best_epsilons
from tfunlearn.attacks.margin_banks import margin_bank, read_only, same_examples

__all__ = ["CompetitionScore", "ForgettingQuality", "competition_score", "forgetting_quality"]

DELTA = 1e-5
CAP = 50.0
_BUCKET = 0.5
_PEAKY = 0.01
_TINY = 1e-45
_LEAST = 3  # below it there is no bucket
_UNDEFINED = ("error", "exclude")


@dataclass(frozen=True, eq=False)
class ForgettingQuality:
    """The forgetting quality F and what it rests on; made by `forgetting_quality`.

    F depends on `models` through the number of buckets: it compares with no F of another N.

    Attributes:
        value: F, the mean of H(epsilon) over the examples, in [0, 1]; more is better.
        epsilons: Each example's epsilon, float64 of shape (examples,), in [0, 50]; NaN where it is
            undefined. The array cannot be written to.
        models: Models on each side, N.
        examples: Number of examples, the undefined ones included.
        buckets: Buckets of width 0.5 in H; an epsilon above the last scores 0.
        delta: The delta of (epsilon, delta)-unlearning.
        guarded: How many examples have epsilon 50 by the guard: one side's range is below 1 % of
            the other's, as for methods without randomness of their own.
        undefined: Examples, by number, of which every threshold was discarded; left out of `value`.
    """

    value: float
    epsilons: np.ndarray
    models: int
    examples: int
    buckets: int
    delta: float
    guarded: int
    undefined: tuple[int, ...]

    def __str__(self) -> str:
        return f"F = {self.value:.4g} (N = {self.models} models, {self.examples} examples)"


@dataclass(frozen=True)
class CompetitionScore:
    """The final score and its factors; made by `competition_score`.

    Attributes:
        value: F times both ratios.
        forgetting_quality: F; it compares with no F of another N.
        retain_ratio: Mean retain accuracy, unlearned over retrained.
        test_ratio: Mean test accuracy, unlearned over retrained.
        models: Models on each side, N.
        examples: Number of forget examples.
    """

    value: float
    forgetting_quality: float
    retain_ratio: float
    test_ratio: float
    models: int
    examples: int


def forgetting_quality(
    unlearned: ArrayLike, retrained: ArrayLike, *, undefined: str = "error"
) -> ForgettingQuality:
    """Returns the competition's F: how hard unlearned models are to tell from retrained ones.

    For each example the best of two families of attacks is taken. One threshold, 100 a unit of
    margin: "from t on" is the side with the larger median. Two thresholds, 400 by 400:
    "between l and r" is the side with the smaller range. An attack with FPR and FNR gives
    epsilon = max(0, log(1 - delta - FPR) - log FNR, log(1 - delta - FNR) - log FPR); one that never
    errs gives infinity; one with exactly one rate at zero is discarded, as a sign of too few
    models. The largest epsilon, at most 50, scores H = 1, 1/2, 1/4, ... in buckets of width 0.5
    up to ceil(log(N - 1)), and 0 above.

    N independent runs of the method from one original and N independently retrained models are
    asked for. A method without randomness of its own gets epsilon 50 by the guard. Perfect
    unlearning does not reach 1: at any N the best of so many attacks finds something, so set F
    beside the F of held-out retrained models at the same N.

    Args:
        unlearned: Margins in nats on the forget examples, shape (N, examples), N >= 3.
        retrained: The same of models retrained without them, of the same shape.
        undefined: What to do where every threshold is discarded. "error", as the published code;
            or "exclude": take the mean over the others, and name them.

    Returns:
        F, each example's epsilon, N, and which examples met the guard or are undefined.

    Raises:
        ValueError: If a shape, a margin or the option breaks the rules above, or if an epsilon (all
            of them, with "exclude") is undefined.

    Example:
        >>> import numpy as np
        >>> side = np.linspace(-2.0, 2.0, 8)[:, None]
        >>> found = forgetting_quality(side, side + 0.4)
        >>> print(found), found.epsilons.round(3), found.buckets
        F = 0.5 (N = 8 models, 1 examples)
        (None, array([0.693]), 4)

    Reference:
        Triantafillou, Pedregosa, Hayes, Kairouz, Guyon, Kurmanji, Dziugaite, Triantafillou, Zhao,
        Sun Hosoya, Jacques Junior, Dumoulin, Mitliagkas, Escalera, Wan, Dane, Demkin, Reade, 2023,
        "NeurIPS 2023 - Machine Unlearning", its technical report and its code
        (google-deepmind/unlearning_evaluation, metric.py).
    Deviation:
        Float64 throughout; the published code rounds rates and single thresholds to float32. As
        there, a margin m is taken as log(p + 1e-45) - log(1 - p + 1e-45), which bends it beyond
        about 90 and ends at 103.6. The published code stops where an epsilon is undefined;
        "exclude" goes on. The competition had N = 512.
    """
    first = margin_bank("unlearned", unlearned, least=_LEAST)
    second = margin_bank("retrained", retrained, least=_LEAST)
    same_examples("unlearned", first, "retrained", second)
    if len(first) != len(second):
        raise ValueError(
            "retrained must hold as many models as unlearned. "
            f"Expected {len(first)} rows. Received {len(second)}."
        )
    if undefined not in _UNDEFINED:
        raise ValueError(
            f"undefined must say what to do. Expected one of {_UNDEFINED}. Received {undefined!r}."
        )
    epsilons, guarded = _epsilons(_confidence(first), _confidence(second))
    missing = np.isnan(epsilons)
    if missing.any() and (undefined == "error" or missing.all()):
        raise ValueError(
            "epsilon must be defined for every example. Expected a threshold with both rates, or "
            f"neither, at zero. Received none for {missing.sum()} of {len(missing)} examples, "
            f'first {np.flatnonzero(missing)[0]}; undefined="exclude" leaves them out.'
        )
    buckets = round(np.ceil(np.log(len(first) - 1)) / _BUCKET)
    return ForgettingQuality(
        value=float(_points(epsilons[~missing], buckets).mean()),
        epsilons=read_only(epsilons),
        models=len(first),
        examples=first.shape[1],
        buckets=buckets,
        delta=DELTA,
        guarded=int(guarded.sum()),
        undefined=tuple(np.flatnonzero(missing).tolist()),
    )


def competition_score(
    quality: ForgettingQuality,
    *,
    unlearned_retain: ArrayLike,
    retrained_retain: ArrayLike,
    unlearned_test: ArrayLike,
    retrained_test: ArrayLike,
) -> CompetitionScore:
    """Returns the competition's final score: F times what is left of the accuracies.

    Args:
        quality: From `forgetting_quality`.
        unlearned_retain: Retain accuracy of each unlearned model, a fraction, shape (N,).
        retrained_retain: The same of each retrained model.
        unlearned_test: Test accuracy of each unlearned model, a fraction, shape (N,).
        retrained_test: The same of each retrained model.

    Returns:
        F * (mean retain accuracy, unlearned / retrained) * (the same on test), with its factors.

    Raises:
        ValueError: If an accuracy is no fraction, their number is not the quality's N, or a
            retrained mean is 0.

    Example:
        >>> side = np.linspace(-2.0, 2.0, 8)[:, None]
        >>> half, whole = [0.5] * 8, [1.0] * 8
        >>> competition_score(
        ...     forgetting_quality(side, side + 0.4),
        ...     unlearned_retain=half, retrained_retain=whole,
        ...     unlearned_test=whole, retrained_test=whole,
        ... ).value
        0.25

    Reference:
        google-deepmind/unlearning_evaluation, main.py (see `forgetting_quality`).
    Deviation:
        None known.
    """
    accuracies = {
        "unlearned_retain": unlearned_retain,
        "retrained_retain": retrained_retain,
        "unlearned_test": unlearned_test,
        "retrained_test": retrained_test,
    }
    means = {name: _mean(name, each, quality.models) for name, each in accuracies.items()}
    for name in ("retrained_retain", "retrained_test"):
        if means[name] == 0:
            raise ValueError(
                f"{name} must be divided by. Expected a mean above 0. Received accuracies of 0."
            )
    retain = means["unlearned_retain"] / means["retrained_retain"]
    test = means["unlearned_test"] / means["retrained_test"]
    value = quality.value * retain * test
    return CompetitionScore(value, quality.value, retain, test, quality.models, quality.examples)


def _confidence(margins: np.ndarray) -> np.ndarray:
    """Returns log(p + 1e-45) - log(1 - p + 1e-45) of the label's probability p."""
    from scipy.special import expit

    return np.log(expit(margins) + _TINY) - np.log(expit(-margins) + _TINY)


def _epsilons(unlearned: np.ndarray, retrained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each example's epsilon, at most the cap, and which of them the guard gave."""
    small, large = np.sort([np.ptp(unlearned, axis=0), np.ptp(retrained, axis=0)], axis=0)
    with np.errstate(invalid="ignore"):  # two sides without range: no ratio, no guard
        guarded = small / large < _PEAKY
    epsilons = np.full(len(guarded), CAP)
    rest = ~guarded
    epsilons[rest] = best_epsilons(unlearned[:, rest], retrained[:, rest], DELTA)
    return np.minimum(epsilons, CAP), guarded


def _points(epsilons: np.ndarray, buckets: int) -> np.ndarray:
    """Returns H of each epsilon: 1, 1/2, 1/4, ... by bucket, 0 above the last."""
    bucket = np.floor(epsilons / _BUCKET)
    return np.where(bucket < buckets, 0.5**bucket, 0.0)


def _mean(name: str, accuracies: ArrayLike, models: int) -> float:
    accuracies = np.asarray(accuracies, dtype=np.float64)
    if accuracies.shape != (models,):
        raise ValueError(
            f"{name} must hold an accuracy per model. "
            f"Expected shape ({models},). Received {accuracies.shape}."
        )
    if not np.all((accuracies >= 0) & (accuracies <= 1)):
        raise ValueError(
            f"{name} must hold fractions. Expected values in [0, 1]. "
            f"Received values from {accuracies.min()} to {accuracies.max()}."
        )
    return float(accuracies.mean())
