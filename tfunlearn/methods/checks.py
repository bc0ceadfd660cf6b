"""What every method checks before it starts: that model and split fit together."""

from typing import Any

import keras
import numpy as np

from tfunlearn.data import ForgetSplit
from tfunlearn.models import num_classes
from tfunlearn.models.copying import require_built
from tfunlearn.seeds import check_seed
from tfunlearn.training.workers import check_workers


def check(
    model: keras.Model,
    split: ForgetSplit,
    reads: set[str] | frozenset[str],
    *,
    seed: int = 0,
    whole_classes: bool = False,
) -> None:
    """Raises unless a model can be unlearned on a split.

    Args:
        model: the original.
        split: the data.
        reads: the roles that the method will read.
        seed: the method's seed.
        whole_classes: whether the method forgets whole classes and nothing else.

    Raises:
        TypeError: if one of the two is of another type.
        ValueError: if the seed is negative, the model is not built, a role is missing or not
            finite, a part of a class is to be forgotten where whole classes are expected, inputs
            have another shape, labels are beyond the model's classes, or there are other workers
            (see ``training.check_workers``).
    """
    check_seed(seed)
    require_built(model)
    if not isinstance(split, ForgetSplit):
        raise TypeError(f"split: expected a ForgetSplit. Received: {type(split).__name__}.")
    for role in sorted(reads):
        split.check(role)
    if whole_classes and not split.forgets_classes:
        raise ValueError(
            "split: this method forgets whole classes. Expected: a forget set that holds every "
            "training example of its classes. Received: one that leaves some of them."
        )
    classes = num_classes(model)
    if split.num_classes > classes:
        raise ValueError(
            "split: its labels must be classes of the model. "
            f"Expected: labels below {classes}. Received: labels up to {split.num_classes - 1}."
        )
    check_inputs(model, split)


def check_inputs(model: keras.Model, split: ForgetSplit) -> None:
    """Raises if inputs have another shape than the model takes, or it takes several.

    Or if there are other workers, which no method and no audit can use. Of their type nothing is
    asked: whatever turns pixels into numbers may be written as operations, which no list of layers
    shows, or the model may take pixels as they are.
    """
    check_workers(model)
    names = [part.name for part in getattr(model, "inputs", None) or ()]
    if len(names) > 1:
        raise ValueError(
            "model: several inputs are not supported. Expected: a model with one input; let it "
            f"take apart one array with the inputs side by side. Received: inputs {names}."
        )
    shape = model.input_shape[1:] if getattr(model, "inputs", None) else None
    if isinstance(shape, tuple) and not _fits(shape, split.input_shape):
        raise ValueError(
            "split: its inputs must have the shape that the model takes. "
            f"Expected: {shape}. Received: {split.input_shape}."
        )


def check_positive(**options: Any) -> None:
    """Raises unless every option is a finite number above 0."""
    for name, value in options.items():
        if not np.isscalar(value) or isinstance(value, str) or not 0 < value < np.inf:
            raise ValueError(f"{name}: expected a number above 0. Received: {value!r}.")


def check_not_negative(**options: Any) -> None:
    """Raises unless every option is a finite number of at least 0."""
    for name, value in options.items():
        if not np.isscalar(value) or isinstance(value, str) or not 0 <= value < np.inf:
            raise ValueError(f"{name}: expected a number of at least 0. Received: {value!r}.")


def check_count(**options: Any) -> None:
    """Raises unless every option is a whole number of at least 1."""
    for name, value in options.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1. Received: {value!r}.")


def check_fraction(**options: Any) -> None:
    """Raises unless every option is a number in (0, 1]."""
    for name, value in options.items():
        if not np.isscalar(value) or isinstance(value, str) or not 0 < value <= 1:
            raise ValueError(f"{name}: expected a number in (0, 1]. Received: {value!r}.")


def _fits(expected: tuple, received: tuple) -> bool:
    """Tells whether a shape agrees with one that may have unknown sizes."""
    if len(expected) != len(received):
        return False
    return all(a is None or b is None or a == b for a, b in zip(expected, received, strict=True))
