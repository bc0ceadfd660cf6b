"""The process that a pool's driver starts: it answers questions until the driver ends."""

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
from collections.abc import Callable
from typing import Any

from tfunlearn.pool.work import begin

__all__ = ["MARK", "main"]

MARK = "tfunlearn worker: "  # before each answer, as libraries may print too


def main(text: str) -> None:
    """Answers the questions that arrive, one JSON text a line; ends when the driver does.

    Args:
        text: JSON of what `Work` holds.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which ends this
    given, questions = json.loads(text), queue.SimpleQueue()
    threading.Thread(target=_listen, args=(questions,), daemon=True).start()
    with contextlib.ExitStack() as stack:
        try:
            folder = pathlib.Path(given.pop("folder"))
            answer = begin(**given, folder=folder, stack=stack)
        except Exception as error:  # whatever it is, the driver is told
            _tell({"error": _words(error)})
            return
        while True:
            _tell(_answered(answer, questions.get()))


def _answered(answer: Callable[[Any], dict[str, Any]], question: Any) -> dict[str, Any]:
    """Returns the answer to a question, or what was raised."""
    try:
        return answer(question)
    except Exception as error:  # whatever it is, the driver is told
        return {"error": _words(error)}


def _listen(questions: queue.SimpleQueue) -> None:
    """Takes questions; when the driver closes the line, or dies, this process ends at once."""
    for line in sys.stdin:
        questions.put(json.loads(line))
    os._exit(0)


def _tell(content: dict[str, Any]) -> None:
    print(f"{MARK}{json.dumps(content)}", flush=True)


def _words(error: Exception) -> str:
    """Returns an error's text, with the traceback where the text alone says little."""
    if isinstance(error, RuntimeError | ValueError | OSError | ImportError):
        return str(error)
    return "".join(traceback.format_exception(error))[-1500:]
