"""Batches of one size, and groups of them, so that one compiled loop takes them all."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

_FLUSH = 16  # steps that are summed in the model's type before they are added up in float64
_INPUTS = 2**22  # bytes of inputs that go into one such sum


def filled(batches: Any, chunk: int | None) -> Iterator[tuple[Any, Any, np.ndarray]]:
    """Yields ``(x, y, counts)`` of one size; counts are 0 for examples that only fill up.

    Args:
        batches: what ``gradient_sum`` takes.
        chunk: the most examples of a batch, or None for those that it has.
    """
    size = 0
    for x, y, *weights in _read(batches):
        if weights:
            raise ValueError(
                "batches: gradients are summed over examples that count alike. Expected: batches "
                "(x, y), as of split.unweighted(). Received: sample weights as a third part."
            )
        size = max(size, len(x) if chunk is None else min(chunk, len(x)))
        for start in range(0, len(x), size):
            rows = np.arange(start, start + size)
            counts = (rows < len(x)).astype("float32")
            if start + size <= len(x):  # a view: nothing is copied
                rows = slice(start, start + size)
            else:
                rows = np.minimum(rows, len(x) - 1)
            yield x[rows], y[rows], counts


def grouped(batches: Iterable[tuple]) -> Iterator[tuple[Any, Any, np.ndarray, int]]:
    """Yields some batches at a time, stacked, and how many they are; the rest is filled with 0.

    Args:
        batches: what ``filled`` yields.
    """
    group: list[tuple] = []
    for batch in batches:
        if group and [part.shape for part in batch] != [part.shape for part in group[0]]:
            yield _stacked(group)
            group = []
        group.append(batch)
        if len(group) == _room(batch[0]):
            yield _stacked(group)
            group = []
    if group:
        yield _stacked(group)


def _stacked(group: list[tuple]) -> tuple[Any, Any, np.ndarray, int]:
    """Returns the batches of a group, stacked and filled up to the room that there is."""
    room = _room(group[0][0])
    if room == 1:  # views: nothing is copied
        return (*(part[None] for part in group[0]), 1)
    parts = []
    for rows in zip(*group, strict=True):
        part = np.zeros((room, *rows[0].shape), rows[0].dtype)
        np.stack(rows, out=part[: len(rows)])
        parts.append(part)
    return (*parts, len(group))


def _room(x: np.ndarray) -> int:
    """Returns how many batches of such inputs go into one group."""
    return max(1, min(_FLUSH, _INPUTS // max(1, x.nbytes)))


def _read(batches: Any) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Returns the batches of a dataset, or of any iterable, as arrays."""
    if hasattr(batches, "as_numpy_iterator"):
        return batches.as_numpy_iterator()
    if isinstance(batches, keras.utils.PyDataset):
        batches.on_epoch_begin()
        return (batches[index] for index in range(len(batches)))
    return (tuple(map(np.asarray, batch)) for batch in batches)
