"""A split as files that other processes map: each source of examples is written once."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tfunlearn.data.array_source import ArraySource
from tfunlearn.data.split import ForgetSplit
from tfunlearn.storage.atomic import naming

__all__ = ["read_split", "write_split"]


def write_split(
    split: ForgetSplit, folder: pathlib.Path, roles: Iterable[str] | None = None
) -> dict[str, Any]:
    """Writes a split of arrays to a folder, and returns what else `read_split` needs.

    Args:
        split: The split; no role of a stream is among those that are written.
        folder: Where `x-N.npy`, `y-N.npy`, `weights-N.npy` and `ids-ROLE.npy` go.
        roles: Roles to write, retain among them; by default all.

    Returns:
        JSON values.
    """
    numbers: dict[int, int] = {}
    weighted: list[int] = []
    sources = {}
    for role in split.roles if roles is None else roles:
        source = split.source(role)
        if id(source) not in numbers:
            number = numbers[id(source)] = len(numbers)
            _save(folder, f"x-{number}", source.x)
            _save(folder, f"y-{number}", source.y)
            if source.weights is not None:
                _save(folder, f"weights-{number}", source.weights)
                weighted.append(number)
        _save(folder, f"ids-{role}", split.ids[role])
        sources[role] = numbers[id(source)]
    known = {"kind": split.kind, "num_classes": split.num_classes, "detail": split.detail}
    return {**known, "sources": sources, "weighted": weighted}


def read_split(folder: pathlib.Path, content: Mapping[str, Any]) -> ForgetSplit:
    """Returns a split that was written to a folder; its inputs are mapped from there, not read.

    Args:
        folder: The folder.
        content: What `write_split` returned.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from tfunlearn.data import by_index
        >>> from tfunlearn.data.spool import read_split, write_split
        >>> x, y = np.eye(6, dtype="float32"), np.arange(6) % 2
        >>> split = by_index(x, y, forget=[1, 2], test=(x, y))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = pathlib.Path(name)
        ...     again = read_split(folder, write_split(split, folder))
        ...     again, again.fingerprint() == split.fingerprint()
        (ForgetSplit(index: forget=2, retain=4, test=6, ...), True)
    """
    found: dict[int, ArraySource] = {}
    ids = {}
    for role, number in content["sources"].items():
        ids[role] = _load(folder, f"ids-{role}")
        if number not in found:
            x, y = _load(folder, f"x-{number}", mmap_mode="r"), _load(folder, f"y-{number}")
            own = _load(folder, f"weights-{number}") if number in content["weighted"] else None
            found[number] = ArraySource(x, y, weights=own)
    by_role = {role: found[number] for role, number in content["sources"].items()}
    return ForgetSplit(
        content["kind"],
        content["num_classes"],
        MappingProxyType(ids),
        content["detail"],
        by_role["retain"],
        MappingProxyType(by_role),
    )


def _save(folder: pathlib.Path, name: str, array: np.ndarray) -> None:
    path = folder / f"{name}.npy"
    with naming(path):
        np.save(path, array, allow_pickle=False)


def _load(folder: pathlib.Path, name: str, **options: Any) -> np.ndarray:
    return np.load(folder / f"{name}.npy", allow_pickle=False, **options)
