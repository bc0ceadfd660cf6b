"""Folders and files for the time of a run, which another run removes if this one dies."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator

from tfunlearn.storage.lock import claimed

__all__ = ["SCRATCH", "clear_scratch", "clear_writings", "scratch", "temporary"]

SCRATCH = "scratch-"
_NAME = re.compile(rf"\.({SCRATCH}[0-9a-f]{{16}})\.tmp")
_WRITING = re.compile(r"\.(?P<file>.+)\.\d+\.tmp|\.\d+\.part\.(?P<model>.+)")


@contextlib.contextmanager
def scratch(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a folder for the time of a block; `clear_scratch` removes it if the process dies.

    Nobody but its owner can look into it, whatever the umask: it may hold training data.

    Args:
        folder: Where it lies, beside `locks` with its lock file; made if it is not there.
    """
    name = f"{SCRATCH}{secrets.token_hex(8)}"
    lock = folder / "locks" / name
    try:
        with claimed(lock):
            path = folder / f".{name}.tmp"
            path.mkdir(mode=0o700)
            try:
                path.chmod(0o700)  # where the umask took something away
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
        ...         (folder / ".scratch-0123456789abcdef.tmp").mkdir()
        ...         clear_scratch(folder), alive.is_dir()
        (1, True)
    """
    count = 0
    for path in folder.glob(f".{SCRATCH}*.tmp"):
        found = _NAME.fullmatch(path.name)
        if found is None:  # not one of ours
            continue
        lock = folder / "locks" / found[1]
        with claimed(lock) as mine:
            if not mine:  # the one who has it is alive
                continue
            shutil.rmtree(path, ignore_errors=True)
            count += 1
        lock.unlink(missing_ok=True)
    return count


@contextlib.contextmanager
def temporary() -> Iterator[pathlib.Path]:
    """Yields a folder for the time of a block where the system keeps temporary files.

    Those that dead processes of the same user left are removed first.
    """
    with contextlib.ExitStack() as stack:
        base = _own_base()
        if base is None:
            yield pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            clear_scratch(base)
            yield stack.enter_context(scratch(base))


def _own_base() -> pathlib.Path | None:
    """Returns a folder that is this user's alone, or None where there cannot be one."""
    if not hasattr(os, "getuid"):
        return None
    base = pathlib.Path(tempfile.gettempdir()) / f"tfunlearn-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    found = os.lstat(base)
    private = not stat.S_IMODE(found.st_mode) & 0o077
    return base if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and private else None


def clear_writings(folder: pathlib.Path, names: Collection[str] | None = None) -> None:
    """Removes half-written files that dead processes left under temporary names.

    Args:
        folder: Where they are; need not be there.
        names: Of the files that were being written, which nobody else writes now; by default all.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as base:
        ...     folder = pathlib.Path(base)
        ...     for name in (".a.json.12.tmp", ".12.part.a.keras", ".b.json.12.tmp", ".mine"):
        ...         (folder / name).touch()
        ...     clear_writings(folder, ["a.json", "a.keras"])
        ...     sorted(path.name for path in folder.iterdir())
        ['.b.json.12.tmp', '.mine']
    """
    for path in folder.glob(".*"):
        found = _WRITING.fullmatch(path.name)
        if found is not None and (names is None or (found["file"] or found["model"]) in names):
            path.unlink(missing_ok=True)
