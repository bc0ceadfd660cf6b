"""Accuracy by class, where a rare class counts as much as a common one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.metrics.arrays import labelled_logits

__all__ = ["balanced_accuracy", "class_recalls", "worst_class_recall"]


def class_recalls(labels: ArrayLike, logits: ArrayLike) -> np.ndarray:
    """Returns, for each class, the share of its examples whose largest logit is the label's.

    Args:
        labels: Class numbers, integers of shape (N,), in [0, C).
        logits: Scores, shape (N, C), finite.

    Returns:
        Fractions in [0, 1], float64 of shape (C,); NaN for a class without examples.

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label or a logit breaks the rules above.

    Example:
        >>> class_recalls([0, 0, 2], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        array([0.5, nan, 1. ])
    """
    labels, logits = labelled_logits(labels, logits)
    classes = logits.shape[1]
    right = np.bincount(labels[logits.argmax(axis=1) == labels], minlength=classes)
    sizes = np.bincount(labels, minlength=classes)
    return np.where(sizes > 0, right / np.maximum(sizes, 1), np.nan)


def balanced_accuracy(labels: ArrayLike, logits: ArrayLike) -> float:
    """Returns the mean of `class_recalls` over the classes that have examples.

    Args:
        labels: Class numbers, integers of shape (N,), in [0, C).
        logits: Scores, shape (N, C), finite.

    Returns:
        A fraction in [0, 1]. Classes without examples are left out of the mean.

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label or a logit breaks the rules above.

    Example:
        >>> balanced_accuracy([0, 0, 0, 1], [[1.0, 0.0]] * 4)
        0.5
    """
    return float(np.nanmean(class_recalls(labels, logits)))


def worst_class_recall(labels: ArrayLike, logits: ArrayLike) -> tuple[int, float]:
    """Returns the class with the lowest of `class_recalls`, and that recall.

    Args:
        labels: Class numbers, integers of shape (N,), in [0, C).
        logits: Scores, shape (N, C), finite.

    Returns:
        Class number and fraction; among equals the lowest number, and never a class without
        examples.

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label or a logit breaks the rules above.

    Example:
        >>> worst_class_recall([0, 0, 0, 1], [[1.0, 0.0]] * 4)
        (1, 0.0)
    """
    recalls = class_recalls(labels, logits)
    worst = int(np.nanargmin(recalls))
    return worst, float(recalls[worst])
