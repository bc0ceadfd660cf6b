"""Making models of a bank one after the other, wherever that is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tfunlearn.audit.bank_entry import DIVERGED, Entries
from tfunlearn.audit.bank_job import Item, Made
from tfunlearn.audit.bank_training import Trainer
from tfunlearn.pool import BUSY, MADE, THERE, Event

__all__ = ["make", "make_here", "told"]


def make(trainer: Trainer, entries: Entries, item: Item) -> Event:
    """Makes a model and writes it, unless it is there or another process is at it.

    Args:
        trainer: Trains it.
        entries: Where it goes.
        item: Which one.

    Returns:
        What became of it: "diverged", with how, where its training did, now or before.

    Raises:
        RuntimeError: If its training changed nothing.
        Refused: If files of somebody else are where it goes.
    """
    with entries.claim(item) as mine:
        if not mine:
            return Event(BUSY, item)
        fault = entries.fault(item)
        if fault is None:
            return Event(THERE, item)
        if fault == DIVERGED:
            return Event(DIVERGED, item, f"before: {entries.note(item)[DIVERGED]}")
        entries.require_ours(item)
        made = trainer.make(item)
        entries.write(item, made)
    return told(item, made)


def told(item: Item, made: Made) -> Event:
    """Returns what became of a model that has just been written.

    Args:
        item: Which one.
        made: What is kept of it.
    """
    if made.diverged is not None:
        return Event(DIVERGED, item, f"after {made.seconds:.1f} s: {made.diverged}")
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
