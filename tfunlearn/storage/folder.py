"""The folder that an experiment writes to, checked before anything is computed."""

import pathlib
import tempfile
from os import PathLike

from tfunlearn.reading import expanded


def writable_folder(path: str | PathLike, name: str = "out") -> pathlib.Path:
    """Makes a folder, if it is not there, and proves that a file can be written into it.

    Args:
        path: the folder; missing parents are made too.
        name: the argument's name in messages.

    Returns:
        The folder.

    Raises:
        OSError: if something else lies there, or no file can be written.
        ValueError: if it is no path, as ``reading.expanded``.

    Example:
        >>> import tempfile
        >>> from tfunlearn.storage.folder import writable_folder
        >>> with tempfile.TemporaryDirectory() as base:
        ...     writable_folder(base + "/new").is_dir()
        True
    """
    folder = expanded(path, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(
            f"{name}: expected a folder that can be written to. "
            f"Received: {str(path)!r} ({error.strerror})."
        ) from error
    return folder
