"""What a worker of a bank does: it takes the job once, then trains one model after the other."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable
from typing import Any

from tfunlearn.audit import bank_spool
from tfunlearn.audit.bank_entry import Entries
from tfunlearn.audit.bank_job import Item
from tfunlearn.audit.bank_make import make
from tfunlearn.audit.bank_training import Trainer

__all__ = ["start", "start_apart"]


def start(
    folder: pathlib.Path, options: dict[str, Any], stack: contextlib.ExitStack
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Returns the function that makes a model and writes it, on the driver's disk.

    Args:
        folder: The folder that the job was written to.
        options: Where the models go, and under which key.
        stack: Is closed when the worker ends.
    """
    job = bank_spool.read(folder, stack)
    place = pathlib.Path(options["folder"])
    entries = Entries(place, options["key"], job.roles, job.keep_weights)
    trainer = Trainer(job)

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        event = make(trainer, entries, Item(**question))
        return {"kind": event.kind, "text": event.text}

    return answer


def start_apart(
    folder: pathlib.Path, options: dict[str, Any], stack: contextlib.ExitStack
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Returns the function that makes a model and returns what is kept of it.

    Args:
        folder: The folder that the job was written to, or a copy of it.
        options: None.
        stack: Is closed when the worker ends.
    """
    trainer = Trainer(bank_spool.read(folder, stack))
    return lambda question: vars(trainer.make(Item(**question)))
