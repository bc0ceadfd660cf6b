"""JSON, strictly: one meaning for every text, and nothing that a reader of it trips over."""

import json
import math
from os import PathLike
from typing import Any, NoReturn

from tfunlearn.reading.paths import existing_file

__all__ = ["DEEPEST", "check_values", "parse_json", "read_json_file"]

DEEPEST = 64
"""Levels of lists and objects inside one another, at most."""

_LARGEST = 2**63


def read_json_file(path: str | PathLike[str], argument: str) -> Any:
    """Returns the content of a JSON file.

    Args:
        path: the file.
        argument: the argument's name in messages.

    Raises:
        FileNotFoundError: if the file is not there.
        OSError: if it cannot be read.
        ValueError: as ``parse_json``.
    """
    found = existing_file(path, argument)
    try:
        content = found.read_bytes()
    except OSError as error:
        raise type(error)(
            f"{argument}: {str(found)!r} cannot be read: {error.strerror}."
        ) from error
    return parse_json(content, f"{argument}: {str(found)!r}")


def parse_json(text: str | bytes, source: str) -> Any:
    """Returns the values of a JSON text.

    Args:
        text: the text; bytes are UTF-8.
        source: where it comes from, for messages.

    Raises:
        ValueError: if it is no JSON (NaN and Infinity are none), a key stands twice in an object, a
            number is not finite or a whole one is beyond 64 bits, a text holds half a surrogate
            pair, or more than 64 levels are inside one another.

    Example:
        >>> from tfunlearn.reading import parse_json
        >>> parse_json('{"a": [1, 2.5, null]}', "the text")
        {'a': [1, 2.5, None]}
        >>> parse_json('{"a": 1, "a": 2}', "the text")
        Traceback (most recent call last):
        ValueError: the text: expected JSON. Received the key 'a' twice in an object.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        check_values(found)
    except json.JSONDecodeError as error:
        raise _error(source, f"a text that breaks off or is something else: {error}") from error
    except UnicodeDecodeError as error:
        raise _error(source, f"bytes that are no UTF-8: {error}") from error
    except RecursionError as error:
        raise _error(source, f"more than {DEEPEST} levels inside one another") from error
    except MemoryError as error:
        raise _error(source, "more than fits into memory") from error
    except ValueError as error:
        raise _error(source, str(error)) from error
    return found


def check_values(found: Any) -> None:
    """Raises unless values can be written as JSON and read back by anyone.

    Args:
        found: None, truth values, numbers and texts, in lists, tuples and dicts.

    Raises:
        ValueError: as ``parse_json``, with what was received in words.
    """
    waiting = [(found, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, bool) or value is None:
            continue
        elif isinstance(value, int):
            if not -_LARGEST <= value < _LARGEST:
                raise ValueError("a whole number beyond 64 bits")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise ValueError("a number that is not finite")
        elif isinstance(value, list | tuple | dict):
            if depth > DEEPEST:
                raise ValueError(f"more than {DEEPEST} levels inside one another")
            inside = [*value, *value.values()] if isinstance(value, dict) else value
            waiting.extend((part, depth + 1) for part in inside)
        else:
            raise ValueError(f"a {type(value).__name__}")


def _check_text(text: str) -> None:
    """Raises if a text cannot be written."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text with half a surrogate pair") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object, every key of which stands once."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r:.60} twice in an object")
        found[key] = value
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number of JSON")


def _error(source: str, received: str) -> ValueError:
    return ValueError(f"{source}: expected JSON. Received {received}.")
