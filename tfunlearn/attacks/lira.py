"""LiRA, the likelihood ratio attack, turned on unlearning: each example has its own attacker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.margin_banks import (
    candidate_margins,
    margin_bank,
    read_only,
    same_examples,
)

__all__ = ["Lira", "lira"]

_LEAST = 2
_ENOUGH = 64  # models from which a variance of its own serves each example better
_ROUNDING = 8 * np.finfo(np.float64).eps
_VARIANCES = ("auto", "example", "shared")


@dataclass(frozen=True, eq=False)
class Lira:
    """What the attack says of each example; made by `lira`.

    Attributes:
        scores: Evidence in nats that the example is still known, float64 of the candidate's shape;
            the array cannot be written to. Online: log N(margin; in) - log N(margin; out), above 0
            where the in models explain the margin better. Offline: -log Pr[Z > margin], never
            below 0, under the out models' Gaussian.
        mode: "online" (in and out models) or "offline" (out models only).
        variance: "example" or "shared".
        in_models: Models that knew the example; 0 offline.
        out_models: Models that never did.
        examples: Number of examples.
        constant: Examples whose margin did not vary over the models of a side, by number. A
            Gaussian of no width proves too much, so they are given the shared variance.
    """

    scores: np.ndarray
    mode: str
    variance: str
    in_models: int
    out_models: int
    examples: int
    constant: tuple[int, ...]

    @property
    def membership(self) -> np.ndarray:
        """The scores as numbers in [0, 1], which pile up at the ends; rank by `scores`.

        Online: U-LiRA's N(margin; in) / (N(margin; in) + N(margin; out)), 0.5 undecided. Offline:
        LiRA's 1 - Pr[Z > margin], uniform over models that never knew the example.
        """
        from scipy.special import expit

        return expit(self.scores) if self.mode == "online" else -np.expm1(-self.scores)


def lira(
    candidate: ArrayLike,
    out_margins: ArrayLike,
    in_margins: ArrayLike | None = None,
    *,
    variance: str = "auto",
) -> Lira:
    """Scores each example by how much better its margin fits models that knew it than others.

    For unlearning (U-LiRA) the in models were trained with the example and then unlearned it by the
    method under audit, and the out models never saw it; the score then says whether having
    forgotten can be told from never having known. In models that were only trained with it give
    the plain attack.

    Without in models the test is one-sided: a margin pushed far below that of the out models, as
    by too much unlearning, earns a score near 0. The online attack sees both directions.

    Args:
        candidate: Margins in nats of the model or models under audit, shape (examples,) or
            (candidates, examples). None of them may be among the models below.
        out_margins: Margins of models that never knew the example, shape (models, examples), at
            least 2 models.
        in_margins: Margins of models that did, shape (models, examples), at least 2 models; None
            for the offline attack.
        variance: "example": a variance per example and side. "shared": one per side, of the
            deviations from each example's mean. "auto": per example from 64 models on (offline:
            out models; online: in and out models together, were both as many as the fewer).

    Returns:
        Scores, mode, variance and the numbers of models and examples.

    Raises:
        ValueError: If a shape, a margin or an option breaks the rules above, or if no margin of a
            side varies over its models.

    Example:
        >>> out, known = [[-1.0], [1.0]], [[5.0], [7.0]]
        >>> found = lira([6.0], out, known, variance="example")
        >>> found.scores.round(6), found.mode
        (array([9.]), 'online')
        >>> lira([0.0], out).membership.round(6)
        array([0.5])

    Reference:
        Hayes, Shumailov, Triantafillou, Khalifa, Papernot, 2024, "Inexact Unlearning Needs More
        Careful Evaluations to Avoid a False Sense of Privacy", arXiv 2403.01218 (U-LiRA). Carlini,
        Chien, Nasr, Song, Terzis, Tramer, 2022, "Membership Inference Attacks From First
        Principles", arXiv 2112.03570, Algorithm 1, Equation 4 (offline), section VI-B (a shared
        variance below 64 models).
    Deviation:
        The variance has the divisor N - 1, so that sides of different size compare. The authors'
        code takes the median for the mean; its shared variance holds the spread between examples
        and is the in side's on both sides. One query per example, no augmentation.
    """
    out = margin_bank("out_margins", out_margins, least=_LEAST)
    known = None if in_margins is None else margin_bank("in_margins", in_margins, least=_LEAST)
    if known is not None:
        same_examples("out_margins", out, "in_margins", known)
    found = candidate_margins("candidate", candidate, out.shape[1])
    kind = _variance(variance, out, known)
    out_mean, out_deviation, constant = _gaussians("out_margins", out, kind)
    if known is None:
        scores = _surprise((found - out_mean) / out_deviation)
    else:
        in_mean, in_deviation, more = _gaussians("in_margins", known, kind)
        constant = constant | more
        scores = _log_density(found, in_mean, in_deviation)
        scores -= _log_density(found, out_mean, out_deviation)
    return Lira(
        scores=read_only(scores),
        mode="offline" if known is None else "online",
        variance=kind,
        in_models=0 if known is None else len(known),
        out_models=len(out),
        examples=out.shape[1],
        constant=tuple(np.flatnonzero(constant).tolist()),
    )


def _variance(variance: str, out: np.ndarray, known: np.ndarray | None) -> str:
    if variance not in _VARIANCES:
        raise ValueError(
            f"variance must say whose spread is used. Expected one of {_VARIANCES}. "
            f"Received {variance!r}."
        )
    if variance != "auto":
        return variance
    models = len(out) if known is None else 2 * min(len(out), len(known))
    return "example" if models >= _ENOUGH else "shared"


def _gaussians(
    name: str, bank: np.ndarray, variance: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns each example's mean and standard deviation, and which examples do not vary."""
    own = bank.var(axis=0, ddof=1)
    constant = np.sqrt(own) <= _ROUNDING * np.abs(bank).max(axis=0)
    own[constant] = 0.0
    shared = own.mean()
    if shared == 0:
        raise ValueError(
            f"{name} must vary over the models, or there is no spread to measure against. "
            f"Expected models trained under different seeds. Received {len(bank)} models with the "
            f"same margins on all {bank.shape[1]} examples."
        )
    if variance == "shared":
        own[:] = shared
    own[constant] = shared
    return bank.mean(axis=0), np.sqrt(own), constant


def _surprise(distance: np.ndarray) -> np.ndarray:
    """Returns -log Pr[Z > distance] of a standard normal Z."""
    from scipy.special import log_ndtr

    return -log_ndtr(-distance)


def _log_density(values: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Returns the normal log density up to the constant that both sides share."""
    return -0.5 * ((values - mean) / deviation) ** 2 - np.log(deviation)
