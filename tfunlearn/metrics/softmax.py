"""The softmax in logarithms, exact also where a probability is near 0 or near 1."""

from __future__ import annotations

import numpy as np

__all__ = ["log_complement", "log_softmax", "log_sum_exp_others"]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Returns log p for every example and class, float64 of shape (N, C).

    The largest logit is taken out of the sum, so that log p keeps its digits near p = 1, where
    a plain sum 1 + e would round to 1.

    Example:
        >>> log_softmax(np.array([[0.0, -50.0]]))
        array([[-1.92874985e-22, -5.00000000e+01]])
    """
    rows, top = np.arange(len(logits)), logits.argmax(axis=1)
    shifted = logits - logits[rows, top][:, None]
    rest = np.exp(shifted)
    rest[rows, top] = 0.0
    return shifted - np.log1p(rest.sum(axis=1, keepdims=True))


def log_sum_exp_others(classes: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Returns log of the sum of exp(logit) over all classes but the given one, shape (N,).

    Example:
        >>> log_sum_exp_others(np.array([0]), np.array([[9.0, 0.0, 0.0]])).round(4)
        array([0.6931])
    """
    others = logits.copy()
    others[np.arange(len(logits)), classes] = -np.inf
    top = others.max(axis=1)
    return top + np.log(np.exp(others - top[:, None]).sum(axis=1))


def log_complement(logits: np.ndarray) -> np.ndarray:
    """Returns log(1 - p) for every example and class, float64 of shape (N, C).

    Only the likeliest class can have p > 1/2, where 1 - p would lose its digits: there the other
    classes' exponentials are summed instead.

    Example:
        >>> log_complement(np.array([[0.0, -50.0]]))
        array([[-5.00000000e+01, -1.92874985e-22]])
    """
    rows, top = np.arange(len(logits)), logits.argmax(axis=1)
    log_p = log_softmax(logits)
    p = np.exp(log_p)
    p[rows, top] = 0.0
    complement = np.log1p(-p)
    others = log_sum_exp_others(top, logits) - logits[rows, top]
    complement[rows, top] = others + log_p[rows, top]
    return complement
