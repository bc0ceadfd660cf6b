"""Claiming a piece of work, so that no two processes do it; a claim ends with its process."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import IO

__all__ = ["claimed"]


@contextlib.contextmanager
def claimed(path: str | os.PathLike[str]) -> Iterator[bool]:
    """Claims a lock file for the time of the block, without waiting.

    The system gives the claim back when the process ends, however it ends; the empty file stays.
    Whoever has the claim may remove the file: a claim on a file that is gone counts for nothing.
    On a network file system that takes locks (NFS from version 3, Lustre with `flock`) claims
    hold between machines too.

    Args:
        path: The lock file; made if it is not there.

    Yields:
        True if the claim is ours, False if another process, or another block, has it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with claimed(folder + "/lock") as first, claimed(folder + "/lock") as second:
        ...         print(first, second)
        True False
    """
    path = pathlib.Path(path)
    file, mine = _claim(path)
    with file:
        try:
            yield mine
        finally:
            if mine:
                _unlock(file)


def _claim(path: pathlib.Path) -> tuple[IO[bytes], bool]:
    """Returns the open lock file and whether it is locked now; opens it anew if it was removed."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = open(path, "a+b")  # noqa: SIM115, the caller closes it
        except FileNotFoundError:  # the folder was removed since
            continue
        mine = _try_lock(file)
        if not mine or _is_there(file, path):
            return file, mine
        file.close()


def _is_there(file: IO[bytes], path: pathlib.Path) -> bool:
    """Tells whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


if os.name == "nt":  # pragma: no cover

    def _try_lock(file: IO[bytes]) -> bool:
        """Locks the file's first byte, or returns False."""
        import msvcrt

        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        """Gives the byte back."""
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(file: IO[bytes]) -> bool:
        """Locks the file, or returns False."""
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        """Gives the file back."""
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)
