"""Zip files, which `.npz` and `.keras` files are: what they declare, checked before it is read."""

import os
import zipfile
from collections.abc import Sequence

__all__ = ["check_archive", "check_sizes", "entries"]

_FREE = 1 << 28  # bytes that may be packed as tightly as zip files can
_RATIO = 100  # of larger ones


def check_archive(path: str | os.PathLike[str]) -> None:
    """Raises unless a file is a zip file whose entries may be read, as `check_sizes`.

    Args:
        path: the file.

    Raises:
        ValueError: with what is wrong.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_sizes(list(entries(archive).values()), os.path.getsize(path))
    except Exception as error:  # zipfile raises many kinds on damaged files
        raise ValueError(str(error) or type(error).__name__) from error


def entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Returns name to entry.

    Args:
        archive: an open zip file.

    Raises:
        ValueError: if a name stands there twice.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        if entry.filename in found:
            raise ValueError(f"{entry.filename!r:.60} twice in one archive")
        found[entry.filename] = entry
    return found


def check_sizes(wanted: Sequence[zipfile.ZipInfo], there: int) -> None:
    """Raises before memory is taken for what is packed tighter than data is.

    A few megabytes of a zip file may declare gigabytes. Together the entries may hold 256 MiB
    however they are packed, and 100 times their packed size above that; without packing, as
    `numpy.savez` writes, any size that memory holds.

    Args:
        wanted: the entries that are to be read.
        there: the bytes of the zip file.

    Raises:
        ValueError: if they hold more, or more than their file or this machine's memory does, or
            are encrypted, or packed in another way than `numpy.savez_compressed` packs.
    """
    for entry in wanted:
        if entry.flag_bits & 1:
            raise ValueError(f"{entry.filename}, which is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"{entry.filename}, packed by method {entry.compress_type}; "
                "np.savez_compressed packs by deflate"
            )
    size = sum(entry.file_size for entry in wanted)
    packed = sum(entry.compress_size for entry in wanted)
    stored = [entry for entry in wanted if entry.compress_type == zipfile.ZIP_STORED]
    if packed > there or any(entry.file_size != entry.compress_size for entry in stored):
        raise ValueError(f"entries that say {packed} bytes, in a file of {there}")
    if size > max(_FREE, _RATIO * packed):
        raise ValueError(
            f"{size} bytes packed into {packed}: at most {_RATIO} times the packed size "
            f"is read where it is more than {_FREE >> 20} MiB; written without "
            "packing, as np.savez does, there is no such limit"
        )
    if size > _memory():
        raise ValueError(f"{size} bytes, on a machine with {_memory()} of memory")


def _memory() -> int:
    """Returns the bytes of this machine's memory, or a number beyond all if it is not told."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 1 << 62
