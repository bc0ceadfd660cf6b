"""The process that a pool's driver starts: it answers questions until the driver ends."""

from __future__ import annotations

import contextlib
import json
import pathlib
import queue
import traceback
from collections.abc import Callable
from typing import Any

from tfunlearn.pool.work import begin

__all__ = ["MARK", "main"]

MARK = "tfunlearn worker: "  # before each answer, as libraries may print too


def main(given: dict[str, Any], questions: queue.SimpleQueue) -> None:
    """Answers the questions that arrive; `tfunlearn.questions.listen` ends it with the driver.

    Args:
        given: What `Work` holds, as JSON values.
        questions: Where the questions arrive, each one as JSON text.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = pathlib.Path(given.pop("folder"))
            answer = begin(**given, folder=folder, stack=stack)
        except Exception as error:  # whatever it is, the driver is told
            _tell({"error": _words(error)})
            return
        while True:
            _tell(_answered(answer, json.loads(questions.get())))


def _answered(answer: Callable[[Any], dict[str, Any]], question: Any) -> dict[str, Any]:
    """Returns the answer to a question, or what was raised."""
    try:
        return answer(question)
    except Exception as error:  # whatever it is, the driver is told
        return {"error": _words(error)}


def _tell(content: dict[str, Any]) -> None:
    print(f"{MARK}{json.dumps(content)}", flush=True)


def _words(error: Exception) -> str:
    """Returns an error's text, with the traceback where the text alone says little."""
    if isinstance(error, RuntimeError | ValueError | OSError | ImportError):
        return str(error)
    return "".join(traceback.format_exception(error))[-1500:]
