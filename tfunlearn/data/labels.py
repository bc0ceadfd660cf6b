"""The one place where labels are checked and flattened."""

from typing import Any

import numpy as np


def check_labels(y: Any, count: int, name: str = "y") -> np.ndarray:
    """Returns labels as int64 of shape ``(N,)``, or raises.

    Args:
        y: integer class ids of shape ``(N,)`` or ``(N, 1)``; the second is flattened.
        count: N, the number of examples they belong to.
        name: the argument's name in messages.

    Raises:
        TypeError: if labels are not integers.
        ValueError: if they are one-hot, negative, of another length or of another rank.

    Example:
        >>> from tfunlearn.data.labels import check_labels
        >>> check_labels([[2], [0]], count=2)
        array([2, 0])
    """
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ValueError(
            f"{name}: expected one class id per example. Received shape {labels.shape}, which "
            f"looks one-hot; pass {name}.argmax(-1)."
        )
    if labels.ndim == 2:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"{name}: expected shape (N,) or (N, 1). Received shape {labels.shape}.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(
            f"{name}: expected integer class ids. Received dtype {labels.dtype}; "
            f"convert them, for instance with {name}.astype('int64')."
        )
    if len(labels) != count:
        raise ValueError(
            f"{name}: expected one label per example. Expected: {count}. Received: {len(labels)}."
        )
    if count == 0:
        raise ValueError(f"{name}: expected at least one example. Received none.")
    if labels.min() < 0:
        raise ValueError(
            f"{name}: class ids start at 0. Received {labels.min()} "
            f"(example {int(labels.argmin())})."
        )
    return labels.astype("int64", copy=False)


def check_ids(ids: Any, count: int, name: str = "forget") -> np.ndarray:
    """Returns sorted, unique int64 positions inside ``range(count)``, neither none nor all.

    Args:
        ids: positions of examples in the training data, in any order.
        count: number of training examples.
        name: the argument's name in messages.

    Raises:
        TypeError: if they are not integers (a boolean mask included).
        ValueError: if they are empty, duplicated, out of range, or everything.
    """
    received = np.asarray(sorted(ids) if isinstance(ids, set | frozenset) else ids)
    if received.size == 0:
        raise ValueError(f"{name}: expected at least one id. Received none.")
    if received.ndim != 1:
        raise ValueError(f"{name}: expected a row of ids. Received shape {received.shape}.")
    if not np.issubdtype(received.dtype, np.integer):
        hint = "; for a mask pass np.flatnonzero(mask)" if received.dtype == bool else ""
        raise TypeError(f"{name}: expected integer ids. Received dtype {received.dtype}{hint}.")
    ordered = np.sort(received.astype("int64"))
    if ordered[0] < 0 or ordered[-1] >= count:
        wrong = ordered[0] if ordered[0] < 0 else ordered[-1]
        raise ValueError(
            f"{name}: ids are positions in the training data. "
            f"Expected: 0 to {count - 1}. Received: {wrong}."
        )
    repeated = ordered[:-1][ordered[1:] == ordered[:-1]]
    if repeated.size:
        raise ValueError(
            f"{name}: expected every id once. Received {repeated[0]} more than once "
            f"({repeated.size} repetitions)."
        )
    if len(ordered) == count:
        raise ValueError(
            f"{name}: at least one example must stay. Expected: at most {count - 1} ids. "
            f"Received: all {count}."
        )
    return ordered
