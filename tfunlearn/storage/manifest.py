"""Which files in a folder a command wrote, with their sha256: what tells ours from others'."""

from __future__ import annotations

import json
import os
import pathlib
import re
import stat
from dataclasses import asdict, dataclass, field
from typing import Any

from tfunlearn.reading import parse_json
from tfunlearn.storage.atomic import file_sha256, write_atomically

__all__ = ["MANIFEST", "PRIVATE", "Manifest", "look", "plain_name", "read_json"]

PRIVATE, MANIFEST = ".tfunlearn", "manifest.json"
_SCHEMA, _VERSION = "tfunlearn.output", 1
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """The set of files that a command wrote together.

    Attributes:
        command: The command, as ``"unlearn"``; empty where none has written to the folder.
        files: Name to sha256.
    """

    command: str = ""
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: pathlib.Path) -> Manifest:
        """Returns that of a folder: an empty one if there is none, or one that is damaged.

        Files that no manifest names are nobody's, and are never overwritten: that is the safe side.
        """
        return cls.from_json(read_json(folder / PRIVATE / MANIFEST)) or cls()

    @classmethod
    def from_json(cls, content: Any) -> Manifest | None:
        """Returns it from JSON values, or None if they are something else."""
        if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
            return None
        command, files = content.get("command"), content.get("files")
        if not isinstance(command, str) or not isinstance(files, dict):
            return None
        whole = all(
            plain_name(name) and isinstance(mark, str) and _SHA256.fullmatch(mark)
            for name, mark in files.items()
        )
        return cls(command, files) if whole else None

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {"schema": _SCHEMA, "version": _VERSION, **asdict(self)}

    def write(self, folder: pathlib.Path) -> None:
        """Writes it, whole or not at all."""
        text = json.dumps(self.to_json(), indent=2) + "\n"
        write_atomically(folder / PRIVATE / MANIFEST, text)

    def owns(self, folder: pathlib.Path, name: str) -> bool:
        """Tells whether a file in the folder is as the command wrote it."""
        return name in self.files and look(folder / name) == self.files[name]


def look(path: pathlib.Path) -> str | None:
    """Returns what tells whether a file is as it was, or None if nothing is there.

    That is the sha256 of a plain file, the target of a symbolic link, and the kind of anything
    else. A link is not followed, as what would be overwritten is the link.
    """
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode):
            return file_sha256(path)
        if stat.S_ISLNK(mode):
            return f"link to {os.readlink(path)}"
    except FileNotFoundError:
        return None
    return "folder" if stat.S_ISDIR(mode) else "no file"


def plain_name(name: Any) -> bool:
    """Tells whether a name is that of a file right in a folder, and none of our private ones."""
    if not isinstance(name, str) or name in ("", ".", "..", PRIVATE):
        return False
    return not set(name) & {"/", "\\", "\0", os.sep}


def read_json(path: pathlib.Path) -> Any:
    """Returns the content of a JSON file of ours, or None if it is not there or damaged.

    Raises:
        OSError: If it is there and cannot be read.
    """
    try:
        return parse_json(path.read_bytes(), "the file")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
