"""Cross-entropy, example by example."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.metrics.arrays import labelled_logits
from tfunlearn.metrics.softmax import log_softmax

__all__ = ["cross_entropy"]


def cross_entropy(labels: ArrayLike, logits: ArrayLike) -> np.ndarray:
    """Returns every example's cross-entropy, -log softmax(logits)[label].

    Logits of any size give a finite result, and losses far below 1e-16 keep their digits.

    Args:
        labels: Class numbers, integers of shape (N,), in [0, C).
        logits: Scores before the softmax, shape (N, C), finite.

    Returns:
        Losses in nats, float64 of shape (N,), not negative.

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label or a logit breaks the rules above.

    Example:
        >>> cross_entropy([0, 1], [[0.0, 0.0], [1000.0, 0.0]]).round(4)
        array([6.931e-01, 1.000e+03])
    """
    labels, logits = labelled_logits(labels, logits)
    return 0.0 - log_softmax(logits)[np.arange(len(labels)), labels]  # 0 - 0 is 0, -0 is -0
