"""Metrics as functions from arrays to numbers: pure NumPy, float64, no Keras."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "accuracy",
    "cross_entropy",
    "forgetting_effectiveness",
    "performance_drop",
    "utility_preservation",
]


def cross_entropy(labels: ArrayLike, logits: ArrayLike) -> np.ndarray:
    """Returns every example's cross-entropy, -log softmax(logits)[label].

    The logarithm of the sum is taken with the largest logit subtracted first, so logits of any
    size give a finite result.

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
    labels, logits = _checked(labels, logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    picked = shifted[np.arange(len(labels)), labels]
    return np.maximum(np.log(np.exp(shifted).sum(axis=1)) - picked, 0.0)


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
    labels, logits = _checked(labels, logits)
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
    unlearned = _fraction("unlearned_test_accuracy", unlearned_test_accuracy)
    original = _fraction("original_test_accuracy", original_test_accuracy)
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
    unlearned = _fraction("unlearned_test_accuracy", unlearned_test_accuracy)
    return _fraction("original_test_accuracy", original_test_accuracy) - unlearned


def _fraction(name: str, value: float) -> float:
    value = float(value)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be a fraction. Expected [0, 1]. Received {value}.")
    return value


def _checked(labels: ArrayLike, logits: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Checks a pair of arrays and returns labels as int64 and logits as float64."""
    labels, logits = np.asarray(labels), np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            "logits must hold a row per example and a column per class. "
            f"Expected shape (N, C) with C >= 2. Received {logits.shape}."
        )
    if labels.ndim != 1:
        raise ValueError(
            "labels must be a flat list of class numbers. "
            f"Expected shape ({len(logits)},). Received {labels.shape}."
        )
    if len(labels) != len(logits) or len(labels) == 0:
        raise ValueError(
            "labels and logits must hold the same examples, at least one. "
            f"Expected equal lengths. Received {len(labels)} labels and {len(logits)} logit rows."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(
            f"labels must be class numbers. Expected an integer dtype. Received {labels.dtype}."
        )
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"labels must be class numbers of the logits. Expected [0, {logits.shape[1]}). "
            f"Received values from {labels.min()} to {labels.max()}."
        )
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if bad.size:
        raise ValueError(
            "logits must be finite. Expected no NaN and no infinity. "
            f"Received them in {bad.size} of {len(logits)} rows, first in row {bad[0]}."
        )
    return labels.astype(np.int64), logits
