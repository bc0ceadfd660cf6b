"""A stage's files, checked as they are read: a note with its own sha256, and a model's file."""

import json
import math
import pathlib
import secrets
import warnings
from os import PathLike
from typing import Any

import keras
import numpy as np

from tfunlearn.audit.marks import text_mark
from tfunlearn.reading import parse_json
from tfunlearn.storage.atomic import file_sha256, write_atomically

__all__ = [
    "Damaged",
    "aside",
    "check_figures",
    "check_seconds",
    "check_sum",
    "load",
    "plain",
    "read_json",
    "read_note",
    "write_json",
    "write_note",
]


class Damaged(ValueError):
    """A file is there and is not what was written."""


def write_note(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Writes a note with its own sha256 under a temporary name, then renames it.

    Args:
        path: where to.
        content: JSON values.

    Raises:
        ValueError: if a number is not finite.
    """
    write_json(path, {**content, "sha256": text_mark(plain(content))})


def read_note(path: pathlib.Path) -> dict[str, Any] | None:
    """Returns a note that is what was written, or None if there is none.

    Args:
        path: where it is.

    Raises:
        Damaged: if it cannot be read, is no note, or its sha256 is missing or another.
    """
    try:
        content = parse_json(path.read_bytes(), path.name)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Damaged(f"{path.name} is torn, or no JSON") from error
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise Damaged(f"{path.name} is no note of a stage")
    mark = content.pop("sha256", None)
    if mark is None:
        raise Damaged(f"{path.name} is without its sha256")
    if mark != text_mark(content):
        raise Damaged(f"{path.name} is altered, its sha256 is another")
    return content


def check_sum(path: pathlib.Path, note: dict[str, Any]) -> None:
    """Raises unless a file is the one that a note vouches for.

    Args:
        path: the file.
        note: name to sha256 under ``files``.

    Raises:
        Damaged: if it is missing, cannot be read, or its sha256 is another.
    """
    files = note.get("files")
    if not isinstance(files, dict) or path.name not in files:
        raise Damaged(f"the note holds no sha256 of {path.name}")
    try:
        mark = file_sha256(path)
    except FileNotFoundError as error:
        raise Damaged(f"{path.name} is missing") from error
    except OSError as error:
        raise Damaged(f"{path.name} cannot be read: {error.strerror}") from error
    if mark != files[path.name]:
        raise Damaged(f"{path.name} is torn, altered or another one, its sha256 is not the note's")


def check_seconds(path: pathlib.Path, note: dict[str, Any]) -> None:
    """Raises unless a note has the seconds that a model took, and figures by name if any.

    Args:
        path: the note's file.
        note: its content.

    Raises:
        Damaged: if they are missing, or of another kind.
    """
    if not isinstance(note.get("figures", {}), dict):
        raise Damaged(f"{path.name} holds figures without names")
    _require_number(path, "seconds", note.get("seconds"))


def check_figures(path: pathlib.Path, note: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raises unless a note has figures of some names.

    Args:
        path: the note's file.
        note: its content, which ``check_seconds`` has let pass.
        names: the names.

    Raises:
        Damaged: if one is missing or no finite number.
    """
    for name in names:
        _require_number(path, name, note.get("figures", {}).get(name))


def load(path: pathlib.Path) -> keras.Model:
    """Loads a stage's model, in Keras' safe mode.

    Args:
        path: its ``.keras`` file.

    Raises:
        Damaged: if it cannot be loaded, is no model, or has weights that are not finite.
    """
    try:
        with warnings.catch_warnings():  # what comes next starts from a fresh optimizer
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            model = keras.models.load_model(path)
    except MemoryError:
        raise
    except Exception as error:  # Keras raises many kinds, and each means the same here
        words = " ".join(str(error).split())[:200]
        raise Damaged(f"{path.name} cannot be loaded: {type(error).__name__}: {words}") from error
    if not isinstance(model, keras.Model):
        raise Damaged(f"{path.name} holds no model")
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise Damaged(f"{path.name} has weights that are not finite")
    return model


def aside(path: pathlib.Path) -> pathlib.Path:
    """Returns a name that is free, beside a path.

    Args:
        path: the path.

    Example:
        >>> import pathlib
        >>> aside(pathlib.Path("stages/one.keras")).name.startswith("one.keras.aside-")
        True
    """
    return path.with_name(f"{path.name}.aside-{secrets.token_hex(4)}")


def plain(content: Any) -> Any:
    """Returns JSON values as they are when they have been written and read.

    Args:
        content: the values.

    Raises:
        ValueError: if a number is not finite.

    Example:
        >>> plain({0: (1, 2)})
        {'0': [1, 2]}
    """
    return json.loads(json.dumps(content, allow_nan=False))


def write_json(path: str | PathLike, content: Any) -> None:
    """Writes JSON under a temporary name, then renames it; NaN is a ValueError."""
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | PathLike) -> Any:
    """Returns the content of a JSON file, or None if it is not there or damaged."""
    try:
        return parse_json(pathlib.Path(path).read_bytes(), "the file")
    except (OSError, ValueError):
        return None


def _require_number(path: pathlib.Path, name: str, value: Any) -> None:
    """Raises unless a value is a finite number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise Damaged(f"{path.name} holds no {name}")
