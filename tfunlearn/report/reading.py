"""From JSON values to frozen dataclasses, strictly: every key there, of its type, and no other.

A field whose metadata says `optional` may be missing; it has its default then.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tfunlearn.report.limits import LARGEST

__all__ = ["read", "values"]

T = TypeVar("T")


def read(kind: type[T], data: Any, where: str) -> T:
    """Returns an instance of a dataclass from the JSON object that `dataclasses.asdict` made of it.

    Args:
        kind: A dataclass whose fields are numbers, texts, None, dataclasses, or tuples, sequences
            and string-keyed mappings of those.
        data: The JSON values.
        where: Where they stand, for the error messages.

    Raises:
        ValueError: If a key is missing or unknown, a value is of another type, not finite or beyond
            1e100, or the dataclass refuses it.

    Example:
        >>> from tfunlearn.report.evidence import Interval
        >>> read(Interval, {"value": 1, "low": 0.5, "high": 2.0, "method": "exact"}, "here")
        Interval(value=1.0, low=0.5, high=2.0, method='exact')
    """
    if not isinstance(data, dict):
        raise _error(where, "an object", data)
    kinds, optional = _kinds(kind), _optional(kind)
    missing = sorted(set(kinds) - set(data) - optional)
    unknown = sorted(set(data) - set(kinds))
    if missing or unknown:
        raise ValueError(
            f"{where} lacks keys or holds others. Expected {list(kinds)}. "
            f"Received an object without {missing} and with {unknown}."
        )
    found = {key: values(kinds[key], own, f"{where}.{key}") for key, own in data.items()}
    try:
        return kind(**found)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


@functools.cache
def _kinds(kind: type) -> dict[str, Any]:
    """Returns the names and types of a dataclass's fields."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


@functools.cache
def _optional(kind: type) -> frozenset[str]:
    """Returns the names of the fields that may be missing."""
    return frozenset(f.name for f in dataclasses.fields(kind) if f.metadata.get("optional"))


def values(kind: Any, data: Any, where: str) -> Any:
    """Returns JSON values as a type that a field of a dataclass may have; see `read`.

    Example:
        >>> from collections.abc import Mapping
        >>> values(Mapping[str, tuple[float, ...]], {"loss": [1, 2]}, "here")
        {'loss': (1.0, 2.0)}
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (known,) = (part for part in parts if part is not type(None))
        return None if data is None else values(known, data, where)
    if origin in (tuple, Sequence):
        if not isinstance(data, list):
            raise _error(where, "a list", data)
        return tuple(values(parts[0], own, f"{where}[{place}]") for place, own in enumerate(data))
    if origin is Mapping:
        if not isinstance(data, dict):
            raise _error(where, "an object", data)
        return {key: values(parts[1], own, f"{where}.{key}") for key, own in data.items()}
    if dataclasses.is_dataclass(kind):
        return read(kind, data, where)
    return _plain(kind, data, where)


def _plain(kind: type, data: Any, where: str) -> Any:
    """Returns a number, a text or a truth value; a whole number may stand for a real one."""
    allowed = (int, float) if kind is float else kind
    if not isinstance(data, allowed) or (isinstance(data, bool) and kind is not bool):
        names = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
        raise _error(where, names[kind], data)
    if kind is float and not abs(data) <= LARGEST:
        raise _error(where, f"a finite number, {LARGEST:g} at most", data)
    return kind(data)


def _error(where: str, expected: str, data: Any) -> ValueError:
    return ValueError(f"{where} must be {expected}. Received {type(data).__name__} {data!r:.60}.")
