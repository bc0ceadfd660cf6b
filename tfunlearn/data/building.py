"""Building a split: from chosen ids to checked, frozen roles."""

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

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
) -> "ForgetSplit":
    """Chooses the ids, checks that all roles fit together, and freezes the result."""
    forget = check_ids(choose(train.y), len(train.y))
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
    return cls(kind, classes, MappingProxyType(ids), detail, train, MappingProxyType(held_out))


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
