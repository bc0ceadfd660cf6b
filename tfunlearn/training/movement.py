"""How far a training moved the weights, and the error where its learning rate moved next to none.

The measure is the training-scale: the Euclidean distance, over the weights that train, from a fresh
draw of the same architecture to where the weights were before. It holds all that training makes of
a fresh draw, and the difference of two draws.
"""

from __future__ import annotations

import inspect
import weakref
from typing import Any

import keras
import numpy as np

from tfunlearn.models import reinitialized

__all__ = ["LEAST", "LEAST_FRESH", "RateGuard", "moved_share", "note_origin", "origin_of"]

LEAST = 1e-4  # share of the training-scale that a training moves at least
LEAST_FRESH = 0.05  # one that starts from a fresh draw
_DRAW = 987_654_321  # seed of the fresh draw; one that no training starts from
_TINY = (
    0.00999  # of the default rate of the class, a hundredth in float32: below it movement counts
)
_ORIGINS: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def note_origin(optimizer: keras.optimizers.Optimizer, origin: str) -> keras.optimizers.Optimizer:
    """Keeps where an optimizer's learning rate came from, for messages; returns the optimizer.

    Args:
        optimizer: a fresh optimizer.
        origin: words such as "from the model's saved optimizer".
    """
    _ORIGINS[innermost(optimizer)] = origin
    return optimizer


def origin_of(optimizer: keras.optimizers.Optimizer) -> str:
    """Returns what ``note_origin`` was given, or a few words where it was not called."""
    return _ORIGINS.get(innermost(optimizer), "of the optimizer that was made for it")


def innermost(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Returns the optimizer inside the wrappers of mixed precision."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def moved_share(original: keras.Model, result: keras.Model) -> float | None:
    """Returns how far a result is from the original, as a share of the original's training-scale.

    That is ``||result - original|| / ||original - fresh||`` over the trainable weights, where fresh
    is a fresh draw of the same architecture (``models.reinitialized``). A retrained model is about
    1 away, one that fine-tuning hardly changed a thousandth.

    Args:
        original: a built model.
        result: a model with weights of the same shapes in the same order.

    Returns:
        The share; None where the training-scale is 0, as that of a model without trainable weights,
        or where the weights are of other shapes.
    """
    before, after = _values(original), _values(result)
    if [part.shape for part in before] != [part.shape for part in after]:
        return None
    scale = _apart(before, _values(reinitialized(original, seed=_DRAW)))
    return _apart(before, after) / scale if scale > 0 else None


class RateGuard(keras.callbacks.Callback):
    """Raises at the end of a training that a tiny learning rate kept next to where it began.

    Only a constant learning rate below a hundredth of its optimizer's default is suspected: with a
    higher one, a model that has converged may rightly move as little. A training that the callbacks
    gave a higher rate in some epoch is not suspected either.

    Args:
        least: share of the training-scale that the weights have to move.

    Raises:
        RuntimeError: when training ends.
    """

    def __init__(self, least: float = LEAST) -> None:
        super().__init__()
        self._least = least
        self._before: list[np.ndarray] | None = None
        self._rate = 0.0

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Keeps the weights, if the learning rate is tiny."""
        self._before, self._rate = None, 0.0
        if self._tiny():
            self._before = _values(self._student)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Drops the suspicion, if a callback gave a rate that is not tiny."""
        if self._before is not None and not self._tiny():
            self._before = None

    def on_train_end(self, logs: dict | None = None) -> None:
        """Compares the weights."""
        if self._before is None:
            return
        before, self._before = self._before, None
        scale = _apart(before, _values(reinitialized(self._student, seed=_DRAW)))
        moved = _apart(before, _values(self._student))
        if not scale or not np.isfinite(moved) or moved / scale >= self._least:
            return  # what is not finite is told elsewhere
        way = "the distance from a fresh draw to where they were"
        how, it = f"moved the weights by {moved / scale:.2g} of {way}", "it"
        if moved == 0:
            how, it = f"changed none of the {len(before)} weights", way
        raise RuntimeError(
            f"learning_rate: training {how}, at a constant learning rate of "
            f"{self._rate:.3g}, {origin_of(self.model.optimizer)}. Expected: at least "
            f"{self._least:g} of {it}. A schedule that lowers the rate on a plateau leaves the "
            "last one in the saved optimizer, and Keras keeps no record of the first: give that by "
            "learning_rate=... or optimizer=..., or set it in the model "
            "(model.optimizer.learning_rate = ...) and save that. "
            f"Received: {self._rate:.3g}."
        )

    @property
    def _student(self) -> keras.Model:
        """The classifier: the model, or the student of one that trains a student."""
        return getattr(self.model, "student", self.model)

    def _tiny(self) -> bool:
        """Tells whether the present learning rate is a tiny constant; keeps the highest."""
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is None:
            return False
        optimizer = innermost(optimizer)
        if isinstance(optimizer.get_config().get("learning_rate"), dict):  # a schedule
            return False
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        self._rate = max(self._rate, rate)
        return rate < _TINY * _default_rate(type(optimizer))


def _default_rate(kind: type) -> float:
    """Returns the default learning rate of a class of optimizers; Adam's where it has none."""
    parameter = inspect.signature(kind.__init__).parameters.get("learning_rate")
    default = getattr(parameter, "default", None)
    return float(default) if isinstance(default, int | float) else 1e-3


def _values(model: keras.Model) -> list[np.ndarray]:
    """Returns the trainable weights."""
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.trainable_variables]


def _apart(left: list[np.ndarray], right: list[np.ndarray]) -> float:
    """Returns the Euclidean distance of two lists of weights."""
    squares = (
        np.sum((a.astype("float64") - b.astype("float64")) ** 2)
        for a, b in zip(left, right, strict=True)
    )
    return float(np.sqrt(sum(squares)))
