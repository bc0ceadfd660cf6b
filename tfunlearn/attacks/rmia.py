"""RMIA: is the example's likelihood ratio larger than that of examples nobody trained on?"""

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

__all__ = ["Rmia", "rmia"]


@dataclass(frozen=True, eq=False)
class Rmia:
    """What the attack says of each example; made by `rmia`.

    Attributes:
        scores: Share of the population that the example beats, in [0, 1], float64 of the
            candidate's shape; the array cannot be written to.
        mode: "online" (in and out models) or "offline" (out models only).
        gamma: How many times larger the example's ratio must be.
        a: The slope that stands in for the in models; None online.
        in_models: Models that knew the example; 0 offline.
        out_models: Models that never did.
        examples: Number of examples.
        population: Number of population examples; scores are multiples of one over it.
    """

    scores: np.ndarray
    mode: str
    gamma: float
    a: float | None
    in_models: int
    out_models: int
    examples: int
    population: int


def rmia(
    candidate: ArrayLike,
    candidate_population: ArrayLike,
    out_margins: ArrayLike,
    out_population: ArrayLike,
    in_margins: ArrayLike | None = None,
    in_population: ArrayLike | None = None,
    *,
    a: float = 0.3,
    gamma: float = 2.0,
) -> Rmia:
    """Scores each example x by the share of population examples z that it beats.

    x beats z where [p_candidate(x) / p(x)] / [p_candidate(z) / p(z)] > gamma. p_candidate is the
    probability that the model under audit gives to the label; p is what a model at large would
    give, the mean over reference models. One reference model is enough. All is done on logarithms,
    so certain and hopeless examples neither overflow nor vanish.

    Offline, p = (1 + a) / 2 * mean over out models + (1 - a) / 2, for x as for z: models that knew
    the example are taken to give a * p_out + 1 - a. Online, p is half the in models' mean and half
    the out models'.

    Args:
        candidate: Margins in nats of the model or models under audit, shape (examples,) or
            (candidates, examples).
        candidate_population: Their margins on the population, shape (population,) or
            (candidates, population).
        out_margins: Margins of models that never knew the example, shape (models, examples), at
            least 1 model.
        out_population: Their margins on the population, shape (models, population). No model, the
            candidate included, was trained on the population.
        in_margins: Margins of models that did know the example, shape (models, examples), at
            least 1 model; None for the offline attack.
        in_population: Their margins on the population, shape (models, population); with
            `in_margins` only.
        a: Slope in [0, 1], offline only; 1 where nothing is known of the in models. Tune it, if at
            all, on reference models.
        gamma: Above 0.

    Returns:
        Scores, mode, parameters and the numbers of models and examples.

    Raises:
        ValueError: If a shape, a margin or an option breaks the rules above.

    Example:
        >>> found = rmia([8.0, -8.0], [0.0, 0.1], [[-2.0, -8.0]], [[0.0, 0.1]])
        >>> found.scores, found.population, found.out_models
        (array([1., 0.]), 2, 1)

    Reference:
        Zarifzadeh, Liu, Shokri, 2024, "Low-Cost High-Power Membership Inference Attacks",
        arXiv 2312.03262; p(x) as in the authors' code.
    Deviation:
        p is the plain softmax probability and the plain mean: no Taylor softmax with a margin, no
        trimmed mean, no augmentation. Online, in and out models weigh a half each however many
        they are. The authors' code has gamma 2 (first version) or 1, and a = 0.3 where it is not
        tuned.
    """
    _check_options(a, gamma)
    out, out_z = _references("out", out_margins, out_population)
    sides, sides_z = [_log_mean(out)], [_log_mean(out_z)]
    known = None
    if in_margins is not None or in_population is not None:
        known, in_z = _both_given(in_margins, in_population)
        same_examples("out_margins", out, "in_margins", known)
        same_examples("out_population", out_z, "in_population", in_z)
        sides, sides_z = [*sides, _log_mean(known)], [*sides_z, _log_mean(in_z)]
    found = candidate_margins("candidate", candidate, out.shape[1])
    found_z = candidate_margins("candidate_population", candidate_population, out_z.shape[1])
    _check_candidates(found, found_z)
    ratio = _log_probability(found) - _at_large(sides, a)
    ratio_z = _log_probability(found_z) - _at_large(sides_z, a)
    return Rmia(
        scores=read_only(_beaten(ratio - np.log(gamma), ratio_z)),
        mode="offline" if known is None else "online",
        gamma=float(gamma),
        a=float(a) if known is None else None,
        in_models=0 if known is None else len(known),
        out_models=len(out),
        examples=out.shape[1],
        population=out_z.shape[1],
    )


def _check_options(a: float, gamma: float) -> None:
    if not 0.0 <= a <= 1.0:
        raise ValueError(f"a must be a slope. Expected a number in [0, 1]. Received {a}.")
    if not (gamma > 0.0 and np.isfinite(gamma)):
        raise ValueError(
            f"gamma must be a ratio to exceed. Expected a finite number above 0. Received {gamma}."
        )


def _references(
    side: str, margins: ArrayLike, population: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    bank = margin_bank(f"{side}_margins", margins, least=1)
    bank_z = margin_bank(f"{side}_population", population, least=1)
    if len(bank) != len(bank_z):
        raise ValueError(
            f"{side}_population must come from the models of {side}_margins. "
            f"Expected {len(bank)} rows. Received {len(bank_z)}."
        )
    return bank, bank_z


def _both_given(
    margins: ArrayLike | None, population: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    if margins is None or population is None:
        raise ValueError(
            "in_margins and in_population must come together. Expected both or neither. "
            f"Received {'in_population' if margins is None else 'in_margins'} alone."
        )
    return _references("in", margins, population)


def _check_candidates(found: np.ndarray, population: np.ndarray) -> None:
    if found.shape[:-1] != population.shape[:-1]:
        raise ValueError(
            "candidate_population must come from the models of candidate. "
            f"Expected shape {(*found.shape[:-1], 'population')}. Received {population.shape}."
        )


def _log_probability(margins: np.ndarray) -> np.ndarray:
    """Returns log p of the label from its margin, log(p / (1 - p))."""
    return -np.logaddexp(0.0, -margins)


def _log_mean(bank: np.ndarray) -> np.ndarray:
    """Returns the logarithm of the label's mean probability over the models."""
    return np.logaddexp.reduce(_log_probability(bank), axis=0) - np.log(len(bank))


def _at_large(sides: list[np.ndarray], a: float) -> np.ndarray:
    """Returns log p of a model at large, from the out models' and the in models' log means."""
    if len(sides) == 2:
        return np.logaddexp(*sides) - np.log(2.0)
    with np.errstate(divide="ignore"):  # a = 1: nothing is added
        return np.logaddexp(sides[0] + np.log((1 + a) / 2), np.log((1 - a) / 2))


def _beaten(ratio: np.ndarray, ratio_z: np.ndarray) -> np.ndarray:
    """Returns the share of population ratios below each; sorted, so no table of pairs is built."""
    rows, rows_z = np.atleast_2d(ratio), np.atleast_2d(ratio_z)
    below = [np.searchsorted(np.sort(z), x) for x, z in zip(rows, rows_z, strict=True)]
    return (np.stack(below) / rows_z.shape[1]).reshape(ratio.shape)
