"""Accuracy, and what the MNIST notebook makes of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.metrics.arrays import fraction, labelled_logits

__all__ = ["accuracy", "forgetting_effectiveness", "performance_drop", "utility_preservation"]


def accuracy(labels: ArrayLike, logits: ArrayLike) -> float:
    """Returns the share of examples whose largest logit is the label's.

    Between equal logits the lowest class number wins, as in `numpy.argmax`.

    Args:
        labels: Class numbers, integers of shape (N,), in [0, C).
        logits: Scores, shape (N, C), finite.

    Returns:
        A fraction in [0, 1].

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label or a logit breaks the rules above.

    Example:
        >>> accuracy([0, 1, 1], [[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
        0.6666666666666666
    """
    labels, logits = labelled_logits(labels, logits)
    return float(np.mean(logits.argmax(axis=1) == labels))


def forgetting_effectiveness(labels: ArrayLike, logits: ArrayLike) -> float:
    """Returns the accuracy on the forget set: the lower, the less of it is left.

    The name is the MNIST notebook's. Zero is not the target: the target is the value of a model
    retrained without the forget set. For a random forget set that is about the test accuracy, for
    a whole class about zero.

    Args:
        labels: The forget role's class numbers, integers of shape (N,), in [0, C).
        logits: The unlearned model's scores for them, shape (N, C), finite.

    Returns:
        A fraction in [0, 1].

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label or a logit breaks the rules above.

    Example:
        >>> forgetting_effectiveness([0, 0], [[1.0, 0.0], [0.0, 1.0]])
        0.5
    """
    return accuracy(labels, logits)


def utility_preservation(unlearned_test_accuracy: float, original_test_accuracy: float) -> float:
    """Returns the unlearned model's test accuracy as a share of the original's.

    Args:
        unlearned_test_accuracy: Fraction in [0, 1].
        original_test_accuracy: Fraction in (0, 1].

    Returns:
        The ratio; 1 means that no test accuracy was lost, more than 1 that some was won.

    Raises:
        ValueError: If an accuracy lies outside its range.

    Example:
        >>> round(utility_preservation(0.9002, 0.9602), 4)
        0.9375
    """
    unlearned = fraction("unlearned_test_accuracy", unlearned_test_accuracy)
    original = fraction("original_test_accuracy", original_test_accuracy)
    if original == 0:
        raise ValueError(
            "original_test_accuracy must be above 0 to be divided by. "
            "Expected a fraction in (0, 1]. Received 0."
        )
    return unlearned / original


def performance_drop(unlearned_test_accuracy: float, original_test_accuracy: float) -> float:
    """Returns the test accuracy that unlearning cost: the original's minus the unlearned model's.

    Args:
        unlearned_test_accuracy: Fraction in [0, 1].
        original_test_accuracy: Fraction in [0, 1].

    Returns:
        The difference in [-1, 1]; negative where the unlearned model is the better one.

    Raises:
        ValueError: If an accuracy lies outside its range.

    Example:
        >>> round(performance_drop(0.9002, 0.9602), 4)
        0.06
    """
    unlearned = fraction("unlearned_test_accuracy", unlearned_test_accuracy)
    return fraction("original_test_accuracy", original_test_accuracy) - unlearned
