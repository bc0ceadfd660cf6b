"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["write_atomically"]


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
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
