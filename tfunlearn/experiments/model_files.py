"""The files of models by their sha256: which ones a report is about, and whether they changed."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike

from tfunlearn.reading import expanded
from tfunlearn.report.parts import ModelFile
from tfunlearn.report.schema import NAME
from tfunlearn.storage.atomic import file_sha256
from tfunlearn.storage.manifest import MANIFEST, PRIVATE, Manifest, read_json

_REPORT = "report.json"


@contextlib.contextmanager
def unchanged(paths: Iterable[str | PathLike]) -> Iterator[dict[str, str]]:
    """Yields path to sha256 of files that are read in the block, and holds them to it at its end.

    Args:
        paths: the files; one that is not there is left to whoever reads it.

    Raises:
        ValueError: if a file is another one at the end than at the start.
    """
    marks = {str(path): _sha256(path) for path in paths}
    yield {path: mark for path, mark in marks.items() if mark is not None}
    for path, mark in marks.items():
        if _sha256(path) != mark:
            raise ValueError(
                f"model files: {path!r} changed while it was read. Expected: files that no other "
                "command writes to meanwhile. Received: another sha256 after than before."
            )


def model_file(path: str | PathLike, sha256: str, *, beside: bool = False) -> ModelFile:
    """Returns what a report holds of a model's file.

    Args:
        path: the file.
        sha256: of its content.
        beside: whether it lies beside the report, written together with it.
    """
    return ModelFile(pathlib.Path(path).name, sha256, beside)


def check_pairs(argument: str, marks: Mapping[str, str]) -> None:
    """Raises if a model lies in a folder whose report, or manifest, is about another file.

    Args:
        argument: the argument's name in messages.
        marks: path to sha256 of the models.

    Raises:
        ValueError: if one is another file than the one that was written with the report.
    """
    for path, mark in marks.items():
        place = expanded(path, argument)
        for source, expected in _stated(place):
            if expected != mark:
                raise ValueError(
                    f"{argument}: {path!r} is not the model that {str(source)!r} is about. "
                    f"Expected: sha256 {expected}, written together with it. Received: sha256 "
                    f"{mark}. If the model is meant, copy it to a folder without that report."
                )


def _stated(path: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
    """Yields what the files in a model's folder say about its sha256: who says it, and what."""
    folder, name = path.parent, path.name
    with contextlib.suppress(OSError):  # what cannot be read says nothing
        files = Manifest.of(folder).files
        if name in files:
            yield folder / PRIVATE / MANIFEST, files[name]
    with contextlib.suppress(OSError):
        report = read_json(folder / _REPORT)
        if not isinstance(report, dict) or report.get("schema") != NAME:
            return
        listed = report.get("files")
        for one in listed.values() if isinstance(listed, dict) else ():
            if isinstance(one, dict) and one.get("beside") is True and one.get("name") == name:
                yield folder / _REPORT, str(one.get("sha256"))


def _sha256(path: str | PathLike) -> str | None:
    """Returns a file's sha256, or None if it cannot be read."""
    try:
        return file_sha256(expanded(path, "path"))
    except OSError:
        return None
