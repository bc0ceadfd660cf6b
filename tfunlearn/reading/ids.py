"""Files of ids: one whole number a line."""

import array
from os import PathLike

import numpy as np

from tfunlearn.reading.paths import existing_file

__all__ = ["read_ids"]

_LONGEST = 200  # characters of a line
_DIGITS = 18  # which int64 holds whatever they are


def read_ids(path: str | PathLike[str], argument: str = "forget") -> np.ndarray:
    """Reads whole numbers, one on each line; empty lines do not count.

    A line ends with a newline, before which a carriage return may stand, and with nothing else.
    However long the file or a line of it, memory is taken for the ids alone.

    Args:
        path: the text file, in ASCII; a byte-order mark of UTF-8 may stand before it.
        argument: the argument's name in messages.

    Returns:
        int64 of shape ``(N,)``.

    Raises:
        FileNotFoundError: if the file is not there.
        ValueError: if a line is something else, or there is none; it says which line.
    """
    path, ids, number = existing_file(path, argument), array.array("q"), 0
    try:
        with open(path, "rb") as file:
            while line := file.readline(_LONGEST + 1):
                number += 1
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                text = text.removesuffix(b"\n").removesuffix(b"\r").strip(b" \t")
                if not text:
                    continue
                if len(line) > _LONGEST or len(text) > _DIGITS or not text.isdigit():
                    raise ValueError(
                        f"{argument}: expected a whole number of at most {_DIGITS} digits on each "
                        f"line of {str(path)!r}. Received on line {number}: {_shown(text)}."
                    )
                ids.append(int(text))
    except OSError as error:
        raise type(error)(f"{argument}: {str(path)!r} cannot be read: {error.strerror}.") from error
    if not ids:
        raise ValueError(f"{argument}: expected at least one id. Received none in {str(path)!r}.")
    return np.array(ids, "int64")


def _shown(line: bytes) -> str:
    """Returns the start of a line for a message."""
    try:
        return repr(line[:40].decode("utf-8"))
    except UnicodeDecodeError:
        return f"{line[:40]!r}, which is not a text"
