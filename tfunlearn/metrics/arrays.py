"""The checks that all metrics share: labels, logits, pairs of logits, fractions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "ROUNDING",
    "fraction",
    "labelled_logits",
    "logits_pair",
    "logits_rows",
    "refuse_probabilities",
]

ROUNDING = 0.01
"""How far from 1 the sum of a row of probabilities may be: bfloat16 needs that much."""


def logits_rows(name: str, logits: ArrayLike) -> np.ndarray:
    """Checks a table of logits and returns it as float64 of shape (N, C).

    Raises:
        ValueError: If it is not two-dimensional with an example and two classes, or not finite.

    Example:
        >>> logits_rows("logits", [[1, 2]])
        array([[1., 2.]])
    """
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"{name} must hold a row per example and a column per class. "
            f"Expected shape (N, C) with C >= 2. Received {logits.shape}."
        )
    if len(logits) == 0:
        raise ValueError(
            f"{name} must hold at least one example. Expected N >= 1. Received {logits.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if bad.size:
        raise ValueError(
            f"{name} must be finite. Expected no NaN and no infinity. "
            f"Received them in {bad.size} of {len(logits)} rows, first in row {bad[0]}."
        )
    return logits


def labelled_logits(labels: ArrayLike, logits: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Checks labels and their logits and returns them as int64 and float64.

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label or a logit does not fit.

    Example:
        >>> labelled_logits([1], [[1, 2]])
        (array([1]), array([[1., 2.]]))
    """
    labels, logits = np.asarray(labels), logits_rows("logits", logits)
    if labels.ndim != 1:
        raise ValueError(
            "labels must be a flat list of class numbers. "
            f"Expected shape ({len(logits)},). Received {labels.shape}."
        )
    if len(labels) != len(logits):
        raise ValueError(
            "labels and logits must hold the same examples. "
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
    return labels.astype(np.int64), logits


def logits_pair(**pair: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Checks two models' logits for the same examples, given by name, and returns them as float64.

    Raises:
        ValueError: If one is no table of finite logits, or the shapes differ.

    Example:
        >>> logits_pair(p_logits=[[1, 2]], q_logits=[[3, 4]])
        (array([[1., 2.]]), array([[3., 4.]]))
    """
    (first, p), (second, q) = ((name, logits_rows(name, logits)) for name, logits in pair.items())
    if p.shape != q.shape:
        raise ValueError(
            f"{first} and {second} must hold the same examples and classes. "
            f"Expected equal shapes. Received {p.shape} and {q.shape}."
        )
    return p, q


def refuse_probabilities(**tables: np.ndarray) -> None:
    """Raises where every row of a table, given by name, is non-negative and sums to 1.

    A softmax of probabilities is a number, but not the one that was asked for.

    Raises:
        ValueError: If a table holds probabilities, to a rounding of 0.01.

    Example:
        >>> refuse_probabilities(logits=np.array([[0.5, 0.5], [2.0, 1.0]]))
    """
    for name, logits in tables.items():
        if (logits >= 0).all() and (abs(logits.sum(axis=1) - 1.0) <= ROUNDING).all():
            raise ValueError(
                f"{name} must be scores before the softmax. Expected logits, as a model made by "
                "models.logits_model gives them. Received what looks like probabilities: every "
                "row is non-negative and sums to 1."
            )


def fraction(name: str, value: Any) -> float:
    """Checks a fraction and returns it.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it lies outside [0, 1].

    Example:
        >>> fraction("accuracy", 1)
        1.0
    """
    try:
        value = float(value)
    except TypeError as error:
        raise TypeError(
            f"{name} must be a fraction. Expected a number in [0, 1]. Received {value!r}."
        ) from error
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be a fraction. Expected [0, 1]. Received {value}.")
    return value
