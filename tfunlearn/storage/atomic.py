"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["file_sha256", "naming", "sync", "sync_folder", "write_atomically"]


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Writes a file under a temporary name in the same folder, then moves it into place.

    A reader sees the old file or the new one, never half of one, even after a kill.

    Args:
        path: The file to write; its folder must exist.
        content: Bytes, or text that is written as UTF-8.

    Returns:
        The path written.

    Raises:
        OSError: If the folder is missing or not writable. The old file is then as it was.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Names a file in an error that names none, as that of a full disk does.

    Args:
        path: The file that is written in the block.

    Raises:
        OSError: Of the same kind.

    Example:
        >>> with naming("model.keras"):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        ...
        OSError: 'model.keras' cannot be written: No space left on device
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        text = f"{os.fspath(path)!r} cannot be written: {error.strerror or error}"
        raise type(error)(text) from error


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Returns the sha256 of a file's content, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: str | os.PathLike[str]) -> None:
    """Writes a file's content through to the disk."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Writes a folder's list of files through to the disk, where a folder can be opened."""
    if os.name == "nt":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
