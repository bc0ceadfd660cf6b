"""What a worker of a comparison does: it takes the tasks once, then makes row after row."""

import contextlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfunlearn.experiments import compare_job
from tfunlearn.experiments.compare_bench import ORIGINAL
from tfunlearn.experiments.compare_run import Run
from tfunlearn.pool import Event
from tfunlearn.storage.atomic import write_atomically
from tfunlearn.storage.scratch import temporary

Files = Mapping[str, np.ndarray]


def start(
    folder: pathlib.Path, options: dict[str, Any], stack: contextlib.ExitStack
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Returns the function that makes a row and writes it, on the driver's disk.

    Args:
        folder: what ``compare_job.write`` wrote.
        options: where the stages are, how many workers there are, and their threads.
        stack: is closed when the worker ends.
    """
    runs = _Runs(folder, pathlib.Path(options["stages"]), options)
    return lambda question: _words(runs.run(question["seed"]).make(question["label"]))


def start_apart(
    folder: pathlib.Path, options: dict[str, Any], stack: contextlib.ExitStack
) -> Callable[..., dict[str, Any]]:
    """Returns the function that makes a row and returns its files.

    Args:
        folder: what ``compare_job.write`` wrote, or a copy of it.
        options: as in ``start``, without the place of the stages.
        stack: is closed when the worker ends.
    """
    place = stack.enter_context(temporary())
    runs = _Runs(folder, place, options)

    def answer(question: dict[str, Any], files: Files, original: Files) -> dict[str, Any]:
        run, label = runs.run(question["seed"]), question["label"]
        if label != ORIGINAL:
            unpack(run, ORIGINAL, original)
        unpack(run, label, files)
        return {**_words(run.make(label)), "files": pack(run, label)}

    return answer


def pack(run: Run, label: str) -> dict[str, np.ndarray]:
    """Returns name to bytes of the files of a stage that are there.

    Args:
        run: the seed's run.
        label: the row's name.
    """
    paths = [path for path in run.files(label) if path.is_file()]
    return {path.name: np.frombuffer(path.read_bytes(), "u1") for path in paths}


def unpack(run: Run, label: str, files: Files) -> None:
    """Writes files of a stage, the model before the notes that vouch for it.

    Args:
        run: the seed's run.
        label: the row's name.
        files: what ``pack`` returned elsewhere; a file that is there already is left.
    """
    for path in run.files(label):
        if path.name in files and not path.is_file():
            write_atomically(path, files[path.name].tobytes())


class _Runs:
    """A run for each seed that is asked for, made at the first look."""

    def __init__(self, folder: pathlib.Path, place: pathlib.Path, options: dict[str, Any]) -> None:
        self._folder, self._place, self._options = folder, place, options
        self._attempts = compare_job.read_attempts(folder)
        self._known: dict[int, Run] = {}

    def run(self, seed: int) -> Run:
        """Returns the run of a seed.

        Raises:
            RuntimeError: if what its rows depend on is not what the driver has.
        """
        if seed not in self._known:
            scenario, wanted = compare_job.read_scenario(self._folder, seed)
            given = {name: self._options[name] for name in ("workers", "threads")}
            run = Run(scenario, self._place, 0, lambda line: None, self._attempts, **given)
            other = sorted(key for key in wanted if run.settings.get(key) != wanted[key])
            if other:
                raise RuntimeError(
                    "workers: they must have what the driver has. Expected: the same versions and "
                    f"files of the package. Received: other {', '.join(other)}."
                )
            self._known[seed] = run
        return self._known[seed]


def _words(event: Event) -> dict[str, Any]:
    """Returns what became of a row, without its name."""
    return {"kind": event.kind, "text": event.text}
