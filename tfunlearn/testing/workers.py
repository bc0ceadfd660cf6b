"""Other Python processes that answer one question after the other, so each starts only once."""

import atexit
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import keras

_MARK = "answer: "
_RUNNING: dict[tuple, tuple[subprocess.Popen, Any]] = {}


def ask(program: tuple[str, ...], question: Any) -> Any:
    """Returns another process's answer to a question; the process stays for the next one.

    Args:
        program: arguments of a Python interpreter that runs ``answer(function)``.
        question: anything that JSON can hold.

    Raises:
        RuntimeError: if the process failed; the message ends with what it wrote.

    Example:
        >>> from tfunlearn.testing.workers import ask
        >>> ask(("-c", "from tfunlearn.testing.workers import *; answer(sorted)"), [2, 1])
        [1, 2]
    """
    environment = {
        # without what pytest notes there for each test, which would start a process for each
        **{name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    key = (program, *sorted(environment.items()))
    if key not in _RUNNING:
        _RUNNING[key] = _start(program, environment)
    process, errors = _RUNNING[key]
    try:
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        lines = iter(process.stdout.readline, "")
        reply = next((line for line in lines if line.startswith(_MARK)), None)
    except OSError:
        reply = None
    if reply is None:
        del _RUNNING[key]
        errors.seek(0)
        raise RuntimeError(f"the process ended: {errors.read()[-1500:]}")
    found = json.loads(reply.removeprefix(_MARK))
    if "error" in found:
        raise RuntimeError(found["error"][-1500:])
    return found["answer"]


def answer(function: Callable[[Any], Any]) -> None:
    """Answers the questions that arrive, one JSON text a line, until there are no more.

    Args:
        function: gives the answer to a question.
    """
    for line in sys.stdin:
        try:
            found: Mapping[str, Any] = {"answer": function(json.loads(line))}
        except Exception:  # whatever it is, the one who asked is told
            found = {"error": traceback.format_exc()}
        print(f"{_MARK}{json.dumps(found)}", flush=True)


def _start(
    program: tuple[str, ...], environment: Mapping[str, str]
) -> tuple[subprocess.Popen, Any]:
    """Starts a process; returns it and the file that its errors go to."""
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed when the process ends
    process = subprocess.Popen(
        [sys.executable, "-P", *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=environment,
    )

    def end() -> None:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        errors.close()

    atexit.register(end)
    return process, errors
