"""Models made in stages, each saved when it is finished, so that a killed run goes on."""

import json
import os
import pathlib
import time
from collections.abc import Callable
from os import PathLike
from typing import Any

import keras

from tfunlearn.storage.atomic import write_atomically
from tfunlearn.storage.folder import writable_folder

Figures = dict[str, float | str]

SEED_STEP = 1_000_000  # from a run's seed to that of its second model; runs 0, 1, ... share none


class Stages:
    """A folder of finished stages.

    A stage is a model file and a text file with its settings, the seconds it took and, where it
    has any, its figures; or the text file alone. A stage whose settings differ from those asked
    for is made again.

    Attributes:
        folder: where the files are.
        seconds: name of each stage so far to the seconds it took, in this run or before.

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
        self.folder = writable_folder(folder)
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
        return self.measured(name, lambda: (make(), {}), settings)[0]

    def measured(
        self, name: str, make: Callable[[], tuple[keras.Model, Figures]], settings: dict[str, Any]
    ) -> tuple[keras.Model, Figures]:
        """Returns the model of a stage and the figures that came up while it was made.

        Args:
            name: the stage's name, also its files'.
            make: makes the model; its figures (an average loss, say) are kept beside it.
            settings: what this stage depends on besides the common settings, as JSON values.
        """
        path, note = self.folder / f"{name}.keras", self.folder / f"{name}.json"
        done = self._done(name, settings)
        if path.is_file() and done is not None:
            self._say(f"{name}: finished before, loaded")
            self.seconds[name] = done["seconds"]
            return keras.models.load_model(path), done.get("figures", {})
        self._say(f"{name}: started")
        start = time.perf_counter()
        model, figures = make()
        self.seconds[name] = round(time.perf_counter() - start, 3)
        note.unlink(missing_ok=True)
        save_model(model, path)
        kept = {"figures": figures} if figures else {}
        wanted = {**self._settings, **settings}
        write_json(note, {"settings": wanted, "seconds": self.seconds[name], **kept})
        self._say(f"{name}: done in {self.seconds[name]:.1f} s")
        return model, figures

    def noted(
        self, name: str, make: Callable[[], dict[str, Any]], settings: dict[str, Any]
    ) -> dict[str, Any]:
        """Returns the content of a stage that is a text file alone, no model.

        Args:
            name: the stage's name, also its file's.
            make: makes the content, as JSON values; what it raises leaves no file.
            settings: what this stage depends on besides the common settings, as JSON values.
        """
        found = self.content(name, settings)
        if found is not None:
            return found
        content = make()
        wanted = {**self._settings, **settings}
        write_json(self.folder / f"{name}.json", {"settings": wanted, "content": content})
        return content

    def content(self, name: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the content of a finished stage that is a text file alone, or None.

        Args:
            name: the stage's name.
            settings: what this stage depends on besides the common settings, as JSON values.
        """
        done = self._done(name, settings)
        return None if done is None else done.get("content")

    def has_model(self, name: str, settings: dict[str, Any]) -> bool:
        """Tells whether the model of a stage is finished.

        Args:
            name: the stage's name.
            settings: what this stage depends on besides the common settings, as JSON values.
        """
        path = self.folder / f"{name}.keras"
        return path.is_file() and self._done(name, settings) is not None

    def _done(self, name: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the note of a stage that was made under the settings asked for, or None."""
        done, wanted = read_json(self.folder / f"{name}.json"), {**self._settings, **settings}
        return done if done is not None and done.get("settings") == wanted else None


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
    """Writes JSON under a temporary name, then renames it; NaN is a ValueError."""
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | PathLike) -> Any:
    """Returns the content of a JSON file, or None if it is not there or damaged."""
    try:
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
