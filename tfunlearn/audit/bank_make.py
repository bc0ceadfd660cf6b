"""Making models of a bank one after the other, wherever that is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tfunlearn.audit.bank_entry import Entries
from tfunlearn.audit.bank_job import Item
from tfunlearn.audit.bank_training import Trainer

__all__ = ["BUSY", "DIED", "MADE", "THERE", "Event", "make", "make_here"]

MADE, THERE, BUSY, DIED = "made", "there", "busy", "died"


class Event(NamedTuple):
    """What became of a model that was to be made.

    Attributes:
        kind: "made", "there" (another process had made it), "busy" (another process is at it), or
            "died" (the process that was at it ended; it is tried again).
        item: Which model.
        text: Seconds, or how the process ended.
    """

    kind: str
    item: Item
    text: str = ""

    def __str__(self) -> str:
        return f"{self.item}: {self.kind} {self.text}".strip()


def make(trainer: Trainer, entries: Entries, item: Item) -> Event:
    """Makes a model and writes it, unless it is there or another process is at it.

    Args:
        trainer: Trains it.
        entries: Where it goes.
        item: Which one.

    Raises:
        RuntimeError: If its training changed nothing or diverged.
    """
    with entries.claim(item) as mine:
        if not mine:
            return Event(BUSY, item)
        if entries.fault(item) is None:
            return Event(THERE, item)
        made = trainer.make(item)
        entries.write(item, made)
    return Event(MADE, item, f"in {made.seconds:.1f} s")


def make_here(trainer: Trainer, entries: Entries, items: Iterable[Item]) -> Iterator[Event]:
    """Makes models in this process, one after the other.

    Raises:
        RuntimeError: If a training fails; the message names the seed.
    """
    for item in items:
        try:
            event = make(trainer, entries, item)
        except (RuntimeError, ValueError) as error:
            raise RuntimeError(f"{item}: {error}") from error
        yield event
