"""The one place where class and sample weights are checked and become a number per example."""

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np


def check_weights(weights: Any, count: int, name: str = "sample_weight") -> np.ndarray:
    """Returns sample weights as float32 of shape ``(N,)``, or raises.

    Args:
        weights: finite numbers of at least 0, ``(N,)`` or ``(N, 1)``.
        count: N, the number of examples that they belong to.
        name: the argument's name in messages.

    Raises:
        TypeError: if they are no numbers.
        ValueError: if they are of another length or shape, negative or not finite.

    Example:
        >>> from tfunlearn.data.weights import check_weights
        >>> check_weights([1, 0.5], count=2)
        array([1. , 0.5], dtype=float32)
    """
    found = np.asarray(weights)
    if found.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected an array of numbers. Received dtype {found.dtype}.")
    if found.shape not in ((count,), (count, 1)):
        raise ValueError(
            f"{name}: expected one weight for each example of the training data. "
            f"Expected: shape ({count},). Received: shape {found.shape}."
        )
    with np.errstate(over="ignore"):
        found = found.reshape(-1).astype("float32")
    wrong = ~(np.isfinite(found) & (found >= 0))
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"{name}: expected finite weights of at least 0. Received: {found[place]} "
            f"(example {place})."
        )
    return found


def check_retain(weights: np.ndarray, retain: np.ndarray, name: str) -> None:
    """Raises if all examples that stay have weight 0, so that nothing would train.

    Args:
        weights: weights of the training data.
        retain: ids of the examples that stay.
        name: the argument's name in messages.
    """
    if not weights[retain].any():
        raise ValueError(
            f"{name}: expected a weight above 0 for an example of the retain set. "
            f"Received: 0 for all {len(retain)}."
        )


def weights_by_class(
    class_weight: Any, labels: np.ndarray, num_classes: int, name: str = "class_weight"
) -> np.ndarray:
    """Returns the weight that each example has by its label, float32 ``(N,)``.

    Args:
        class_weight: ``{class: weight}``; a class that is not named has weight 1, as in
            ``keras.Model.fit``.
        labels: int64 ``(N,)``.
        num_classes: number of classes.
        name: the argument's name in messages.

    Raises:
        TypeError: if it is no dict, or holds something else than whole numbers and numbers.
        ValueError: if a class is unknown, or a weight negative or not finite.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.data.weights import weights_by_class
        >>> weights_by_class({1: 20.0}, np.array([0, 1, 1]), num_classes=2)
        array([ 1., 20., 20.], dtype=float32)
    """
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"{name}: expected a dict of class to weight, such as {{0: 1.0, 1: 20.0}}. "
            f"Received: {class_weight!r}."
        )
    table = np.ones(num_classes, "float32")
    for label, weight in class_weight.items():
        if not isinstance(label, numbers.Real) or isinstance(label, bool) or label % 1 != 0:
            raise TypeError(f"{name}: expected class ids as keys. Received: {label!r}.")
        if not 0 <= label < num_classes:
            raise ValueError(
                f"{name}: expected classes of the data. Expected: 0 to {num_classes - 1}. "
                f"Received: {label}."
            )
        table[int(label)] = _number(weight, name)
    return table[labels]


def plain_class_weight(class_weight: Mapping[int, float] | None) -> dict[str, float] | None:
    """Returns class weights as JSON values, sorted by class, without those of 1, as of the rest.

    Args:
        class_weight: checked class weights, or None.

    Returns:
        None where every class has weight 1.

    Example:
        >>> from tfunlearn.data.weights import plain_class_weight
        >>> plain_class_weight({1: 20, 0: 1.0})
        {'1': 20.0}
    """
    pairs = sorted((class_weight or {}).items())
    return {str(int(label)): float(weight) for label, weight in pairs if weight != 1} or None


def _number(weight: Any, name: str) -> float:
    """Returns a weight as a number that float32 can hold, or raises."""
    if not np.isscalar(weight) or isinstance(weight, str | bytes | bool | complex):
        raise TypeError(f"{name}: expected numbers as weights. Received: {weight!r}.")
    if not 0 <= weight <= np.finfo("float32").max:
        raise ValueError(
            f"{name}: expected finite weights of at least 0. Received: {float(weight)!r}."
        )
    return float(weight)
