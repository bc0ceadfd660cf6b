"""Filling a bank on Ray, on one machine or a cluster; results come back to the driver."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from tfunlearn.audit.bank_entry import DIVERGED, Entries
from tfunlearn.audit.bank_job import Item, Made
from tfunlearn.audit.bank_make import told
from tfunlearn.pool import Event, Work
from tfunlearn.pool.on_ray import size, with_ray

__all__ = ["make_on_ray"]


def make_on_ray(
    entries: Entries,
    job: pathlib.Path,
    items: Sequence[Item],
    *,
    workers: int | None,
    threads: int,
    retries: int,
) -> Iterator[Event]:
    """Makes models with actors on Ray, writes them here, and yields what became of each.

    Args:
        entries: Where the models go.
        job: The folder that the job was written to.
        items: The models.
        workers: How many actors; by default as many as there are processors for.
        threads: CPU threads of an operation, and processors that an actor is given.
        retries: How often a model is tried again whose actor died.
    """
    work = Work("tfunlearn.audit.bank_worker:start_apart", job, {}, threads)
    workers = size(threads) if workers is None else workers
    return with_ray(work, items, workers=workers, retries=retries, exchange=_Exchange(entries))


class _Exchange:
    """Asks for models by their seeds, and writes what comes back."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self.claim = entries.claim

    def has(self, item: Item) -> bool:
        """Tells whether a model is there, and whole, or known to diverge."""
        return self._entries.fault(item) in (None, DIVERGED)

    def question(self, item: Item) -> tuple[dict[str, Any]]:
        """Returns what tells a model from the others."""
        return (dataclasses.asdict(item),)

    def take(self, item: Item, answer: dict[str, Any]) -> Event:
        """Writes a model."""
        made = Made(**answer)
        self._entries.write(item, made)
        return told(item, made)
