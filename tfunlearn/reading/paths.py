"""Paths that users give, from text to where they lead."""

import pathlib
from collections.abc import Callable
from os import PathLike, fspath

__all__ = ["existing_file", "existing_folder", "expanded"]


def expanded(path: str | PathLike[str], argument: str) -> pathlib.Path:
    """Returns a path with the home folder for a leading ``~``.

    Args:
        path: the path.
        argument: its argument's name, for messages.

    Raises:
        ValueError: if it is empty, begins with the home folder of a user that is not known, is no
            UTF-8, or holds a zero byte.

    Example:
        >>> from tfunlearn.reading import expanded
        >>> expanded("~nobody-of-that-name/x", "data")
        Traceback (most recent call last):
        ValueError: data: expected a path. Received: '~nobody-of-that-name/x' (no such user).
    """
    text, reason = fspath(path), ""
    try:
        text.encode("utf-8")
        found = pathlib.Path(path).expanduser()
    except UnicodeEncodeError:
        reason = "no UTF-8"
    except RuntimeError:
        reason = "no such user"
    if "\0" in text:
        reason = "a zero byte"
    if not text:  # which would be the current folder
        reason = "empty"
    if reason:
        raise ValueError(f"{argument}: expected a path. Received: {text!r} ({reason}).")
    return found


def existing_file(path: str | PathLike[str], argument: str, kind: str = "a file") -> pathlib.Path:
    """Returns the path of a file that is there.

    Args:
        path: as in ``expanded``.
        argument: as in ``expanded``.
        kind: what is expected, in words.

    Raises:
        FileNotFoundError: if no file is there.
        OSError: if the system cannot tell.
        ValueError: as ``expanded``.
    """
    found = expanded(path, argument)
    if not _asked(found.is_file, path, argument, kind):
        other = "a pipe or a device" if found.exists() else "not there"
        received = "a folder" if found.is_dir() else other
        raise FileNotFoundError(
            f"{argument}: expected {kind}. Received: {fspath(path)!r}, {received}."
        )
    return found


def existing_folder(path: str | PathLike[str], argument: str) -> pathlib.Path:
    """Returns the path of a folder that is there; arguments and errors as ``existing_file``."""
    found = expanded(path, argument)
    if not _asked(found.is_dir, path, argument, "an existing folder"):
        raise FileNotFoundError(
            f"{argument}: expected an existing folder. Received: {fspath(path)!r}."
        )
    return found


def _asked(
    question: Callable[[], bool], path: str | PathLike[str], argument: str, kind: str
) -> bool:
    """Returns the system's answer on a path, or raises its error with the argument's name."""
    try:
        return question()
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise type(error)(
            f"{argument}: expected {kind}. Received: {fspath(path)!r:.300} ({error.strerror})."
        ) from error
