"""Batches of a split for ``model.fit`` on any backend, and paired forget and retain batches."""

from typing import Any, Literal

import keras
import numpy as np

from tfunlearn.data.blocks import as_written
from tfunlearn.data.passes import AHEAD
from tfunlearn.data.rows import SINGLE, by_part, epoch_order, note_rows, rows_of
from tfunlearn.data.split import ForgetSplit

_LANES = {"forget": 1, "retain": 0}  # the part of the seed that keeps the two orders apart


def batches(
    split: ForgetSplit,
    role: str,
    *,
    batch_size: int = 128,
    shuffle: bool = False,
    seed: int = 0,
    named: bool | str = False,
) -> Any:
    """Returns a role as something ``model.fit``, ``evaluate`` and ``predict`` take.

    On the TensorFlow backend that is ``split.dataset(...)``; elsewhere a ``keras.utils.PyDataset``
    that gives the same batches in the same order, without TensorFlow. Call ``fit`` with
    ``shuffle=False``: Keras otherwise permutes the batches of a ``PyDataset`` once more, by a
    random state that ``seed`` does not reach.

    Args:
        split: the data.
        role: which part of it.
        batch_size: examples a batch.
        shuffle: another order at each epoch.
        seed: seed of the orders.
        named: give ``({role: x}, {role: y})``, as ``pairs`` does for two roles; a text to give them
            under the name of another role.

    Returns:
        Batches ``(x, y)``, or ``(x, y, weights)`` where the split's training examples have weights
        (see ``split.weighted``).

    Raises:
        ValueError: as ``split.dataset``.
    """
    name = named if isinstance(named, str) else role
    if split.source(role).is_stream or keras.backend.backend() == "tensorflow":
        stream = split.dataset(role, batch_size=batch_size, shuffle=shuffle, seed=seed)
        if not named:
            return stream
        rows = rows_of(stream)
        named_rows = None if rows is None else {name: rows[SINGLE]}
        return note_rows(stream.map(as_written(lambda *batch: by_part({name: batch}))), named_rows)
    split.check(role, batch_size, seed)
    rows = ArrayBatches(split, role, batch_size, shuffle, seed)
    return NamedBatches({name: rows}) if named else rows


def batches_to_read(split: ForgetSplit, role: str, batch_size: int) -> Any:
    """Returns a role in the order of its ids, without weights, for code that reads it by batches.

    Arrays are gathered as they are asked for: a pipeline takes longer to make than to read, and its
    threads compete with what is done with the batches.

    Args:
        split: the data.
        role: which part of it.
        batch_size: examples a batch.

    Raises:
        ValueError: as ``split.dataset``.
    """
    split = split.unweighted()
    if split.source(role).is_stream:
        return split.dataset(role, batch_size=batch_size)
    split.check(role, batch_size, 0)
    return ArrayBatches(split, role, batch_size, False, 0)


def pairs(
    split: ForgetSplit,
    batch_size: int = 128,
    anchor: Literal["forget", "retain"] = "retain",
    *,
    seed: int = 0,
) -> Any:
    """Returns shuffled batches that hold a forget part and a retain part side by side.

    Each element is ``(x, y)``, both dicts ``{"forget": ..., "retain": ...}``, with weights of the
    roles that have some as a third. An epoch is one pass over the anchor role; the other role comes
    round again as often as that takes. The orders of the two roles are drawn independently.

    Args:
        split: the data.
        batch_size: examples of each role in a batch.
        anchor: the role that an epoch passes over once.
        seed: seed of the orders.

    Raises:
        ValueError: if the anchor is another role, and as ``split.dataset``.
    """
    if anchor not in ("forget", "retain"):
        raise ValueError(f"anchor: expected 'forget' or 'retain'. Received: {anchor!r}.")
    for role in ("forget", "retain"):
        split.check(role, batch_size, seed)
    other = "forget" if anchor == "retain" else "retain"
    needed = {anchor: split.size(anchor), other: split.size(anchor)}
    if not split.is_stream and keras.backend.backend() != "tensorflow":
        return NamedBatches(
            {
                role: ArrayBatches(split, role, batch_size, True, seed, needed[role], lane)
                for role, lane in _LANES.items()
            }
        )
    import tensorflow as tf

    streams = {
        role: split.source(role).dataset(
            split.ids[role], batch_size, True, seed, None if role == anchor else needed[role], lane
        )
        for role, lane in _LANES.items()
    }

    rows = {role: rows_of(stream) for role, stream in streams.items()}
    known = None if None in rows.values() else {role: own[SINGLE] for role, own in rows.items()}
    both = tf.data.Dataset.zip(streams).map(as_written(by_part)).prefetch(AHEAD)
    return note_rows(both, known)


class ArrayBatches(keras.utils.PyDataset):
    """Batches of one role of an array split, gathered when they are asked for.

    ``on_epoch_begin``, which Keras calls, starts a pass; each pass has the next order.

    Args:
        split: the data, in arrays.
        role: which part of it.
        batch_size: examples a batch.
        shuffle: another order at each epoch.
        seed: seed of the orders.
        needed: examples an epoch, where the role is to come round again; by default all once.
        lane: tells apart the orders of two roles with one seed.
    """

    def __init__(
        self,
        split: ForgetSplit,
        role: str,
        batch_size: int,
        shuffle: bool,
        seed: int,
        needed: int | None = None,
        lane: int = 0,
    ) -> None:
        super().__init__()
        self._arrays, self._ids = split.source(role).arrays, split.ids[role]
        self._batch_size, self._shuffle = batch_size, shuffle
        self._seed, self._lane = seed, lane
        self._needed = len(self._ids) if needed is None else needed
        self._epoch, self._begun, self._read = 0, False, False
        self._draw()

    def __len__(self) -> int:
        return -(-self._needed // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        self._read |= index == len(self) - 1
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return tuple(array[rows] for array in self._arrays)

    def on_epoch_begin(self) -> None:
        """Draws the next order, once the last one has been read to its end.

        Keras looks at a few batches before the first epoch and also calls ``on_epoch_end`` then;
        that look is not to use up the first order.
        """
        if self._begun and self._read:
            self._epoch += 1
            self._draw()
        self._begun, self._read = True, False

    def _draw(self) -> None:
        """Sets the order of the present epoch."""
        key = [self._seed, self._epoch, self._lane]
        self._order = self._ids[epoch_order(len(self._ids), self._needed, self._shuffle, key)]


class NamedBatches(keras.utils.PyDataset):
    """Batches of one or more roles side by side, from ``ArrayBatches``.

    Args:
        parts: role to its batches; all of the same length.
    """

    def __init__(self, parts: dict[str, ArrayBatches]) -> None:
        super().__init__()
        self._parts = parts

    def __len__(self) -> int:
        return min(len(part) for part in self._parts.values())

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], ...]:
        return by_part({role: part[index] for role, part in self._parts.items()})

    def on_epoch_begin(self) -> None:
        """Draws the next orders."""
        for part in self._parts.values():
            part.on_epoch_begin()
