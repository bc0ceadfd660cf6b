"""Running a copy on the examples of a role, block by block."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfunlearn.data import ForgetSplit

AT_ONCE = 512  # examples a step where nothing is trained; changes speed and memory only


def blocks(split: ForgetSplit, role: str, size: int = AT_ONCE) -> Iterator[np.ndarray]:
    """Yields the inputs of a role in the order of its labels, a block of examples at a time.

    Args:
        split: the data; a stream is read once.
        role: which part of it.
        size: examples a block; the last one may hold fewer.

    Raises:
        ValueError: if the role is not there or not finite.
    """
    split.check(role, size)
    if split.source(role).is_stream:
        for x, *_ in split.dataset(role, batch_size=size).as_numpy_iterator():
            yield x
        return
    x, _ = getattr(split, role)
    for start in range(0, len(x), size):
        yield x[start : start + size]


def scores(net: keras.Model, x: np.ndarray) -> np.ndarray:
    """Returns the outputs of a copy for one block in inference mode, float64 of shape (N, C).

    Args:
        net: a copy; the first call compiles its forward pass.
        x: inputs of shape (N, ...).

    Raises:
        ValueError: if an output is not finite.
    """
    found = np.asarray(net.predict_on_batch(x), dtype="float64")
    require_finite("model", found)
    return found


def require_finite(name: str, array: np.ndarray) -> None:
    """Raises unless all of an array is finite."""
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(
            f"{name}: its numbers must be finite. Expected: no NaN and no infinity. "
            f"Received: {bad} of them in {array.size}."
        )


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Returns a whole number of at least so much, or raises."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(
            f"{name}: expected a whole number of at least {least}. Received: {value!r}."
        )
    return int(value)
