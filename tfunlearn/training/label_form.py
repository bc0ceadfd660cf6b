"""Which form of labels a loss takes: class ids, or one-hot rows. Known, or found by trying."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn.losses import OnLabels, WeightedSparseCategoricalCrossentropy
from tfunlearn.models import num_classes

__all__ = ["on_class_ids"]

_IDS = (keras.losses.SparseCategoricalCrossentropy, WeightedSparseCategoricalCrossentropy)
_ROWS = (keras.losses.CategoricalCrossentropy, keras.losses.CategoricalFocalCrossentropy)
_SURE = 0.98  # probability of the class that a prediction of the trial is sure of
_LABELS = 4  # classes that are tried
_CLOSE = 1e-5  # of the size of losses: two are the same up to rounding


def on_class_ids(loss: Any, model: keras.Model) -> Any:
    """Returns a model's loss in a form that takes class ids, whichever labels it was written for.

    A loss on class ids is returned as it is. One on one-hot rows is applied to the rows of the ids,
    so that a model is trained by the very loss that the original was trained by. Cross-entropies
    are known; any other loss, Keras' or one's own, is tried on a few predictions, as a loss that
    broadcasts ids against scores raises nothing. It takes a form of labels if, for every class
    tried, the prediction that is sure of it has the least loss.

    Args:
        loss: a loss, its name or config, a function, or a list or dict of one of these.
        model: the model, which has one output ``(batch, classes)``.

    Raises:
        ValueError: if there are several losses, or the form cannot be told: the loss works on
            neither, or on both with other results.
    """
    loss = _only(loss)
    if isinstance(loss, OnLabels) or str(loss).lower() in ("crossentropy", "ce"):
        return loss  # Keras' "crossentropy" goes by the labels itself
    found = keras.losses.get(loss)
    if type(found) in _IDS or found is keras.losses.sparse_categorical_crossentropy:
        return loss
    if type(found) in _ROWS or found is keras.losses.categorical_crossentropy:
        return OnLabels(found, "one_hot")
    form = _Trial(found, num_classes(model)).form()
    return loss if form == "ids" else OnLabels(found, form)


def _only(loss: Any) -> Any:
    """Returns the one loss of a list or a dict by outputs, or raises."""
    if isinstance(loss, list | tuple):
        parts = list(loss)
    elif isinstance(loss, dict) and "class_name" not in loss:
        parts = list(loss.values())
    else:
        return loss
    if len(parts) != 1:
        raise ValueError(f"loss: expected one loss. Received several: {loss!r}.")
    return _only(parts[0])


class _Trial:
    """A loss, computed as Keras does in training, on labels in each form.

    Args:
        loss: the loss.
        classes: how many classes there are.
    """

    def __init__(self, loss: Any, classes: int) -> None:
        self._loss, self._classes = loss, classes
        self._size = 4 if classes == 3 else 3  # ids that broadcast against classes would fit
        self._labels = sorted({0, 1, classes // 2, classes - 1})[:_LABELS]
        layers = [keras.Input((classes,), name="scores"), keras.layers.Identity(name="same")]
        self._model = keras.Sequential(layers, name="trial")  # none is counted up
        self._model.compile(loss=loss, jit_compile=False)
        self._why: dict[str, str] = {}

    def form(self) -> str:
        """Returns ``"ids"``, ``"column"`` or ``"one_hot"``, or raises."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a form that is not taken
            works = [form for form in OnLabels.FORMS if self._works(form)]
            values = {form: self._mixed(form) for form in works}
        alike = [form for form in works if _same(values[form], values[works[0]])]
        if works and alike == works:
            return works[0]
        if works == ["ids", "column"]:  # one of them broadcasts over the batch
            alone = [form for form in works if _same(values[form], self._one_by_one(form))]
            if len(alone) == 1:
                return alone[0]
        raise self._error(works)

    def _works(self, form: str) -> bool:
        """Tells whether the right prediction has the least loss, for each class but one ignored."""
        right = ignored = 0
        try:
            for label in self._labels:
                row = np.array([self._value(form, label, sure) for sure in self._labels])
                if not np.isfinite(row).all():
                    self._why[form] = "not finite"
                    return False
                own, others = (
                    row[self._labels.index(label)],
                    np.delete(row, self._labels.index(label)),
                )
                least = _CLOSE * max(1.0, float(np.abs(row).max()))
                right += bool(others.min() - own > least)
                ignored += bool(np.ptp(row) <= least)
        except (
            Exception
        ) as error:  # a loss of one's own may raise anything on what it does not take
            self._why[form] = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
            return False
        self._why[form] = "the right class has not the least loss"
        known = len(self._labels)
        return right == known or (known > 2 and right == known - 1 and ignored == 1)

    def _value(self, form: str, label: int, sure: int) -> float:
        """Returns the loss of some examples of one label, all predicted to be of one class."""
        return self._computed(form, [label] * self._size, [sure] * self._size)

    def _mixed(self, form: str) -> np.ndarray:
        """Returns the losses of some batches of several classes."""
        return np.array([self._computed(form, *batch) for batch in self._batches()])

    def _one_by_one(self, form: str) -> np.ndarray:
        """Returns the mean losses of the examples of these batches, each alone."""
        means = []
        for labels, sure in self._batches():
            alone = zip(labels, sure, strict=True)
            means.append(np.mean([self._computed(form, [one], [other]) for one, other in alone]))
        return np.array(means)

    def _batches(self) -> list[tuple[list[int], list[int]]]:
        """Returns labels and predicted classes of some batches."""
        labels = list(itertools.islice(itertools.cycle(self._labels), self._size + 2))
        return [
            (labels[: self._size], [labels[0]] * self._size),
            (labels[1 : self._size + 1], labels[: self._size]),
            (labels[2:], labels[1 : self._size + 1]),
        ]

    def _computed(self, form: str, labels: Sequence[int], sure: Sequence[int]) -> float:
        """Returns the loss of a batch, as Keras computes it in training."""
        scores = np.full((len(sure), self._classes), (1 - _SURE) / (self._classes - 1), "float32")
        scores[np.arange(len(sure)), sure] = _SURE
        y = OnLabels.formed(form, np.asarray(labels, "int32"), self._classes)
        value = self._model.compute_loss(None, y, keras.ops.convert_to_tensor(scores))
        return float(keras.ops.convert_to_numpy(value))

    def _error(self, works: list[str]) -> ValueError:
        """Returns what is to be raised where the form cannot be told."""
        name = getattr(self._loss, "__name__", type(self._loss).__name__)
        how = "more than one of these, with other results" if works else "none of these"
        told = [f"{form}: {self._why[form]}" for form in OnLabels.FORMS if form not in works]
        told += [f"{form}: works" for form in works]
        return ValueError(
            f"loss: {name} works on {how}: class ids (batch,) or (batch, 1), or one-hot rows "
            f"(batch, {self._classes}). Expected: a loss that is least where the right class is "
            "predicted; say what it takes by loss=tfunlearn.losses.OnLabels(loss, form), with form "
            f"'ids', 'column' or 'one_hot'. Received: {'; '.join(told)}."
        )


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    """Tells whether losses are the same up to rounding."""
    return bool(np.allclose(left, right, rtol=10 * _CLOSE, atol=_CLOSE))
