"""Marks: sha256 sums of what a kept result depends on, so that a change is seen."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import tfunlearn

__all__ = ["array_mark", "code", "source", "text_mark"]


@functools.cache
def code() -> str:
    """Returns a mark of all files of the package, as they were at the first call.

    Example:
        >>> len(code()), code() == code()
        (64, True)
    """
    folder, digest = pathlib.Path(tfunlearn.__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def source(thing: Callable[..., Any]) -> str:
    """Returns a mark of the file that a function or a class stands in.

    Args:
        thing: The function or class. One from a notebook's cell is marked by its own text, one
            typed in at a prompt by its name alone.
    """
    for part in (inspect.getmodule(thing), thing):
        try:
            return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()
        except (OSError, TypeError):  # no file
            continue
    return thing.__qualname__


def array_mark(arrays: np.ndarray | Iterable[np.ndarray]) -> str:
    """Returns a mark of the types, shapes and bytes of one or several arrays.

    Args:
        arrays: One array, or several in a fixed order.

    Example:
        >>> import numpy as np
        >>> array_mark(np.arange(3)) == array_mark([np.arange(3)])
        True
        >>> array_mark(np.zeros(2)) == array_mark(np.zeros(2, "float32"))
        False
    """
    digest = hashlib.sha256()
    for array in [arrays] if isinstance(arrays, np.ndarray) else arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def text_mark(content: Any) -> str:
    """Returns a mark of JSON values; the order of a mapping's keys does not count.

    Args:
        content: What JSON can hold, without NaN.

    Raises:
        TypeError: If it is something else.
        ValueError: If a number is not finite.

    Example:
        >>> text_mark({"a": 1, "b": 2}) == text_mark({"b": 2, "a": 1})
        True
    """
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
