"""Filling a bank with several processes on this machine; one that dies is replaced."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from tfunlearn.audit.bank_entry import Entries
from tfunlearn.audit.bank_job import Item
from tfunlearn.pool import Event, Work, with_processes

__all__ = ["make_with_processes"]


def make_with_processes(
    entries: Entries,
    job: pathlib.Path,
    items: Sequence[Item],
    *,
    workers: int,
    threads: int,
    retries: int,
) -> Iterator[Event]:
    """Makes models in fresh processes and yields what became of each, as it ends.

    Args:
        entries: Where the models go.
        job: The folder that the job was written to.
        items: The models.
        workers: How many processes.
        threads: CPU threads of an operation in each.
        retries: How often a model is tried again whose process died.
    """
    options = {"folder": str(entries.folder), "key": entries.key}
    work = Work("tfunlearn.audit.bank_worker:start", job, options, threads)
    return with_processes(
        work, items, workers=workers, retries=retries, question=dataclasses.asdict
    )
