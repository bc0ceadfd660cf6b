"""What keeps an ascent from running away: a ceiling on its loss, and a level at which it stops."""

import math
from typing import Any, Literal

import keras
import numpy as np

from tfunlearn.data import ForgetSplit

MARGIN = 0.05  # by how much forget accuracy may fall where no whole class is forgotten
_HALVINGS = 10  # to find where the level was crossed, to a thousandth of an epoch's way


class StopAtLevel(keras.callbacks.Callback):
    """Stops a training once accuracy has come down to a level, and goes no further than that.

    Accuracy is measured after each epoch. After the first one that reaches the level, the weights
    go back on the straight line towards those of the epoch before, to where the level was crossed.

    Args:
        batches: what accuracy is measured on, as ``model.evaluate`` takes it.
        level: accuracy in [0, 1] at which training stops.
        metric: name of the accuracy among the metrics of the model.

    Attributes:
        reached: accuracy with which the training was stopped, None if it was not.

    Raises:
        ValueError: if the level is not in [0, 1]; when training starts, if there is no such metric.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn.methods import StopAtLevel
        >>> net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, "softmax")])
        >>> net.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> x, y = np.ones((4, 1)), np.array([0, 1, 1, 1])
        >>> stop = StopAtLevel(keras.utils.PyDataset, 2.0)
        Traceback (most recent call last):
            ...
        ValueError: level: expected an accuracy in [0, 1]. Received: 2.0.

    Reference: none; a bound of this package.
    Deviation: none known.
    """

    def __init__(self, batches: Any, level: float, metric: str = "forget_accuracy") -> None:
        super().__init__()
        if not 0 <= level <= 1:
            raise ValueError(f"level: expected an accuracy in [0, 1]. Received: {level!r}.")
        self.batches, self.level, self.metric = batches, float(level), metric
        self.reached: float | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Measures the accuracy to start from."""
        self.reached, self._before = None, self.model.get_weights()
        self._above = self.accuracy() > self.level

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stops the training if the level is reached."""
        after, accuracy = self.model.get_weights(), self.accuracy()
        if accuracy > self.level:
            self._before, self._above = after, True
            return
        self.reached = self._go_back(after) if self._above else accuracy
        self.model.stop_training = True

    def accuracy(self) -> float:
        """Returns the model's accuracy on the batches."""
        found = self.model.evaluate(self.batches, return_dict=True, verbose=0)
        if self.metric not in found:
            raise ValueError(
                f"metric: expected one of {', '.join(found)}. Received: {self.metric!r}."
            )
        return float(found[self.metric])

    def _go_back(self, after: list[np.ndarray]) -> float:
        """Halves the way of the last epoch until the crossing is found; returns the accuracy."""
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            self._place(after, middle)
            low, high = (middle, high) if self.accuracy() > self.level else (low, middle)
        self._place(after, high)
        return self.accuracy()

    def _place(self, after: list[np.ndarray], share: float) -> None:
        """Puts the weights at a share of the way of the last epoch."""
        pairs = zip(self._before, after, strict=True)
        self.model.set_weights([(1 - share) * old + share * new for old, new in pairs])


def ceiling_of(ceiling: float | Literal["chance"] | None, classes: int) -> float | None:
    """Returns the cross-entropy above which nothing is gained, or None for no bound.

    Args:
        ceiling: a positive number; ``"chance"`` for the loss of a guess, ``log(classes)``; or None.
        classes: number of classes.

    Raises:
        ValueError: if it is something else.
    """
    if ceiling is None:
        return None
    if ceiling == "chance":
        return math.log(classes)
    if isinstance(ceiling, str) or not ceiling > 0 or not math.isfinite(ceiling):
        raise ValueError(
            f"ceiling: expected a positive number, 'chance' or None. Received: {ceiling!r}."
        )
    return float(ceiling)


def stopping(
    level: float | Literal["auto"] | None,
    split: ForgetSplit,
    unlearner: keras.Model,
    batches: Any,
    classes: int,
) -> list[keras.callbacks.Callback]:
    """Returns the callback that stops an ascent on the forget set, in a list; empty for None.

    Args:
        level: forget accuracy; ``"auto"`` for chance where whole classes are forgotten, and
            otherwise for the present accuracy less ``MARGIN``; or None.
        split: the data.
        unlearner: the compiled model that is to be trained.
        batches: the forget set, as the unlearner takes it.
        classes: number of classes.
    """
    if level is None:
        return []
    check_level(level)
    if level == "auto":
        rule = StopAtLevel(batches, 1 / classes)
        if split.forgets_classes:
            return [rule]
        rule.set_model(unlearner)
        level = max(0.0, rule.accuracy() - MARGIN)
    return [StopAtLevel(batches, level)]


def check_level(level: float | Literal["auto"] | None) -> None:
    """Raises unless a level is one that ``stopping`` takes."""
    if level is None or level == "auto":
        return
    if isinstance(level, str) or not 0 <= level <= 1:
        raise ValueError(
            f"stop_accuracy: expected an accuracy in [0, 1], 'auto' or None. Received: {level!r}."
        )
