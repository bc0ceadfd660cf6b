"""The line of pieces of work that wait, and going through it until nothing is left."""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from tfunlearn.pool.events import BUSY, DIED, LOST, MADE, THERE, Event

__all__ = ["Line", "here", "until_done"]

T = TypeVar("T", bound=Hashable)

_PATIENCE = 0.5  # seconds between looks at what a process of another driver is making


class Line(Generic[T]):
    """Pieces of work in the order in which they are handed out, each after what it needs.

    Args:
        items: The pieces, each one once.
        retries: How often a piece is tried again whose worker died.
        needs: Gives the pieces that must be made before a piece; those that are not in the line
            have been made.

    Example:
        >>> from tfunlearn.pool import MADE, Event, Line
        >>> line = Line(["roof", "house"], needs=lambda item: ["house"] if item == "roof" else [])
        >>> line.next(), line.next()
        ('house', None)
        >>> line.ended(Event(MADE, "house"))
        >>> line.next()
        'roof'
    """

    def __init__(
        self,
        items: Iterable[T],
        *,
        retries: int = 0,
        needs: Callable[[T], Iterable[T]] | None = None,
    ) -> None:
        self._todo = collections.deque(items)
        self._unmade = set(self._todo)
        self._retries, self._needs = retries, needs or (lambda item: ())
        self._deaths: collections.Counter[T] = collections.Counter()

    def __len__(self) -> int:
        return len(self._todo)

    def next(self) -> T | None:
        """Takes the first piece whose needs are made, or returns None if there is none now."""
        for item in self._todo:
            if not self._unmade.intersection(self._needs(item)):
                self._todo.remove(item)
                return item
        return None

    def ended(self, event: Event) -> None:
        """Notes what became of a piece: what needs it may follow if it is made.

        Args:
            event: What became of it.
        """
        if event.kind in (MADE, THERE):
            self._unmade.discard(event.item)

    def died(self, item: T, reason: str) -> Event:
        """Puts a piece back whose worker died, and tells so; or tells that it died too often.

        Args:
            item: The piece.
            reason: How the worker ended, in words.
        """
        self._deaths[item] += 1
        if self._deaths[item] <= self._retries:
            self._todo.appendleft(item)
            return Event(DIED, item, reason)
        return Event(
            LOST,
            item,
            f"died {self._deaths[item]} times. Expected: at most {self._retries}. "
            f"The last one {reason}",
        )


def here(
    make: Callable[[T], Event],
    items: Iterable[T],
    *,
    needs: Callable[[T], Iterable[T]] | None = None,
) -> Iterator[Event]:
    """Makes pieces in this process, one after the other, and yields what became of each.

    Args:
        make: Makes a piece.
        items: The pieces.
        needs: As in `Line`.
    """
    line = Line(items, needs=needs)
    while (item := line.next()) is not None:
        event = make(item)
        line.ended(event)
        yield event


def until_done(
    items: Sequence[T],
    make: Callable[[list[T]], Iterator[Event]],
    free: Callable[[T], bool],
    waits: Callable[[list[T]], None] = lambda left: None,
) -> Iterator[Event]:
    """Yields what became of pieces, until none is left that another driver's process makes.

    Args:
        items: The pieces.
        make: Makes pieces and yields events; pieces that are busy, and those that need them, are
            given to it again.
        free: Tells whether no other process is at a piece. Waits until one is free.
        waits: Called with the pieces that are left, when others are at all of them.
    """
    todo = list(items)
    while todo:
        left = set(todo)
        with contextlib.closing(make(todo)) as events:
            for event in events:
                if event.kind not in (BUSY, DIED):
                    left.discard(event.item)
                if event.kind != BUSY:
                    yield event
        todo = [item for item in todo if item in left]
        if todo and not any(free(item) for item in todo):
            waits(todo)
            while not any(free(item) for item in todo):
                time.sleep(_PATIENCE)
