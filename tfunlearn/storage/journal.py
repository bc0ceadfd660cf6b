"""Putting a new set of files in the place of an old one, so that a crash loses neither."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import time
from dataclasses import dataclass
from typing import Any

from tfunlearn.storage.atomic import sync, sync_folder, write_atomically
from tfunlearn.storage.lock import claimed
from tfunlearn.storage.manifest import PRIVATE, Manifest, look, plain_name, read_json
from tfunlearn.storage.refused import Refused

__all__ = ["COMMIT", "LOCK", "STAGE", "commit", "recover", "settle"]

COMMIT, LOCK, STAGE = "commit.json", "lock", "stage-"
_SCHEMA = "tfunlearn.commit"
_STAGE = re.compile(STAGE + "[0-9a-f]{16}")
_TEMPORARY = re.compile(r"\.[a-z.]+\.json\.\d+\.tmp")
_PATIENCE = 0.05  # seconds between looks at a commit that another process is at


@dataclass(frozen=True)
class _Commit:
    """What is to be done: the record that says so is the moment at which the new set counts.

    Attributes:
        stage: Name of the folder that the new files wait in.
        old: Name to look of each file that goes, or is in the place of a new one.
        new: The set as it is to be.
    """

    stage: str
    old: dict[str, str]
    new: Manifest

    @classmethod
    def of(cls, folder: pathlib.Path) -> _Commit | None:
        """Returns that of a folder, or None if nothing is to be done."""
        content = read_json(folder / PRIVATE / COMMIT)
        if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
            return None
        stage, old, new = (content.get(key) for key in ("stage", "old", "new"))
        manifest = Manifest.from_json(new)
        if manifest is None or not isinstance(stage, str) or not _STAGE.fullmatch(stage):
            return None
        if not isinstance(old, dict) or not all(map(plain_name, old)):
            return None
        return cls(stage, old, manifest)

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {
            "schema": _SCHEMA,
            "stage": self.stage,
            "old": self.old,
            "new": self.new.to_json(),
        }


def commit(folder: pathlib.Path, stage: str, old: dict[str, str], new: Manifest) -> None:
    """Makes a new set of files the one that counts; `recover` then moves it into place.

    Everything is on the disk before the record is, and the record appears by one rename.

    Args:
        folder: The output folder, whose lock is ours.
        stage: Name of the folder under `PRIVATE` with the new files.
        old: Name to look of each file that goes.
        new: The set as it is to be.
    """
    private = folder / PRIVATE
    for path in (private / stage).iterdir():
        sync(path)
    sync_folder(private / stage)
    sync_folder(private)
    text = json.dumps(_Commit(stage, old, new).to_json(), indent=2) + "\n"
    write_atomically(private / COMMIT, text)
    sync_folder(private)


def recover(folder: pathlib.Path) -> None:
    """Completes what was committed, and removes what was not; may be repeated after any crash.

    Old files go before new ones come, so that files of two sets never lie side by side, whoever
    looks.

    Args:
        folder: The output folder, whose lock is ours.

    Raises:
        Refused: If a file in the way was changed by someone else after the crash.
        OSError: If a file cannot be moved.
    """
    private, todo = folder / PRIVATE, _Commit.of(folder)
    if todo is not None:
        waiting = [name for name in todo.new.files if (private / todo.stage / name).exists()]
        _clear(folder, todo, waiting)
        for name in waiting:
            os.replace(private / todo.stage / name, folder / name)
        sync_folder(folder)
        todo.new.write(folder)
        sync_folder(private)
    (private / COMMIT).unlink(missing_ok=True)
    sync_folder(private)
    for path in private.iterdir():
        if _STAGE.fullmatch(path.name):
            shutil.rmtree(path)
        elif _TEMPORARY.fullmatch(path.name):
            path.unlink()


def _clear(folder: pathlib.Path, todo: _Commit, waiting: list[str]) -> None:
    """Removes the old files that are still there."""
    gone = [name for name in todo.old if name in waiting or name not in todo.new.files]
    changed = [name for name in waiting if look(folder / name) not in (None, todo.old.get(name))]
    if changed:
        raise Refused(
            f"out: {_listed(folder, changed)} changed while the results of tfunlearn "
            f"{todo.new.command} were put in place. Expected: the files as they were. Received: "
            "others; move them away and give any command on that folder again, which completes it."
        )
    for name in gone:
        if look(folder / name) == todo.old[name]:
            (folder / name).unlink()
    if gone:
        sync_folder(folder)


def settle(folder: pathlib.Path) -> None:
    """Completes what a dead process had committed in a folder that is about to be read.

    Waits for a live process that is moving its files into place, which takes milliseconds.

    Args:
        folder: The folder of a file to read; need not be one of ours.

    Raises:
        Refused: As `recover`.
        OSError: If there is something to complete, and the folder cannot be written to.
    """
    while (folder / PRIVATE / COMMIT).is_file():
        with claimed(folder / PRIVATE / LOCK) as mine:
            if mine:
                recover(folder)
                return
        time.sleep(_PATIENCE)


def _listed(folder: pathlib.Path, names: list[str]) -> str:
    return ", ".join(repr(str(folder / name)) for name in names)
