"""Models made in stages, each saved when it is finished, so that a killed run goes on."""

import json
import os
import pathlib
import time
from collections.abc import Callable
from os import PathLike
from typing import Any

import keras


class Stages:
    """A folder of finished stages.

    A stage is a model file and a text file with its settings and the seconds it took. A stage
    whose settings differ from those asked for is made again.

    Args:
        folder: where the files go; made if it is not there.
        settings: what all stages depend on (data, seed, ...), as JSON values.
        say: called with one line when a stage starts or is found; None for silence.

    Raises:
        OSError: if the folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: str | PathLike,
        settings: dict[str, Any],
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(f"out: cannot write to {str(self.folder)!r}.")
        self.seconds: dict[str, float] = {}
        self._settings, self._say = settings, say or (lambda line: None)

    def model(
        self, name: str, make: Callable[[], keras.Model], settings: dict[str, Any]
    ) -> keras.Model:
        """Returns the model of a stage: loaded if it is finished, made and saved otherwise.

        Args:
            name: the stage's name, also its files'.
            make: makes the model.
            settings: what this stage depends on besides the common settings, as JSON values.
        """
        path, note = self.folder / f"{name}.keras", self.folder / f"{name}.json"
        wanted = {**self._settings, **settings}
        done = read_json(note)
        if path.is_file() and done is not None and done.get("settings") == wanted:
            self._say(f"{name}: finished before, loaded")
            self.seconds[name] = done["seconds"]
            return keras.models.load_model(path)
        self._say(f"{name}: started")
        start = time.perf_counter()
        model = make()
        self.seconds[name] = round(time.perf_counter() - start, 3)
        note.unlink(missing_ok=True)
        save_model(model, path)
        write_json(note, {"settings": wanted, "seconds": self.seconds[name]})
        self._say(f"{name}: done in {self.seconds[name]:.1f} s")
        return model


def save_model(model: keras.Model, path: str | PathLike) -> None:
    """Saves a model under a temporary name, then renames it."""
    path = pathlib.Path(path)
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        model.save(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: str | PathLike, content: Any) -> None:
    """Writes JSON under a temporary name, then renames it."""
    path = pathlib.Path(path)
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_json(path: str | PathLike) -> Any:
    """Returns the content of a JSON file, or None if it is not there or damaged."""
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
