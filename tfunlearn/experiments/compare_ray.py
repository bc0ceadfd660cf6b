"""The rows of a comparison made on Ray: files come back to the driver, which writes them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from tfunlearn.experiments.compare_bench import ORIGINAL
from tfunlearn.experiments.compare_run import Run, Stage
from tfunlearn.experiments.compare_worker import pack
from tfunlearn.pool import Event
from tfunlearn.pool.on_ray import import_ray
from tfunlearn.storage.atomic import write_atomically


class StageExchange:
    """Asks for rows, and writes the files that come back.

    An original goes into Ray's object store once, and to workers as a reference.

    Args:
        runs: seed to its run.
    """

    def __init__(self, runs: Mapping[int, Run]) -> None:
        self._runs = runs
        self._originals: dict[int, Any] = {}

    def claim(self, stage: Stage) -> AbstractContextManager[bool]:
        """Claims the making of a row for the time of a block."""
        return self._runs[stage.seed].claim(stage.label)

    def has(self, stage: Stage) -> bool:
        """Tells whether a row is there."""
        return self._runs[stage.seed].has(stage.label)

    def question(self, stage: Stage) -> tuple[dict[str, Any], Any, Any]:
        """Returns seed and label, the files of the stage that are there, and the original's."""
        run = self._runs[stage.seed]
        asked = {"seed": stage.seed, "label": stage.label}
        return asked, pack(run, stage.label), self._original(stage)

    def take(self, stage: Stage, answer: Mapping[str, Any]) -> Event:
        """Writes a row's files, the model before the notes that vouch for it."""
        paths = self._runs[stage.seed].files(stage.label)
        made = {path: answer["files"][path.name] for path in paths if path.name in answer["files"]}
        for path in made:
            if path.suffix == ".json":
                path.unlink(missing_ok=True)
        for path, content in made.items():
            write_atomically(path, content.tobytes())
        return Event(answer["kind"], stage, answer["text"])

    def _original(self, stage: Stage) -> Any:
        """Returns a reference to the original's files; for the original itself, no files."""
        if stage.label == ORIGINAL:
            return {}
        if stage.seed not in self._originals:
            files = pack(self._runs[stage.seed], ORIGINAL)
            self._originals[stage.seed] = import_ray().put(files)
        return self._originals[stage.seed]
