"""Workers that are processes on this machine; one that dies is replaced."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import keras

from tfunlearn.pool.events import ERROR, LOST, Event
from tfunlearn.pool.line import Line
from tfunlearn.pool.work import Work, cores
from tfunlearn.pool.worker import MARK

__all__ = ["with_processes"]

T = TypeVar("T")

# What the driver finds in the current folder as its Python is interactive, a worker finds after all
# else: a file named like a module of a library is not taken for it.
_PROGRAM = """
from tfunlearn.questions import listen
questions = listen()
import json, sys
given = json.loads(sys.argv[1])
sys.path.extend(given.pop("paths"))
from tfunlearn.lean import import_keras
import_keras()
from tfunlearn.pool.worker import main
main(given, questions)
"""


def with_processes(
    work: Work,
    items: Sequence[T],
    *,
    workers: int,
    retries: int,
    question: Callable[[T], Any],
    needs: Callable[[T], Iterable[T]] | None = None,
) -> Iterator[Event]:
    """Makes pieces of work in fresh processes and yields what became of each, as it ends.

    Args:
        work: What the processes are started with; answers are mappings with an event's "kind" and
            "text".
        items: The pieces, hashable.
        workers: How many processes.
        retries: How often a piece is tried again whose process died.
        question: Gives the JSON value that a process is asked for a piece.
        needs: Gives the pieces that must be made before a piece.

    Yields:
        Events; after one of kind "lost" or "error" nothing new is begun until the next is asked
        for. Processes that are left when the caller stops asking are ended.
    """
    crew = _Crew(work, Line(items, retries=retries, needs=needs), question)
    try:
        yield from crew.work(workers)
    finally:
        crew.end()


class _Crew:
    """The processes at work, those that wait, and what is still to be done."""

    def __init__(self, work: Work, line: Line, question: Callable[[Any], Any]) -> None:
        self._work, self._line, self._question = work, line, question
        self._answers: queue.SimpleQueue = queue.SimpleQueue()
        self._at_once = 1
        self._idle: list[_Process] = []
        self._busy: dict[_Process, Any] = {}

    def work(self, workers: int) -> Iterator[Event]:
        """Yields what became of each piece, as it ends."""
        self._at_once = max(1, cores() // workers)
        self._hand_out(workers)
        while self._busy:
            process, answer = self._answers.get()
            if process in self._idle:  # it ended while it waited
                self._idle.remove(process)
                process.end()
            if process not in self._busy:
                continue
            event = self._ended(process, self._busy.pop(process), answer)
            self._line.ended(event)
            if event.kind not in (LOST, ERROR):
                self._hand_out(workers)
            yield event
            self._hand_out(workers)

    def end(self) -> None:
        """Ends the processes that are left."""
        left = [*self._busy, *self._idle]
        self._busy.clear()
        self._idle.clear()
        for process in left:
            process.end()

    def _hand_out(self, workers: int) -> None:
        """Gives idle processes, or new ones, what can be made now; ends those that none needs."""
        while len(self._busy) < workers:
            item = self._line.next()
            if item is None:
                break
            process = self._idle.pop() if self._idle else self._started()
            self._busy[process] = item
            process.ask(self._question(item))
        if not len(self._line):
            while self._idle:
                self._idle.pop().end()

    def _started(self) -> _Process:
        return _Process(self._work, self._at_once, self._answers)

    def _ended(self, process: _Process, item: Any, answer: Any) -> Event:
        """Returns what became of a piece, and keeps the process for the next one if it lives."""
        if answer is None:
            return self._line.died(item, process.reason())
        self._idle.append(process)
        if "error" in answer:
            return Event(ERROR, item, answer["error"])
        return Event(answer["kind"], item, answer["text"])


class _Process:
    """A fresh Python process that makes one piece after the other.

    Args:
        work: What it is started with.
        at_once: Operations that it runs at a time.
        answers: Where its answers go, as pairs of itself and the answer; None when it ended.
    """

    def __init__(self, work: Work, at_once: int, answers: queue.SimpleQueue) -> None:
        given = {"start": work.start, "folder": str(work.folder), "options": work.options}
        given |= {"threads": work.threads, "at_once": at_once}
        given |= {"paths": [os.getcwd()] if "" in sys.path else []}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed when the process ends
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            errors="replace",  # libraries may print anything
            env=_environment(),
        )
        self._reader = threading.Thread(target=self._read, args=(answers,), daemon=True)
        self._reader.start()

    def ask(self, question: Any) -> None:
        """Asks for a piece; that the process has died is seen by the one who reads."""
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
        """Passes on what it answers; an answer that breaks off is none, as the process has died."""
        for line in self._process.stdout:
            _, marked, answer = line.partition(MARK)  # a library may have printed half a line
            if marked and answer.endswith("\n"):
                answers.put((self, json.loads(answer)))
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
