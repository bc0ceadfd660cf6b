"""A folder that a command writes its results to: one owner at a time, one whole set of files.

What is guaranteed, and to whom:

- Everything is computed and written before anything in the folder changes. An error, Ctrl-C or a
  kill until then leaves the earlier set as it was, byte for byte.
- The new set counts from the moment when its record is on the disk, by one rename. A kill after it
  loses nothing: the next command on the folder completes the set, and so does a command that reads
  a model from it (`journal.settle`). Whoever reads through this package sees the old set or the new
  one.
- Whoever opens the files by other means may look between two renames, or after a kill there. Old
  files go before new ones come, so that they may see a part of a set, and never files of two sets
  side by side. ``.tfunlearn/manifest.json`` names the files of the set with their sha256; while
  ``.tfunlearn/commit.json`` is there, the set is being put in place.
- A file that this package did not write, or that was changed since, is never overwritten or
  removed, unless `force` is given; and one that the command reads is not even then. Files of other
  names are left alone.
- Two commands do not write to a folder at the same time: the second one is refused.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tfunlearn.reading import expanded
from tfunlearn.storage.atomic import file_sha256
from tfunlearn.storage.folder import writable_folder
from tfunlearn.storage.journal import LOCK, STAGE, commit, recover, settle
from tfunlearn.storage.lock import claimed
from tfunlearn.storage.manifest import MANIFEST, PRIVATE, Manifest, look, plain_name
from tfunlearn.storage.refused import Refused

__all__ = ["Inputs", "Output", "check_output", "output"]

_PAUSE = 0.05  # seconds between looks at a folder that another command is at work on

Path = str | os.PathLike[str]
Inputs = Mapping[str, Path | Sequence[Path] | None]


class Output:
    """Where a command writes its files before they are moved into the folder together.

    Attributes:
        folder: The output folder.
        stage: The folder that the files wait in, readable by its owner alone.
    """

    def __init__(self, folder: pathlib.Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.stage = folder / PRIVATE / f"{STAGE}{secrets.token_hex(8)}"
        self._names = tuple(names)

    def path(self, name: str) -> pathlib.Path:
        """Returns where to write a file.

        Args:
            name: One of the names that the output was opened for.

        Raises:
            ValueError: If it is another one.
        """
        if name not in self._names:
            raise ValueError(f"name: expected one of {', '.join(self._names)}. Received: {name!r}.")
        return self.stage / name

    def written(self) -> list[str]:
        """Returns the names of the files written so far, in the order they were asked for."""
        return [name for name in self._names if (self.stage / name).is_file()]


@contextlib.contextmanager
def output(
    out: Path,
    command: str,
    names: Sequence[str],
    *,
    inputs: Inputs | None = None,
    force: bool = False,
    patience: float = 0.0,
) -> Iterator[Output]:
    """Opens a folder for the results of a command, which appear at the end of the block together.

    Files of the same command from an earlier call are replaced as a set: those that are not written
    again go, but for one that is an input, which stays. A block that writes nothing changes
    nothing.

    Args:
        out: The folder; made if it is not there.
        command: The command, as ``"unlearn"``.
        names: The files that may be written.
        inputs: Argument to the file or files that are read for it.
        force: Overwrite files that this command did not write, inputs excepted.
        patience: Seconds to wait for another command that is at work on the folder.

    Yields:
        Where to write.

    Raises:
        OSError: If the folder cannot be written to.
        Refused: If another command is at work on the folder, an input would be overwritten, or a
            file of another origin is in the way. Nothing is changed then.

    Example:
        >>> import pathlib, tempfile
        >>> from tfunlearn.storage import output
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with output(folder, "example", ["a.txt", "b.txt"]) as results:
        ...         for name in ("a.txt", "b.txt"):
        ...             _ = results.path(name).write_text("new")
        ...         before = sorted(path.name for path in pathlib.Path(folder).glob("*.txt"))
        ...     before, sorted(path.name for path in pathlib.Path(folder).glob("*.txt"))
        ([], ['a.txt', 'b.txt'])
    """
    read = _read(inputs or {})
    folder = writable_folder(out).resolve()
    with _owned(folder, out, patience):
        changes = _Changes(folder, out, command, names, read, force)
        changes.check()
        results = Output(folder, names)
        results.stage.mkdir(mode=0o700)
        os.chmod(results.stage, 0o700)  # whatever the umask takes away
        yield results
        changes.commit(results)


def check_output(
    out: Path,
    command: str,
    names: Sequence[str],
    *,
    inputs: Inputs | None = None,
    force: bool = False,
    patience: float = 0.0,
) -> None:
    """Raises at once what `output` would raise; for a command that opens its output at its end.

    Several such commands may work on one folder, on stages that they share; the results of each are
    a whole set all the same.

    Args:
        out: As in `output`.
        command: As in `output`.
        names: As in `output`.
        inputs: As in `output`.
        force: As in `output`.
        patience: As in `output`.

    Raises:
        OSError: As `output`.
        Refused: As `output`.
    """
    folder = writable_folder(out).resolve()
    with _owned(folder, out, patience):
        _Changes(folder, out, command, names, _read(inputs or {}), force).check()


@contextlib.contextmanager
def _owned(folder: pathlib.Path, out: Path, patience: float) -> Iterator[None]:
    """Claims a folder for the time of a block; completes or clears what is left of a command."""
    private = folder / PRIVATE
    if os.path.lexists(private) and not stat.S_ISDIR(os.lstat(private).st_mode):
        raise Refused(
            f"out: {str(private)!r} is in the way. Expected: a folder of that name, or none. "
            "Received: something else."
        )
    end = time.monotonic() + patience
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(claimed(private / LOCK))
        while not mine and time.monotonic() < end:
            time.sleep(_PAUSE)
            mine = stack.enter_context(claimed(private / LOCK))
        if not mine:
            raise Refused(
                "out: another command is at work on the folder. Expected: a folder that no other "
                "command writes to; wait for it to end, or give another --out. "
                f"Received: {str(out)!r}."
            )
        try:
            recover(folder)
            yield
        finally:
            recover(folder)
            if not (private / MANIFEST).exists():  # nothing was ever written here
                (private / LOCK).unlink()
                with contextlib.suppress(OSError):  # another command has begun
                    private.rmdir()


class _Changes:
    """What a command is about to change in a folder, and whether it may.

    Args:
        folder: The folder, resolved.
        out: The same as it was given, for messages.
        command: The command.
        names: The files that may be written.
        read: Argument and path of all that is read.
        force: Whether files of another origin may be overwritten.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        out: Path,
        command: str,
        names: Sequence[str],
        read: Sequence[tuple[str, pathlib.Path]],
        force: bool,
    ) -> None:
        bad = [name for name in names if not plain_name(name)]
        if bad:
            raise ValueError(f"names: expected plain file names. Received: {bad}.")
        self._folder, self._out, self._command = folder, pathlib.Path(out), command
        self._names, self._read, self._force = names, read, force
        self._earlier = Manifest.of(folder)

    def check(self) -> None:
        """Raises if an input, or a file of another origin, is in the way."""
        for name in self._names:
            for argument, path in self._read:
                if _same(path, self._folder / name):
                    raise Refused(
                        f"{argument}: {str(path)!r} would be overwritten, as results go to "
                        f"{str(self._out / name)!r}. Expected: results in another folder than "
                        "what is read; give another --out."
                        f" Received: out={str(self._out)!r}."
                    )
        found = [name for name in self._names if os.path.lexists(self._folder / name)]
        folders = [name for name in found if look(self._folder / name) == "folder"]
        foreign = folders if self._force else [name for name in found if not self._may(name)]
        if foreign:
            raise Refused(self._in_the_way(foreign))

    def commit(self, results: Output) -> None:
        """Moves what was written into place."""
        written = results.written()
        if not written:
            return
        try:
            self.check()
        except Refused as error:  # the files came while all was computed, which may be hours
            kept = self._folder / f"{self._command}-{secrets.token_hex(4)}"
            os.rename(results.stage, kept)
            raise Refused(f"{error} The new files are in {str(kept)!r}.") from error
        carried = {name: mark for name, mark in self._own().items() if self._is_read(name)}
        kept_files = {name: mark for name, mark in carried.items() if name not in written}
        going = [name for name in self._own() if name not in kept_files]
        old = {name: look(self._folder / name) for name in dict.fromkeys([*going, *written])}
        new = {name: file_sha256(results.stage / name) for name in written}
        commit(
            self._folder,
            results.stage.name,
            {name: mark for name, mark in old.items() if mark is not None},
            Manifest(self._command, {**kept_files, **new}),
        )

    def _own(self) -> dict[str, str]:
        """Returns the files of the command's earlier set that are as it wrote them."""
        if self._earlier.command != self._command:
            return {}
        files = self._earlier.files
        return {name: files[name] for name in files if self._earlier.owns(self._folder, name)}

    def _may(self, name: str) -> bool:
        """Tells whether a file that is there may be replaced without `force`."""
        return self._earlier.command == self._command and self._earlier.owns(self._folder, name)

    def _is_read(self, name: str) -> bool:
        """Tells whether a file in the folder is one of the inputs."""
        return any(_same(path, self._folder / name) for _, path in self._read)

    def _in_the_way(self, names: Sequence[str]) -> str:
        """Returns the message on files of another origin."""
        others = [name for name in names if self._earlier.owns(self._folder, name)]
        by = f"of tfunlearn {self._earlier.command}" if others else "that it did not write"
        force = "" if self._force else ", or --force to overwrite them"
        return (
            f"out: tfunlearn {self._command} does not overwrite files {by}: {', '.join(names)}. "
            f"Expected: a folder without them (--out){force}. Received: {str(self._out)!r}."
        )


def _read(inputs: Inputs) -> list[tuple[str, pathlib.Path]]:
    """Returns argument and path of all inputs that are given, their folders' sets completed."""
    found: list[tuple[str, pathlib.Path]] = []
    for argument, given in inputs.items():
        many: Iterable[Path] = [given] if isinstance(given, str | os.PathLike) else given or ()
        found.extend((argument, expanded(path, argument)) for path in many)
    for folder in {path.parent for _, path in found}:
        settle(folder)
    return found


def _same(left: pathlib.Path, right: pathlib.Path) -> bool:
    """Tells whether two paths lead to one file, by links of either kind as well."""
    try:
        if left.samefile(right):
            return True
    except OSError:  # one of them is not there, or cannot be looked at
        pass
    return left.parent.resolve() / left.name == right.parent.resolve() / right.name
