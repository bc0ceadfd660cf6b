"""Building a split: from chosen ids to checked, frozen roles."""

import warnings
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from tfunlearn.data.duplicates import (
    Choice,
    Duplicates,
    DuplicateWarning,
    check_choice,
    copies,
    of_repeats,
    period,
)
from tfunlearn.data.labels import check_ids
from tfunlearn.data.sources import ArraySource, Source, StreamSource
from tfunlearn.data.weights import check_retain

if TYPE_CHECKING:
    from tfunlearn.data.split import ForgetSplit


def build(
    cls: "type[ForgetSplit]",
    train: Source,
    kind: str,
    choose: Callable[[np.ndarray], Any],
    test: Any,
    validation: Any,
    num_classes: int | None,
    detail: str = "",
    duplicates: Choice = None,
) -> "ForgetSplit":
    """Chooses the ids, checks that all roles fit together, and freezes the result."""
    check_choice(duplicates)
    forget, found = _with_duplicates(train, check_ids(choose(train.y), len(train.y)), duplicates)
    stays = np.ones(len(train.y), bool)
    stays[forget] = False
    ids = {"forget": forget, "retain": np.flatnonzero(stays)}
    if train.weights is not None:
        check_retain(train.weights, ids["retain"], "sample_weight")
    held_out: dict[str, Source] = {}
    for role, data in (("validation", validation), ("test", test)):
        if data is not None or role == "test":
            held_out[role] = _held_out_source(data, role, train)
            ids[role] = np.arange(len(held_out[role].y))
    for row in ids.values():
        row.setflags(write=False)
    classes = _count_classes([train, *held_out.values()], num_classes)
    detail = detail or f"{len(forget)} chosen examples"
    held_out = MappingProxyType(held_out)
    if found.unasked:
        warnings.warn(found.warning(), DuplicateWarning, stacklevel=3)  # of the constructor's call
    return cls(kind, classes, MappingProxyType(ids), detail, train, held_out, found)


def _with_duplicates(
    train: Source, forget: np.ndarray, choice: Choice
) -> tuple[np.ndarray, Duplicates]:
    """Returns the ids to forget, with their duplicates where they are asked for, and these."""
    keys = train.keys(forget)
    length = period(keys, train.y) if train.is_stream and choice is None else 0
    if length:
        raise ValueError(of_repeats(length, len(train.y)))
    ids, other_label = copies(keys, train.y, forget)
    if choice != "forget":
        return forget, Duplicates(ids, other_label, choice=choice)
    if len(forget) + len(ids) == len(train.y):
        raise ValueError(
            "duplicates: at least one example must stay. Expected: one that is no copy of a "
            f"forgotten one. Received: {len(forget)} to forget and {len(ids)} copies, which is all."
        )
    return np.sort(np.concatenate([forget, ids])), Duplicates(taken=ids, choice=choice)


def _held_out_source(data: Any, role: str, train: Source) -> Source:
    """Turns a held-out (x, y) or dataset into a source with inputs like the training data's."""
    if isinstance(data, tuple) and len(data) == 2:
        source: Source = ArraySource(*data, name=role)
    elif hasattr(data, "element_spec"):
        source = StreamSource(data, name=role)
        if source.weights is not None:
            raise ValueError(
                f"{role}: sample weights are of training examples; what is measured has none. "
                "Expected: elements (image, label). Received: elements of three; "
                "dataset.map(lambda x, y, weight: (x, y)) drops them."
            )
    else:
        raise TypeError(f"{role}: expected (x, y). Received: {type(data).__name__}.")
    if "uint8" in (source.dtype, train.dtype) and source.dtype != train.dtype:
        raise ValueError(
            f"{role}: its inputs must be on the scale of the training inputs. "
            f"Expected: {train.dtype}. Received: {source.dtype}; normalise both alike, or neither."
        )
    if not _same_shape(source.shape, train.shape):
        raise ValueError(
            f"{role}: its inputs must have the shape of the training inputs. "
            f"Expected: {tuple(train.shape)}. Received: {tuple(source.shape)}."
        )
    return source


def _same_shape(left: tuple[int | None, ...], right: tuple[int | None, ...]) -> bool:
    """Tells whether two shapes agree where both are known."""
    pairs = zip(left, right, strict=False)
    return len(left) == len(right) and all(a == b or None in (a, b) for a, b in pairs)


def _count_classes(sources: list[Source], num_classes: int | None) -> int:
    """Returns the number of classes, checked against every label."""
    largest = max(int(source.y.max()) for source in sources)
    if num_classes is not None and largest >= num_classes:
        raise ValueError(
            "y: class ids must be below num_classes. "
            f"Expected: at most {num_classes - 1}. Received: {largest}."
        )
    return max(largest + 1, 2) if num_classes is None else int(num_classes)


def share_of_classes(
    labels: np.ndarray, classes: np.ndarray, fraction: float, numbers: np.random.Generator
) -> np.ndarray:
    """Draws the same share of each of some classes."""
    chosen = []
    for number in classes:
        members = np.flatnonzero(labels == number)
        chosen.append(numbers.permutation(members)[: round(fraction * len(members))])
    return np.concatenate(chosen)
