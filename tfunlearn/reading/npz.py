"""Arrays in ``.npz`` files: what they declare is checked before memory is taken for it."""

import io
import math
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import IO

import numpy as np

from tfunlearn.reading.archive import check_sizes, entries
from tfunlearn.reading.paths import existing_file

__all__ = ["parse_npy", "read_npz_arrays"]

_KINDS = "biufSU"  # no complex numbers: models would take their real parts without a word
_WIDE = "g"  # long double, which no backend takes
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_LONGEST_HEADER = 10_000


def read_npz_arrays(
    path: str | PathLike[str],
    names: Sequence[str],
    optional: Sequence[str] = (),
    argument: str = "path",
) -> Mapping[str, np.ndarray]:
    """Reads arrays from an ``.npz`` file, never unpickling.

    Args:
        path: the file.
        names: the arrays that it must hold; others are not read.
        optional: those that it may hold.
        argument: the argument's name in messages.

    Returns:
        Name to array.

    Raises:
        FileNotFoundError: if the file is not there.
        ValueError: if it is damaged, lacks an array or holds it twice, an array is of objects or
            says another size than it has, or is larger than memory or than its packed form is
            taken for.
    """
    path = existing_file(path, argument, "an .npz file")
    try:
        with open(path, "rb") as file:
            return _arrays(file, path, names, optional)
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds on damaged files
        reason = "it does not fit into memory" if isinstance(error, MemoryError) else str(error)
        raise ValueError(
            f"{argument}: {str(path)!r} cannot be used. Expected: an .npz file with the arrays "
            f"{', '.join(names)}, none of them pickled. "
            f"Received: {reason or type(error).__name__}."
        ) from error


def parse_npy(content: bytes, source: str) -> np.ndarray:
    """Returns the array of an ``.npy`` file's content, never unpickling.

    Args:
        content: the content.
        source: where it comes from, for messages.

    Raises:
        ValueError: if it is damaged, of objects, or says another size than it has.
    """
    try:
        _check_header(io.BytesIO(content), "an array", len(content))
        return _read(io.BytesIO(content))
    except Exception as error:  # NumPy raises a dozen kinds on damaged headers
        raise ValueError(
            f"{source}: expected an array in an .npy file. "
            f"Received: {str(error) or type(error).__name__}."
        ) from error


def _arrays(
    file: IO[bytes], path: pathlib.Path, names: Sequence[str], optional: Sequence[str]
) -> dict[str, np.ndarray]:
    """Returns the arrays of an open file, or raises with the reason."""
    if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
        raise ValueError("a single array (.npy) under another name")
    with zipfile.ZipFile(file) as archive:
        there = {name.removesuffix(".npy"): entry for name, entry in entries(archive).items()}
        missing = [name for name in names if name not in there]
        if missing:
            raise ValueError(f"arrays {missing} are missing; it holds {sorted(there)[:20]}")
        wanted = {name: there[name] for name in (*names, *optional) if name in there}
        check_sizes(list(wanted.values()), path.stat().st_size)
        for name, entry in wanted.items():
            with archive.open(entry) as opened:
                _check_header(opened, name, entry.file_size)
        return {name: _array(archive, entry) for name, entry in wanted.items()}


def _check_header(file: IO[bytes], name: str, there: int) -> None:
    """Raises unless an array is of plain values and as large as its header says.

    Args:
        file: An open `.npy` file.
        name: What to call it.
        there: The bytes of the file.
    """
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{name} in version {version} of the format")
    shape, _, kind = _HEADERS[version](file, max_header_size=_LONGEST_HEADER)
    if kind.hasobject or kind.kind not in _KINDS or kind.char in _WIDE or not kind.itemsize:
        raise ValueError(f"{name} of {kind}, which are no plain numbers or texts")
    if any(isinstance(length, bool) or length < 0 for length in shape):
        raise ValueError(f"{name} of shape {shape}")
    size, there = math.prod(shape) * kind.itemsize, there - file.tell()
    if size != there:
        raise ValueError(f"{name}, whose header says {size} bytes where {there} are there")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        return _read(file)


def _read(file: IO[bytes]) -> np.ndarray:
    return np.lib.format.read_array(file, allow_pickle=False, max_header_size=_LONGEST_HEADER)
