"""Exact copies of forgotten examples among those that stay."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Choice = Literal["forget", "keep"] | None

_SHOWN = 5  # ids that are named
_PREFIX, _TRIES = 64, 100  # examples compared before all are, and how often all are
_PART = 16  # different examples at the least that come again where no whole sequence does


class DuplicateWarning(UserWarning):
    """Exact copies of forgotten examples stay in the retain set, and are trained on."""


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Training examples whose inputs are, byte by byte, those of a forgotten example.

    Attributes:
        ids: those that stay in the retain set, sorted int64.
        other_label: how many of these no forgotten example has with the same label.
        taken: those that ``duplicates="forget"`` took into the forget set, sorted int64.
        choice: ``"forget"``, ``"keep"``, or None where nothing was said.
    """

    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, "int64"))
    other_label: int = 0
    taken: np.ndarray = field(default_factory=lambda: np.zeros(0, "int64"))
    choice: Choice = None

    @property
    def unasked(self) -> bool:
        """Whether some stay and nobody said that they are meant to."""
        return self.choice is None and len(self.ids) > 0

    def warning(self) -> str:
        """Returns the sentence, and what can be done."""
        return (
            f"forget: {self.note()} Expected: duplicates='forget' to take them along, or "
            "duplicates='keep' where they are meant to stay."
        )

    def note(self) -> str:
        """Returns what a report says of them; empty where there are none, or they are to stay."""
        if self.choice == "keep" or not self.sentence():
            return ""
        why = " Whoever trains on them learns what is to be forgotten." if self.unasked else ""
        return self.sentence() + why

    def sentence(self) -> str:
        """Returns what stays or was taken along, with some ids; empty where there is nothing."""
        if len(self.taken):
            return (
                f"{_counted(self.taken)} of forgotten examples "
                f"{'was' if len(self.taken) == 1 else 'were'} taken into the forget set: "
                f"{_named(self.taken)}."
            )
        if not len(self.ids):
            return ""
        other = f", {self.other_label} of them with another label," if self.other_label else ""
        meant = ", as was asked for" if self.choice == "keep" else ""
        return (
            f"{_counted(self.ids)} of forgotten examples{other} "
            f"{'stays' if len(self.ids) == 1 else 'stay'} in the retain set{meant}: "
            f"{_named(self.ids)}."
        )


NONE = Duplicates()


def check_choice(choice: Choice) -> None:
    """Raises unless duplicates are to be forgotten, to be kept, or nothing is said of them."""
    if choice not in (None, "forget", "keep"):
        raise ValueError(
            "duplicates: what becomes of exact copies of forgotten examples. Expected: 'forget' to "
            f"take them along, 'keep' where they are meant to stay, or None. Received: {choice!r}."
        )


def copies(keys: np.ndarray, labels: np.ndarray, forget: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns the ids that have a forgotten example's inputs, and how many have another label.

    Where all examples have the same inputs, none is a copy of another: nothing tells them apart.

    Args:
        keys: a number for each training example, equal where inputs are, uint64 ``(N,)``.
        labels: int64 ``(N,)``.
        forget: ids to forget, sorted.
    """
    same = np.isin(keys, keys[forget])
    same[forget] = False
    if (keys == keys[0]).all():
        same[:] = False
    ids = np.flatnonzero(same)
    pairs = _with_labels(keys, labels)
    return ids, int(np.count_nonzero(~np.isin(pairs[ids], pairs[forget])))


def period(keys: np.ndarray, labels: np.ndarray) -> int:
    """Returns the length of the sequence that is all of the examples, several times over.

    The last time it may break off, as where a batch is dropped.

    Args:
        keys: as in ``copies``.
        labels: int64 ``(N,)``.

    Returns:
        The length; 0 if the examples are no such thing, or all have the same inputs.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.data.duplicates import period
        >>> row = np.array([5, 7, 9, 5, 7, 9, 5], "uint64")
        >>> period(row, np.zeros(7, int)), period(row[1:4], np.zeros(3, int))
        (3, 0)
    """
    pairs, count, tried = _with_labels(keys, labels), len(keys), 0
    for length in np.flatnonzero(pairs[1:] == pairs[0]) + 1:
        again = pairs[length : length + _PREFIX]
        if not np.array_equal(again, pairs[: len(again)]):
            continue
        tried += 1
        if tried > _TRIES:
            break
        if np.array_equal(pairs[length:], pairs[:-length]):
            kinds = len(np.unique(keys[: min(length, count - length)]))
            whole = 2 * length <= count and kinds > 1
            return int(length) if whole or kinds >= _PART else 0
    return 0


def of_repeats(length: int, count: int) -> str:
    """Returns the words for a stream that is a sequence several times over.

    Args:
        length: examples of the sequence.
        count: examples that were read.
    """
    return (
        f"dataset: its first {length} examples come again and again, so copies of what is to be "
        "forgotten would stay. Expected: each example once; drop .repeat(...), as methods and "
        "split.dataset repeat by themselves, or say duplicates='forget' or 'keep'. Received: "
        f"{count} examples, {count / length:.4g} times the first {length}."
    )


def _with_labels(keys: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns numbers that are equal where both inputs and labels are."""
    return keys + labels.astype("uint64") * np.uint64(0x9E3779B97F4A7C15)


def _counted(ids: np.ndarray) -> str:
    return f"{len(ids)} exact duplicate{'' if len(ids) == 1 else 's'}"


def _named(ids: np.ndarray) -> str:
    """Returns some ids in words."""
    shown = ", ".join(map(str, ids[:_SHOWN].tolist()))
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{'id' if len(ids) == 1 else 'ids'} {shown}{more}"
