"""How far two models' predictions are from one another on the same examples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.metrics.arrays import logits_pair, refuse_probabilities
from tfunlearn.metrics.softmax import log_softmax

__all__ = [
    "activation_distance",
    "js_divergence",
    "kl_divergence",
    "prediction_agreement",
    "zrf",
]


def kl_divergence(p_logits: ArrayLike, q_logits: ArrayLike) -> np.ndarray:
    """Returns every example's Kullback-Leibler divergence, KL(p || q), of two softmaxes.

    Not symmetric. Against a retrained model the reference goes first, as in SFR-on's evaluation.

    Args:
        p_logits: One model's scores before the softmax, shape (N, C), finite.
        q_logits: The other's for the same examples, same shape, finite.

    Returns:
        Divergences in nats, float64 of shape (N,), not negative, without an upper bound.

    Raises:
        ValueError: If the arrays are no tables of finite numbers of one shape, or look like
            probabilities (every row non-negative with the sum 1).

    Example:
        >>> kl_divergence([[0.0, 0.0]], [[2000.0, 0.0]]).round(4)
        array([999.3069])
    """
    log_p, log_q = _log_softmaxes(p_logits=p_logits, q_logits=q_logits)
    return _kl(log_p, log_q)


def js_divergence(p_logits: ArrayLike, q_logits: ArrayLike) -> np.ndarray:
    """Returns every example's Jensen-Shannon divergence of two softmaxes.

    It is (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2. Symmetric and bounded.

    Args:
        p_logits: One model's scores before the softmax, shape (N, C), finite.
        q_logits: The other's for the same examples, same shape, finite.

    Returns:
        Divergences in nats, float64 of shape (N,), in [0, log 2]. Not the Jensen-Shannon
        distance, which is the square root.

    Raises:
        ValueError: If the arrays are no tables of finite numbers of one shape, or look like
            probabilities (every row non-negative with the sum 1).

    Example:
        >>> js_divergence([[1000.0, 0.0]], [[0.0, 1000.0]]).round(4)
        array([0.6931])
    """
    return _js(*_log_softmaxes(p_logits=p_logits, q_logits=q_logits))


def activation_distance(p_logits: ArrayLike, q_logits: ArrayLike) -> np.ndarray:
    """Returns every example's Euclidean distance between two softmaxes.

    Args:
        p_logits: One model's scores before the softmax, shape (N, C), finite.
        q_logits: The other's for the same examples, same shape, finite.

    Returns:
        Distances, float64 of shape (N,), in [0, sqrt 2].

    Raises:
        ValueError: If the arrays are no tables of finite numbers of one shape, or look like
            probabilities (every row non-negative with the sum 1).

    Example:
        >>> activation_distance([[1000.0, 0.0]], [[0.0, 1000.0]]).round(4)
        array([1.4142])

    Reference:
        The function `actv_dist` of the code of Chundawat, Tarun, Mandal, Kankanhalli, 2022,
        "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks using an Incompetent
        Teacher", arXiv 2205.08096, which returns the mean over the examples.
    Deviation:
        None known.
    """
    log_p, log_q = _log_softmaxes(p_logits=p_logits, q_logits=q_logits)
    return np.linalg.norm(np.exp(log_p) - np.exp(log_q), axis=1)


def prediction_agreement(p_logits: ArrayLike, q_logits: ArrayLike) -> float:
    """Returns the share of examples for which two models predict the same class.

    Between equal logits the lowest class number wins, as in `numpy.argmax`.

    Args:
        p_logits: One model's scores, shape (N, C), finite.
        q_logits: The other's for the same examples, same shape, finite.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: If the arrays are no tables of finite numbers of one shape.

    Example:
        >>> prediction_agreement([[1.0, 0.0], [1.0, 0.0]], [[9.0, 0.0], [0.0, 9.0]])
        0.5
    """
    p, q = logits_pair(p_logits=p_logits, q_logits=q_logits)
    return float(np.mean(p.argmax(axis=1) == q.argmax(axis=1)))


def zrf(unlearned_logits: ArrayLike, random_logits: ArrayLike, *, base: float = 2.0) -> float:
    """Returns the zero retrain forgetting score: 1 - mean over examples of JS(p || r).

    p is the unlearned model's softmax on the forget set, r that of an untrained network of the
    same architecture. 1 means that the model predicts as the untrained network does. That is not
    the target: a retrained model generalises to examples that it never saw, and scores less.

    Args:
        unlearned_logits: The unlearned model's scores for the forget set, shape (N, C), finite.
        random_logits: The untrained network's for the same examples, same shape, finite.
        base: Base of the logarithm in JS, above 1. With 2 the score spans [0, 1]; with `math.e`
            it spans [1 - log 2, 1].

    Returns:
        The score, a fraction.

    Raises:
        ValueError: If the arrays are no tables of finite numbers of one shape, look like
            probabilities (every row non-negative with the sum 1), or `base` is not above 1.

    Example:
        >>> round(zrf([[1000.0, 0.0], [0.0, 0.0]], [[0.0, 1000.0], [0.0, 0.0]]), 4)
        0.5

    Reference:
        Chundawat, Tarun, Mandal, Kankanhalli, 2022, "Can Bad Teaching Induce Forgetting?
        Unlearning in Deep Networks using an Incompetent Teacher", arXiv 2205.08096.
    Deviation:
        The formula names no base; the authors' code takes nats. That code is not the formula: it
        divides the sum over classes by the number of classes, and takes KL(m || p) for
        KL(p || m), so that its scores depend on the number of classes and can fall below 0.
    """
    if not 1.0 < base < math.inf:
        raise ValueError(f"base must be a logarithm's. Expected a number > 1. Received {base}.")
    log_p, log_r = _log_softmaxes(unlearned_logits=unlearned_logits, random_logits=random_logits)
    return float(1.0 - np.mean(_js(log_p, log_r) / math.log(base)))


def _log_softmaxes(**pair: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Checks two tables of logits, given by name, and returns their log-softmaxes."""
    p, q = logits_pair(**pair)
    refuse_probabilities(**dict(zip(pair, (p, q), strict=True)))
    return log_softmax(p), log_softmax(q)


def _kl(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """Returns KL(p || q) of each row; rounding is kept from making it negative."""
    return np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=1), 0.0)


def _js(log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """Returns the Jensen-Shannon divergence of each row in nats.

    The logarithms of m / p and m / q are taken from log q - log p alone, so that equal rows give
    exactly 0 and no logarithm of a tiny m is needed.
    """
    apart = log_q - log_p
    bend = np.log1p(np.expm1(-abs(apart)) / 2.0)
    terms = np.exp(log_p) * (np.maximum(apart, 0.0) + bend)
    terms += np.exp(log_q) * (np.maximum(-apart, 0.0) + bend)
    return np.clip(0.0 - terms.sum(axis=1) / 2.0, 0.0, math.log(2.0))
