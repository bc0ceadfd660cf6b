"""Filling a bank with several processes on this machine; one that dies is replaced."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from tfunlearn.audit.bank_entry import Entries
from tfunlearn.audit.bank_job import Item
from tfunlearn.audit.bank_make import DIED, Event
from tfunlearn.audit.bank_worker import MARK

__all__ = ["make_with_processes"]

_PROGRAM = "import sys; from tfunlearn.audit.bank_worker import main; main(sys.argv[1])"


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

    Raises:
        RuntimeError: If a training failed, or a model's processes died too often.
    """
    settings = {"job": str(job), "folder": str(entries.folder), "key": entries.key}
    crew = _Crew(json.dumps({**settings, "threads": threads}), items, retries)
    try:
        yield from crew.work(workers)
    finally:
        crew.end()


class _Crew:
    """The processes at work, and what is still to be done."""

    def __init__(self, settings: str, items: Sequence[Item], retries: int) -> None:
        self._settings, self._retries = settings, retries
        self._todo = collections.deque(items)
        self._deaths: collections.Counter[Item] = collections.Counter()
        self._answers: queue.SimpleQueue = queue.SimpleQueue()
        self._alive: set[_Process] = set()
        self._busy: dict[_Process, Item] = {}

    def work(self, workers: int) -> Iterator[Event]:
        """Yields what became of each model, as it ends."""
        for _ in range(min(workers, len(self._todo))):
            self._next(None)
        while self._busy:
            process, answer = self._answers.get()
            item = self._busy.pop(process, None)
            if item is None:  # it was told to end
                continue
            if answer is None:
                self._alive.discard(process)
                event, process = self._died(process, item), None
            elif "error" in answer:
                raise RuntimeError(f"{item}: {answer['error']}")
            else:
                event = Event(answer["kind"], item, answer["text"])
            self._next(process)
            yield event

    def end(self) -> None:
        """Ends the processes that are left."""
        self._busy.clear()
        while self._alive:
            self._alive.pop().end()

    def _next(self, process: _Process | None) -> None:
        """Gives a process, or a new one, the next model; ends it if there is none."""
        if self._todo:
            if process is None:
                process = _Process(self._settings, self._answers)
                self._alive.add(process)
            item = self._busy[process] = self._todo.popleft()
            process.ask(item)
        elif process is not None:
            self._alive.discard(process)
            process.end()

    def _died(self, process: _Process, item: Item) -> Event:
        """Puts a model back in the line whose process died."""
        reason = process.reason()
        self._deaths[item] += 1
        if self._deaths[item] > self._retries:
            raise RuntimeError(
                f"{item}: its process died {self._deaths[item]} times. Expected: at most "
                f"{self._retries}. The last one {reason}."
            )
        self._todo.appendleft(item)
        return Event(DIED, item, reason)


class _Process:
    """A fresh Python process that makes one model after the other.

    Args:
        settings: What it is started with.
        answers: Where its answers go, as pairs of itself and the answer; None when it ended.
    """

    def __init__(self, settings: str, answers: queue.SimpleQueue) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed when the process ends
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=_environment(),
        )
        self._reader = threading.Thread(target=self._read, args=(answers,), daemon=True)
        self._reader.start()

    def ask(self, item: Item) -> None:
        """Tells it to make a model; that it has died is seen by the one who reads."""
        question = {"seed": item.seed, "include_forget": item.include_forget}
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()

    def end(self) -> None:
        """Ends it; what it was making is not kept."""
        self._process.kill()
        self._process.wait()
        self._close()

    def reason(self) -> str:
        """Returns how it ended, with the last that it wrote."""
        code = self._process.wait()
        self._errors.seek(0)
        last = " ".join(self._errors.read().decode(errors="replace").split())[-300:]
        self._close()
        how = f"was ended by {_signal(-code)}" if code < 0 else f"ended with status {code}"
        return how + (f": ... {last}" if last else "")

    def _read(self, answers: queue.SimpleQueue) -> None:
        """Passes on what it answers."""
        for line in self._process.stdout:
            if line.startswith(MARK):
                answers.put((self, json.loads(line.removeprefix(MARK))))
        answers.put((self, None))

    def _close(self) -> None:
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):  # a question that it did not live to read
                stream.close()


def _environment() -> dict[str, Any]:
    """Returns the variables of a process that is to import what this one can."""
    return {
        **os.environ,
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


def _signal(number: int) -> str:
    """Returns a signal's name, with the usual cause of a kill."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return name + (" (often: out of memory)" if name == "SIGKILL" else "")
