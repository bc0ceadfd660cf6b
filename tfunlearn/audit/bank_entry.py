"""A bank's models on disk: each one a folder that is whole or not there, and checked when read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np

from tfunlearn.audit import marks
from tfunlearn.audit.bank_job import Item, Made
from tfunlearn.audit.bank_key import item_key
from tfunlearn.pool import claimed, scratch
from tfunlearn.reading import parse_json
from tfunlearn.reading.npz import parse_npy
from tfunlearn.storage.atomic import naming, write_atomically
from tfunlearn.storage.refused import Refused
from tfunlearn.storage.scratch import SCRATCH

__all__ = ["ABSENT", "DIVERGED", "SETTINGS", "WEIGHTS", "Entries", "item_named"]

ABSENT, DIVERGED, LOCKS = "not there", "diverged", "locks"
NOTE, SETTINGS, WEIGHTS, VERSION = "note.json", "bank.json", "model.weights.h5", 1
_LEFT = re.compile(  # what is being written: a model, the copy of the data, or the settings
    rf"\.(?P<ours>(in|out)-[0-9]+|{SCRATCH}[0-9a-f]{{16}})(\.[0-9a-f]{{16}})?\.tmp"
    r"|\.(?P<settings>bank)\.json\.[0-9]+\.tmp"
)
_OURS = re.compile("note.json|logits-.+[.]npy|model[.]weights[.]h5")
_NAME = re.compile("(in|out)-(0|[1-9][0-9]{0,17})")  # one spelling a seed, or copies would count


class Entries:
    """The models of one bank in their folder, `out-SEED` and `in-SEED`.

    A folder holds `logits-ROLE.npy`, the weights if they are kept, and `note.json`: key, seed,
    seconds, accuracies, versions, and a sha256 of each file and of the note itself. Of a model that
    diverged there is the note alone, which says how.

    Args:
        folder: Where they are; need not exist yet.
        key: The mark of the bank's settings.
        roles: The roles whose logits are kept.
        weights: Whether weights are kept.
    """

    def __init__(
        self, folder: pathlib.Path, key: str, roles: tuple[str, ...], weights: bool
    ) -> None:
        self.folder, self.key = folder, key
        self._files = [_file(role) for role in roles] + ([WEIGHTS] if weights else [])
        self._whole: dict[Item, tuple] = {}  # how its files looked when they were found whole
        self._sums: dict[Item, dict[str, str]] = {}  # of its files, as long as it is whole

    def items(self, include_forget: bool) -> list[Item]:
        """Returns the models that have a folder, whole or not, in the order of their seeds."""
        found = [item_named(path.name) for path in self.folder.glob("*-*")]
        return sorted(item for item in found if item and item.include_forget == include_forget)

    def strangers(self) -> list[pathlib.Path]:
        """Returns the folders that are no model's, sorted; those of the bank itself left out."""
        found = sorted(self.folder.glob("[!.]*"))
        return [
            path
            for path in found
            if path.name != LOCKS and item_named(path.name) is None and path.is_dir()
        ]

    def copies(self) -> list[list[str]]:
        """Returns the names of folders that hold the same logits or weights, group by group.

        Models that are not whole are left out. Folders that are no model's count if they hold what
        a model does.
        """
        models = [item for side in (False, True) for item in self.items(side)]
        sums = {item.name: self._sums[item] for item in models if self.fault(item) is None}
        sums |= {path.name: self._sums_of(path) for path in self.strangers()}
        groups: dict[tuple, list[str]] = {}
        for name, own in sums.items():
            logits = tuple(own.get(file) for file in self._files if file != WEIGHTS)
            if None not in logits:
                groups.setdefault(logits, []).append(name)
            if WEIGHTS in self._files and WEIGHTS in own:
                groups.setdefault((own[WEIGHTS],), []).append(name)
        found = {tuple(names) for names in groups.values() if len(names) > 1}
        return [list(names) for names in sorted(found) if any(map(item_named, names))]

    def fault(self, item: Item) -> str | None:
        """Returns what keeps a model from being used, or None if it is whole.

        That is `DIVERGED` of one whose note says so. Every byte is read at the first look, and
        again where size, time or inode have changed.
        """
        folder = self.folder / item.name
        if not folder.is_dir():
            return ABSENT
        look = _look([folder / name for name in (NOTE, *self._files)])
        if look is not None and self._whole.get(item) == look:
            return None
        try:
            note = self._note(item)
            if DIVERGED in note:
                return DIVERGED
            files = note["files"]
            for name in self._files:
                _check_content(name, self._bytes(item, name, files))
        except (OSError, ValueError) as error:
            self._whole.pop(item, None)
            return str(error)
        self._whole[item], self._sums[item] = look, files
        return None

    def note(self, item: Item) -> dict[str, Any]:
        """Returns the note of a model.

        Raises:
            ValueError: If it is missing, torn or altered.
        """
        return self._checked(item, lambda: self._note(item))

    def logits(self, item: Item, role: str) -> np.ndarray:
        """Returns a model's logits on a role, of shape (N, C).

        Raises:
            ValueError: If the file is missing, torn or altered.
        """
        data = self.file(item, _file(role))
        return parse_npy(data, f"{item}: {_file(role)}")

    def file(self, item: Item, name: str) -> bytes:
        """Returns the content of one of a model's files.

        Raises:
            ValueError: If the file is missing, torn or altered.
        """
        return self._checked(item, lambda: self._bytes(item, name, self._note(item)["files"]))

    def claim(self, item: Item) -> contextlib.AbstractContextManager[bool]:
        """Claims the making of a model for the time of a block; yields whether it is ours."""
        return claimed(self._lock(item.name))

    def diverged(self, include_forget: bool) -> dict[int, str]:
        """Returns the seeds of the models that diverged, ascending, and how each did."""
        found = [item for item in self.items(include_forget) if self.fault(item) == DIVERGED]
        return {item.seed: self.note(item)[DIVERGED] for item in found}

    def forget_diverged(self, item: Item) -> None:
        """Removes what is kept of a model that diverged, so that it is tried again."""
        with self.claim(item) as mine:
            if mine and self.fault(item) == DIVERGED:
                os.rename(self.folder / item.name, self._temporary(item))
                self.clear(item)

    def write(self, item: Item, made: Made) -> None:
        """Writes a model under a temporary name and moves it into place.

        Args:
            item: Which one; its claim is ours.
            made: What is kept.
        """
        self.clear(item)
        part = self._temporary(item)
        part.mkdir(parents=True)
        try:
            contents = {_file(role): _npy(array) for role, array in made.logits.items()}
            contents |= {} if made.weights is None else {WEIGHTS: made.weights}
            for name, content in contents.items():
                _write(part / name, content)
            _write(part / NOTE, _text(self._content(item, made, contents)).encode())
            _sync(part)
            target = self.folder / item.name
            if target.exists():  # what was found damaged
                os.rename(target, self._temporary(item))
            os.rename(part, target)
            _sync(self.folder)
        finally:
            _remove(part)
        self.clear(item)

    def require_ours(self, item: Item) -> None:
        """Raises if what lies where a model goes, and would be replaced, is somebody else's.

        Raises:
            Refused: With what is there.
        """
        path = self.folder / item.name
        if not os.path.lexists(path):
            return
        if path.is_symlink() or not path.is_dir():
            found = ["no folder"]
        else:
            found = [one.name for one in path.iterdir() if not _OURS.fullmatch(one.name)]
        if found:
            raise Refused(
                f"out: {str(path)!r} is where a model of the bank goes. Expected: the bank's files "
                f"alone; move others away. Received: {', '.join(sorted(found))}."
            )

    def clear(self, item: Item) -> None:
        """Removes what is left of writings of a model that did not end; its claim is ours."""
        for path in self.folder.glob(f".{item.name}.*.tmp"):
            if _LEFT.fullmatch(path.name):
                _remove(path)

    def clear_all(self) -> int:
        """Removes what dead processes left; returns how many leftovers there were."""
        count = 0
        for path in self.folder.glob(".*.tmp"):
            found = _LEFT.fullmatch(path.name)
            if found is None:  # not one of ours
                continue
            lock = self._lock(found["settings"] or found["ours"])
            with claimed(lock) as mine:
                if not mine or not path.exists():  # the one who writes it is alive
                    continue
                _remove(path)
                count += 1
            if lock.name.startswith(SCRATCH):  # no other process will ask for it
                lock.unlink(missing_ok=True)
        return count

    def write_settings(self, settings: dict[str, Any]) -> None:
        """Writes what the models depend on, for a reader, unless it is there and whole.

        Raises:
            Refused: If a folder lies where it goes.
        """
        path = self.folder / SETTINGS
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"schema": "tfunlearn.bank", "version": VERSION, "key": self.key}
        text = _text({**content, "settings": settings})
        if path.is_dir():
            raise Refused(
                f"out: {str(path)!r} is where the bank's settings go. Expected: a file, or none; "
                "move the folder away. Received: a folder."
            )
        with claimed(self._lock("bank")) as mine:
            if mine and not (path.is_file() and path.read_bytes() == text.encode()):
                write_atomically(path, text)

    def scratch(self) -> contextlib.AbstractContextManager[pathlib.Path]:
        """Yields a folder for the time of a block; `clear_all` removes it if the process dies."""
        return scratch(self.folder)

    def _lock(self, name: str) -> pathlib.Path:
        return self.folder / LOCKS / name

    def _temporary(self, item: Item) -> pathlib.Path:
        return self.folder / f".{item.name}.{secrets.token_hex(8)}.tmp"

    def _content(self, item: Item, made: Made, contents: dict[str, bytes]) -> dict[str, Any]:
        """Returns the note of a model."""
        content = {
            "schema": "tfunlearn.bank.model",
            "version": VERSION,
            "key": item_key(self.key, item),
            "seed": item.seed,
            "include_forget": item.include_forget,
            "seconds": made.seconds,
            "accuracy": made.accuracy,
            "environment": made.environment,
            **({} if made.diverged is None else {DIVERGED: made.diverged}),
            "files": {
                name: hashlib.sha256(content).hexdigest() for name, content in contents.items()
            },
        }
        return {**content, "sha256": marks.text_mark(content)}

    def _note(self, item: Item) -> dict[str, Any]:
        """Returns a note, or raises a ValueError with what is wrong with it."""
        content = self._read(item, NOTE)
        try:
            note = parse_json(content, NOTE)
            kept = {name: value for name, value in note.items() if name != "sha256"}
            same = marks.text_mark(kept) == note["sha256"]
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            raise ValueError(f"{NOTE} is torn") from None
        if not same:
            raise ValueError(f"{NOTE} is altered, its sha256 is another")
        if note.get("key") != item_key(self.key, item):
            raise ValueError("it was made under other settings")
        if (note.get("seed"), note.get("include_forget")) != (item.seed, item.include_forget):
            raise ValueError(f"{NOTE} is that of another seed")
        if not isinstance(note.get(DIVERGED, ""), str) or (DIVERGED in note and note.get("files")):
            raise ValueError(f"{NOTE} tells in no words how it diverged")
        if not isinstance(note.get("files"), dict):
            raise ValueError(f"{NOTE} names no files")
        if not _is_number(note.get("seconds")):
            raise ValueError(f"{NOTE} holds no seconds")
        accuracy, roles = note.get("accuracy"), [n for n in self._files if n != WEIGHTS]
        own = {_file(role): v for role, v in accuracy.items()} if type(accuracy) is dict else {}
        if DIVERGED not in note and not all(_is_number(own.get(name)) for name in roles):
            raise ValueError(f"{NOTE} holds no accuracies")
        return note

    def _bytes(self, item: Item, name: str, files: dict[str, str]) -> bytes:
        """Returns a file's content, or raises a ValueError with what is wrong with it."""
        content = self._read(item, name)
        if hashlib.sha256(content).hexdigest() != files.get(name):
            raise ValueError(f"{name} is torn or altered, its sha256 is not the note's")
        return content

    def _read(self, item: Item, name: str) -> bytes:
        try:
            return (self.folder / item.name / name).read_bytes()
        except FileNotFoundError:
            raise ValueError(f"{name} is missing") from None

    def _sums_of(self, folder: pathlib.Path) -> dict[str, str]:
        """Returns the sha256 sums of a folder's files that have the names of a model's."""
        files = [folder / name for name in self._files]
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path.is_file()
        }

    def _checked(self, item: Item, read: Callable[[], Any]) -> Any:
        """Returns what is read, or raises with the model's name, and looks at it anew later."""
        try:
            return read()
        except ValueError as error:
            self._whole.pop(item, None)
            raise ValueError(
                f"{item}: {error}. Expected: whole files; fill the bank again."
            ) from error


def item_named(name: str) -> Item | None:
    """Returns the model whose folder has a name, or None: each model's has one spelling alone.

    Example:
        >>> item_named("out-7"), item_named("out-07"), item_named("out-7 ")
        (Item(seed=7, include_forget=False), None, None)
    """
    found = _NAME.fullmatch(name)
    return None if found is None else Item(int(found[2]), found[1] == "in")


def _check_content(name: str, content: bytes) -> None:
    """Raises a ValueError unless what is in a file of logits can be used as such."""
    if name == WEIGHTS:
        return
    array = parse_npy(content, name)
    if array.dtype.kind != "f" or array.ndim != 2:
        raise ValueError(f"{name} holds no logits")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds logits that are not finite")


def _is_number(value: Any) -> bool:
    """Tells whether a value of JSON is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _remove(path: pathlib.Path) -> None:
    """Removes a folder or a file, if it is there; what cannot be removed is left."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _file(role: str) -> str:
    return f"logits-{role}.npy"


def _text(content: Any) -> str:
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _npy(array: np.ndarray) -> bytes:
    """Returns the content of an `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _write(path: pathlib.Path, content: bytes) -> None:
    """Writes a file through to the disk."""
    with naming(path), open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: pathlib.Path) -> None:
    """Writes a folder's list of files through to the disk, where a folder can be opened."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _look(paths: list[pathlib.Path]) -> tuple | None:
    """Returns what tells without reading that files are as they were; None if one is missing."""
    try:
        found = [path.stat() for path in paths]
    except OSError:
        return None
    return tuple((one.st_size, one.st_mtime_ns, one.st_ino) for one in found)
