"""The process that a bank's driver starts: it makes the models whose seeds it is told."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import queue
import signal
import sys
import threading
import traceback
from typing import Any

import keras

from tfunlearn.audit import bank_spool
from tfunlearn.audit.bank_entry import Entries
from tfunlearn.audit.bank_job import Item
from tfunlearn.audit.bank_make import make
from tfunlearn.audit.bank_training import Trainer

__all__ = ["MARK", "limit_threads", "main"]

MARK = "tfunlearn bank: "  # before each answer, as libraries may print too


def main(text: str) -> None:
    """Answers the questions that arrive, one JSON text a line; ends when the driver does.

    Args:
        text: JSON of where the job and the models are, and of the threads to compute with.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which ends this
    settings, questions = json.loads(text), queue.SimpleQueue()
    threading.Thread(target=_listen, args=(questions,), daemon=True).start()
    with contextlib.ExitStack() as stack:
        try:
            trainer, entries = _start(settings, stack)
        except Exception as error:  # whatever it is, the driver is told
            _answer({"error": _words(error)})
            return
        while True:
            _answer(_made(trainer, entries, questions.get()))


def limit_threads(threads: int) -> None:
    """Fixes the number of CPU threads of an operation, before the first one is run.

    Args:
        threads: How many.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        for device in tf.config.list_physical_devices("GPU"):  # other processes want some of it
            tf.config.experimental.set_memory_growth(device, True)


def _start(settings: dict[str, Any], stack: contextlib.ExitStack) -> tuple[Trainer, Entries]:
    """Returns the trainer and the place of the models."""
    limit_threads(settings["threads"])
    job = bank_spool.read(pathlib.Path(settings["job"]), stack)
    entries = Entries(
        pathlib.Path(settings["folder"]), settings["key"], job.roles, job.keep_weights
    )
    return Trainer(job), entries


def _made(trainer: Trainer, entries: Entries, question: dict[str, Any]) -> dict[str, Any]:
    """Makes a model and returns what became of it."""
    try:
        event = make(trainer, entries, Item(**question))
    except Exception as error:  # whatever it is, the driver is told
        return {"error": _words(error)}
    return {"kind": event.kind, "text": event.text}


def _listen(questions: queue.SimpleQueue) -> None:
    """Takes questions; when the driver closes the line, or dies, this process ends at once."""
    for line in sys.stdin:
        questions.put(json.loads(line))
    os._exit(0)


def _answer(content: dict[str, Any]) -> None:
    print(f"{MARK}{json.dumps(content)}", flush=True)


def _words(error: Exception) -> str:
    """Returns an error's text, with the traceback where the text alone says little."""
    if isinstance(error, RuntimeError | ValueError | OSError | ImportError):
        return str(error)
    return "".join(traceback.format_exception(error))[-1500:]
