"""Making models of a bank one after the other, wherever that is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tfunlearn.audit.bank_entry import Entries
from tfunlearn.audit.bank_job import Item
from tfunlearn.audit.bank_training import Trainer
from tfunlearn.pool import BUSY, MADE, THERE, Event

__all__ = ["make", "make_here"]


def make(trainer: Trainer, entries: Entries, item: Item) -> Event:
    """Makes a model and writes it, unless it is there or another process is at it.

    Args:
        trainer: Trains it.
        entries: Where it goes.
        item: Which one.

    Raises:
        RuntimeError: If its training changed nothing or diverged.
        Refused: If files of somebody else are where it goes.
    """
    with entries.claim(item) as mine:
        if not mine:
            return Event(BUSY, item)
        if entries.fault(item) is None:
            return Event(THERE, item)
        entries.require_ours(item)
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
