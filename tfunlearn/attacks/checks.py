"""What the attacks ask of their arrays and options."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["check_level", "check_repeats", "check_whole", "class_numbers", "numbers"]


def numbers(name: str, values: ArrayLike, *, least: int = 1) -> np.ndarray:
    """Returns a flat list of finite numbers as float64.

    Args:
        name: The argument's name, for the message.
        values: Numbers, shape (N,).
        least: The smallest N allowed.

    Raises:
        ValueError: If the shape differs, there are too few, or one is not finite.

    Example:
        >>> numbers("scores", [1, 2])
        array([1., 2.])
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < least:
        raise ValueError(
            f"{name} must be a flat list with a number per example. "
            f"Expected shape (N,) with N >= {least}. Received {values.shape}."
        )
    bad = np.count_nonzero(~np.isfinite(values))
    if bad:
        raise ValueError(
            f"{name} must be finite. Expected no NaN and no infinity. "
            f"Received {bad} of them among {len(values)}."
        )
    return values


def class_numbers(name: str, labels: ArrayLike, size: int) -> np.ndarray:
    """Returns class numbers as int64 after checking that there is one per example.

    Args:
        name: The argument's name, for the message.
        labels: Class numbers, integers of shape (size,), at least 0.
        size: The number of examples.

    Raises:
        TypeError: If they are not integers.
        ValueError: If the shape differs or one is negative.

    Example:
        >>> class_numbers("labels", [2, 0], 2)
        array([2, 0])
    """
    labels = np.asarray(labels)
    if labels.shape != (size,):
        raise ValueError(
            f"{name} must hold a class number per example. "
            f"Expected shape ({size},). Received {labels.shape}."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(
            f"{name} must be class numbers. Expected an integer dtype. Received {labels.dtype}."
        )
    if size and labels.min() < 0:
        raise ValueError(
            f"{name} must be class numbers. Expected values from 0. Received {labels.min()}."
        )
    return labels.astype(np.int64)


def check_whole(name: str, value: Any, least: int) -> int:
    """Returns a whole number of at least `least` as int.

    Raises:
        TypeError: If it is no whole number.
        ValueError: If it is too small.

    Example:
        >>> check_whole("trials", 3, 1)
        3
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"{name} must be a whole number. Expected an integer. "
            f"Received {type(value).__name__} {value!r}."
        )
    if value < least:
        raise ValueError(f"{name} must be at least {least}. Received {value}.")
    return int(value)


def check_level(level: Any) -> float:
    """Returns the level of an interval as float.

    Raises:
        ValueError: If it is no fraction between 0 and 1.

    Example:
        >>> check_level(0.95)
        0.95
    """
    level = float(level)
    if not 0.0 < level < 1.0:
        raise ValueError(
            "level must be the share of intervals that hold the true value. "
            f"Expected a fraction in (0, 1), such as 0.95. Received {level}."
        )
    return level


def check_repeats(repeats: Any, level: float) -> int:
    """Returns the number of resamples after checking that they can show the level's ends.

    Raises:
        TypeError: If it is no whole number.
        ValueError: If not even one resample is expected beyond each end.

    Example:
        >>> check_repeats(1000, 0.95)
        1000
    """
    repeats = check_whole("repeats", repeats, 1)
    least = int(np.ceil(round(2 / (1 - level), 9)))
    if repeats < least:
        raise ValueError(
            "repeats must let a resample fall beyond each end of the interval. "
            f"Expected at least {least} at level {level}. Received {repeats}."
        )
    return repeats
