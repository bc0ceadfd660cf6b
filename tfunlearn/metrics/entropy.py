"""How unsure a model is: prediction entropy, and the kind that looks at the label."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.metrics.arrays import labelled_logits, logits_rows, refuse_probabilities
from tfunlearn.metrics.softmax import log_complement, log_softmax

__all__ = ["entropy", "modified_entropy"]


def entropy(logits: ArrayLike) -> np.ndarray:
    """Returns the entropy of every example's prediction, -sum over j of p[j] log p[j].

    Args:
        logits: Scores before the softmax, shape (N, C), finite.

    Returns:
        Entropies in nats, float64 of shape (N,), in [0, log C].

    Raises:
        ValueError: If the logits are no table of finite numbers, or look like probabilities
            (every row non-negative with the sum 1).

    Example:
        >>> entropy([[0.0, 0.0], [1000.0, 0.0]]).round(4)
        array([0.6931, 0.    ])
    """
    logits = logits_rows("logits", logits)
    refuse_probabilities(logits=logits)
    log_p = log_softmax(logits)
    return np.minimum((np.exp(log_p) * (0.0 - log_p)).sum(axis=1), np.log(logits.shape[1]))


def modified_entropy(labels: ArrayLike, logits: ArrayLike) -> np.ndarray:
    """Returns the entropy of every example's prediction, turned round where the label is.

    It is -(1 - p[y]) log p[y] - sum over j != y of p[j] log(1 - p[j]): 0 for a sure and right
    prediction and large for a sure and wrong one, for which plain entropy is 0 as well.

    Args:
        labels: Class numbers, integers of shape (N,), in [0, C).
        logits: Scores before the softmax, shape (N, C), finite.

    Returns:
        Modified entropies in nats, float64 of shape (N,), not negative, without an upper bound.

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label or a logit breaks the rules above, or if the logits look
            like probabilities (every row non-negative with the sum 1).

    Example:
        >>> modified_entropy([0, 1], [[1000.0, 0.0], [1000.0, 0.0]]).tolist()
        [0.0, 2000.0]

    Reference:
        Song and Mittal, 2021, "Systematic Evaluation of Privacy Risks of Machine Learning
        Models", arXiv 2003.10595.
    Deviation:
        The authors' code takes log 1e-30 for log 0, a floor that logits do not need. The copy of
        this metric in SalUn's evaluation, which many others took over, is another quantity: it
        takes log p for log(1 - p), and turns the columns of all labels of the batch in every row.
    """
    labels, logits = labelled_logits(labels, logits)
    refuse_probabilities(logits=logits)
    log_p, log_rest = log_softmax(logits), log_complement(logits)
    rows = np.arange(len(labels))
    terms = np.exp(log_p) * (0.0 - log_rest)
    terms[rows, labels] = np.exp(log_rest[rows, labels]) * (0.0 - log_p[rows, labels])
    return terms.sum(axis=1)
