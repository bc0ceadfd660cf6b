"""A folder for the time of a run, which another run removes if this one dies."""

from __future__ import annotations

import contextlib
import pathlib
import secrets
import shutil
from collections.abc import Iterator

from tfunlearn.storage.lock import claimed

__all__ = ["SCRATCH", "clear_scratch", "scratch"]

SCRATCH = "scratch-"


@contextlib.contextmanager
def scratch(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a folder for the time of a block; `clear_scratch` removes it if the process dies.

    Args:
        folder: Where it lies, beside `locks` with its lock file; made if it is not there.
    """
    name = f"{SCRATCH}{secrets.token_hex(8)}"
    lock = folder / "locks" / name
    try:
        with claimed(lock):
            path = folder / f".{name}.tmp"
            path.mkdir(mode=0o700)  # it may hold training data
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
    finally:
        lock.unlink(missing_ok=True)


def clear_scratch(folder: pathlib.Path) -> int:
    """Removes what `scratch` of dead processes left; returns how many folders there were.

    Args:
        folder: As in `scratch`.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as base:
        ...     folder = pathlib.Path(base)
        ...     with scratch(folder) as alive:
        ...         (folder / ".scratch-dead.tmp").mkdir()
        ...         clear_scratch(folder), alive.is_dir()
        (1, True)
    """
    count = 0
    for path in folder.glob(f".{SCRATCH}*.tmp"):
        lock = folder / "locks" / path.name.split(".")[1]
        with claimed(lock) as mine:
            if not mine:  # the one who has it is alive
                continue
            shutil.rmtree(path, ignore_errors=True)
            count += 1
        lock.unlink(missing_ok=True)
    return count
