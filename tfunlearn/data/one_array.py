"""Inputs as one array of numbers, or an error that says what they are instead."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["SEVERAL", "TEXTS", "one_array"]

SEVERAL = (
    "several inputs are not supported. Expected: one array of shape (N, ...), for a model with one "
    "input; put the inputs side by side, and let the model take them apart."
)
TEXTS = (
    "texts are not supported. Expected: an array of numbers; apply the model's TextVectorization "
    "or StringLookup layer first, and give the part of the model that follows it."
)


def one_array(x: Any, name: str) -> np.ndarray:
    """Returns inputs as one array, or raises.

    Args:
        x: an array, or what NumPy makes one of.
        name: the argument's name in messages.

    Raises:
        TypeError: if they are several inputs, texts, or examples of different shapes.

    Example:
        >>> from tfunlearn.data.one_array import one_array
        >>> one_array([[1.0, 2.0]], "x").shape
        (1, 2)
    """
    if isinstance(x, Mapping) or _is_several(x):
        keys = f" with {', '.join(map(repr, x))}" if isinstance(x, Mapping) else ""
        raise TypeError(f"{name}: {SEVERAL} Received: a {type(x).__name__} of {len(x)}{keys}.")
    array = np.asanyarray(x)
    first = array.flat[0] if array.dtype == object and array.size else None
    if array.dtype.kind in "UST" or isinstance(first, str | bytes):
        raise TypeError(f"{name}: {TEXTS} Received: dtype {array.dtype}.")
    if array.dtype == object:
        raise TypeError(
            f"{name}: expected an array of numbers. Received dtype object; "
            "are the examples of different shapes?"
        )
    return array


def _is_several(x: Any) -> bool:
    """Tells whether inputs are a list of arrays of different shapes, as for several inputs."""
    if not isinstance(x, Sequence) or isinstance(x, str | bytes):
        return False
    shapes = {np.shape(part) for part in x if hasattr(part, "shape")}
    return len(shapes) > 1 and len({shape[:1] for shape in shapes}) == 1
