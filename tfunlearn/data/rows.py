"""Which rows of two arrays a stream's batches are: what a training needs to gather them itself."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tfunlearn.data.array_source import ArraySource

_KNOWN: weakref.WeakKeyDictionary[Any, Mapping[str, Rows]] = weakref.WeakKeyDictionary()
SINGLE = ""  # the name of the only part of a stream whose batches are no dicts


def epoch_order(size: int, needed: int, shuffle: bool, key: list[int]) -> np.ndarray:
    """Returns ``needed`` positions in ``range(size)``: pass after pass, each in its own order.

    Args:
        size: number of examples.
        needed: positions to return; past ``size`` the examples come round again.
        shuffle: permute each pass; otherwise ascending order.
        key: seed of the permutations, for instance ``[seed, epoch, lane]``.
    """
    numbers = np.random.default_rng(key)
    passes = -(-needed // size)
    rows = [numbers.permutation(size) if shuffle else np.arange(size) for _ in range(passes)]
    return np.concatenate(rows)[:needed]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of an array source that a stream passes over.

    Attributes:
        source: the arrays.
        ids: the examples, int64.
        batch_size: examples a batch.
        shuffle: another order at each pass.
        seed: seed of the orders.
        total: examples a pass; past ``len(ids)`` they come round again.
        lane: tells apart the orders of two roles with one seed.
        passes: counts the passes; shared with the stream, so that whoever reads next goes on.
    """

    source: ArraySource
    ids: np.ndarray
    batch_size: int
    shuffle: bool
    seed: int
    total: int
    lane: int
    passes: Iterator[int]

    def next_pass(self) -> np.ndarray:
        """Returns the ids of the next pass, in their order: int64 ``(total,)``."""
        key = [self.seed, next(self.passes), self.lane]
        return self.ids[epoch_order(len(self.ids), self.total, self.shuffle, key)]

    def next_batches(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the next pass as full batches, and as one smaller batch or none.

        Returns:
            Both int32 ``(batches, examples)``.
        """
        order = self.next_pass().astype("int32")
        full = len(order) // self.batch_size * self.batch_size
        last = order[full:]
        return order[:full].reshape(-1, self.batch_size), last[None][: len(last)]

    @property
    def steps(self) -> int:
        """Batches a pass, with the last one that may hold fewer."""
        return -(-self.total // self.batch_size)


def by_part(parts: Mapping[str, tuple[Any, ...]]) -> tuple[dict[str, Any], ...]:
    """Returns batches ``(x, y)`` or ``(x, y, weights)`` of some parts side by side.

    Args:
        parts: part to its batch.

    Returns:
        ``({part: x}, {part: y})``, and with the weights of those parts that have some a third dict.
    """
    return tuple(
        {name: batch[place] for name, batch in parts.items() if len(batch) > place}
        for place in range(max(map(len, parts.values())))
    )


def note_rows(stream: Any, rows: Mapping[str, Rows] | None) -> Any:
    """Keeps which rows a stream's batches are, and returns the stream.

    Args:
        stream: a ``tf.data.Dataset``.
        rows: part to its rows; ``{SINGLE: rows}`` for batches of no dicts; None if unknown.
    """
    if rows is not None:
        _KNOWN[stream] = rows
    return stream


def rows_of(stream: Any) -> Mapping[str, Rows] | None:
    """Returns which rows a stream's batches are, or None if that is not known.

    Args:
        stream: what ``data.batches`` or ``data.pairs`` returned, or anything else.
    """
    try:
        return _KNOWN.get(stream)
    except TypeError:  # nothing that a weak reference can be made of
        return None
