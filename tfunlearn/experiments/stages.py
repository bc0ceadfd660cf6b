"""Models made in stages, each saved when it is finished, so that a killed run goes on."""

import os
import pathlib
import time
from collections.abc import Callable
from os import PathLike
from typing import Any

import keras
import numpy as np

from tfunlearn.experiments import stage_files
from tfunlearn.experiments.stage_files import Damaged, read_json, write_json
from tfunlearn.storage.atomic import file_sha256, naming
from tfunlearn.storage.folder import writable_folder
from tfunlearn.training import Diverged

__all__ = ["SEED_STEP", "Figures", "Stages", "read_json", "save_model", "write_json"]

Figures = dict[str, float | str]

SEED_STEP = 1_000_000  # from a run's seed to that of its second model; runs 0, 1, ... share none


class Stages:
    """A folder of finished stages.

    A stage is a model file and a text file with its settings, the seconds it took, the model
    file's sha256 and, where it has any, its figures; or the text file alone. A stage whose settings
    differ from those asked for is made again. So is one that is damaged, with a line that says so:
    whose text is no longer what was written, by its own sha256, or whose model is not the one that
    it vouches for, cannot be loaded, or is not finite.

    Attributes:
        folder: where the files are.
        seconds: name of each stage so far to the seconds it took, in this run or before.

    Args:
        folder: where the files go; made if it is not there.
        settings: what all stages depend on (data, seed, ...), as JSON values.
        say: called with one line when a stage starts, is found, or is damaged; None for silence.

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
        self._said: set[str] = set()

    def model(
        self, name: str, make: Callable[[], keras.Model], settings: dict[str, Any]
    ) -> keras.Model:
        """Returns the model of a stage: loaded if it is finished, made and saved otherwise.

        Args:
            name: the stage's name, also its files'.
            make: makes the model.
            settings: what this stage depends on besides the common settings, as JSON values.

        Raises:
            Diverged: if the model that was made is not finite; nothing is kept of it.
        """
        return self.measured(name, lambda: (make(), {}), settings)[0]

    def measured(
        self,
        name: str,
        make: Callable[[], tuple[keras.Model, Figures]],
        settings: dict[str, Any],
        figures: tuple[str, ...] = (),
    ) -> tuple[keras.Model, Figures]:
        """Returns the model of a stage and the figures that came up while it was made.

        Args:
            name: the stage's name, also its files'.
            make: makes the model; its figures (an average loss, say) are kept beside it.
            settings: what this stage depends on besides the common settings, as JSON values.
            figures: the names of those that it must have.

        Raises:
            Diverged: as ``model``.
        """
        found = self._loaded(name, settings, figures)
        if found is not None:
            self._say(f"{name}: finished before, loaded")
            model, done = found
            self.seconds[name] = done["seconds"]
            return model, done.get("figures", {})
        self._say(f"{name}: started")
        start = time.perf_counter()
        model, made = make()
        self.seconds[name] = round(time.perf_counter() - start, 3)
        _require_finite(name, model)
        path, note = self._path(name), self._note(name)
        for place in (note, path):
            self._make_room(place)
        note.unlink(missing_ok=True)
        save_model(model, path)
        kept = {"figures": made} if made else {}
        files = {path.name: file_sha256(path)}
        content = {"seconds": self.seconds[name], **kept, "files": files}
        self._write(name, {"settings": {**self._settings, **settings}, **content})
        self._say(f"{name}: done in {self.seconds[name]:.1f} s")
        return model, made

    def noted(
        self,
        name: str,
        make: Callable[[], dict[str, Any]],
        settings: dict[str, Any],
        check: Callable[[dict[str, Any]], object] = lambda content: None,
    ) -> dict[str, Any]:
        """Returns the content of a stage that is a text file alone, no model.

        Args:
            name: the stage's name, also its file's.
            make: makes the content, as JSON values; what it raises leaves no file.
            settings: what this stage depends on besides the common settings, as JSON values.
            check: as in ``content``.
        """
        found = self.content(name, settings, check)
        if found is not None:
            return found
        content = make()
        self._make_room(self._note(name))
        self._write(name, {"settings": {**self._settings, **settings}, "content": content})
        return content

    def content(
        self,
        name: str,
        settings: dict[str, Any],
        check: Callable[[dict[str, Any]], object] = lambda content: None,
    ) -> dict[str, Any] | None:
        """Returns the content of a finished stage that is a text file alone, or None.

        Args:
            name: the stage's name.
            settings: what this stage depends on besides the common settings, as JSON values.
            check: raises a ValueError unless the content is what is looked for.
        """
        try:
            done = self._done(name, settings)
            if done is None:
                return None
            content = done.get("content")
            if not isinstance(content, dict):
                raise Damaged(f"{name}.json holds nothing that was written for it")
            check(content)
        except ValueError as error:
            self._say_damaged(name, error)
            return None
        return content

    def has_model(self, name: str, settings: dict[str, Any]) -> bool:
        """Tells whether the model of a stage is finished, and its file the one that was written.

        Args:
            name: the stage's name.
            settings: what this stage depends on besides the common settings, as JSON values.
        """
        try:
            return self._vouched(name, settings) is not None
        except Damaged as error:
            self._say_damaged(name, error)
            return False

    def spoiled(self, name: str, settings: dict[str, Any]) -> bool:
        """Tells whether something lies in the place of a stage's model that is not its model.

        Args:
            name: the stage's name.
            settings: what this stage depends on besides the common settings, as JSON values.
        """
        return self._path(name).exists() and not self.has_model(name, settings)

    def _path(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.keras"

    def _note(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.json"

    def _loaded(
        self, name: str, settings: dict[str, Any], figures: tuple[str, ...]
    ) -> tuple[keras.Model, dict[str, Any]] | None:
        """Returns the model of a finished stage and its note, or None; says if it is damaged."""
        try:
            done = self._vouched(name, settings)
            if done is None:
                return None
            stage_files.check_figures(self._note(name), done, figures)
            return stage_files.load(self._path(name)), done
        except Damaged as error:
            self._say_damaged(name, error)
            return None

    def _vouched(self, name: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the note of a stage whose model file is what it vouches for, or None."""
        path = self._path(name)
        done = self._done(name, settings)
        if done is None:
            if path.exists() and not self._note(name).exists():
                raise Damaged(f"{name}.json is missing")
            return None
        stage_files.check_seconds(self._note(name), done)
        stage_files.check_sum(path, done)
        return done

    def _done(self, name: str, settings: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the note of a stage that was made under the settings asked for, or None."""
        done = stage_files.read_note(self._note(name))
        if done is None:
            return None
        wanted = stage_files.plain({**self._settings, **settings})
        return done if done.get("settings") == wanted else None

    def _write(self, name: str, content: dict[str, Any]) -> None:
        """Writes a stage's note; what was wrong with the stage is so no longer."""
        stage_files.write_note(self._note(name), content)
        self._said = {line for line in self._said if not line.startswith(f"{name}: ")}

    def _make_room(self, path: pathlib.Path) -> None:
        """Moves a folder away that lies where a file is to be."""
        if path.is_dir() and not path.is_symlink():
            aside = stage_files.aside(path)
            path.rename(aside)
            self._say(f"{path.name} is a folder, which no stage made: now {aside.name}")

    def _say_damaged(self, name: str, error: Exception) -> None:
        """Says what is wrong with a stage, once."""
        line = f"{name}: damaged ({error}); made again"
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def save_model(model: keras.Model, path: str | PathLike) -> None:
    """Saves a model under a temporary name, then renames it."""
    path = pathlib.Path(path)
    part = path.with_name(f".{os.getpid()}.part.{path.name}")
    try:
        with naming(path):
            model.save(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _require_finite(name: str, model: keras.Model) -> None:
    """Raises if a model that was just made is of no use to what comes after it."""
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise Diverged(
            f"{name}: training diverged, some of its weights are not finite. Expected: finite "
            "weights; lower the learning rate."
        )
