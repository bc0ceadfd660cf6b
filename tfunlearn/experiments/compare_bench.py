"""Measuring one model after another on a task of a comparison."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from tfunlearn import metrics
from tfunlearn.audit.measure import measure
from tfunlearn.audit.outputs import Reader
from tfunlearn.audit.rows import RowMaker
from tfunlearn.data import ForgetSplit
from tfunlearn.data.scenarios import Scenario
from tfunlearn.report import Column, Row

ORIGINAL = "original"


class Bench:
    """Measures one model after another on a task; the original is measured once.

    Args:
        scenario: the task.
        original: the trained original.
        shown: the metrics of a row.
    """

    def __init__(self, scenario: Scenario, original: keras.Model, shown: Sequence[Column]) -> None:
        self._scenario, self._split, self._shown = scenario, scenario.split, tuple(shown)
        self._reader = Reader(self._split, self._split.roles)
        self._probes = {
            name: (Reader(_probe_split(self._split, examples), ("test",)), examples[1])
            for name, examples in scenario.probes.items()
        }
        self._original = original
        self._measured = measure(original, self._split, self._reader)

    def row(self, label: str, model: keras.Model, seconds: float) -> Row:
        """Returns a model's row.

        Args:
            label: the row's name.
            model: the model; the original itself under its own name.
            seconds: what it took to make it.
        """
        models, measured = {ORIGINAL: self._original}, {ORIGINAL: self._measured}
        if label != ORIGINAL:
            models[label], measured[label] = model, measure(model, self._split, self._reader)
        times, seed = {label: seconds}, self._scenario.seed
        maker = RowMaker(models, self._split, ORIGINAL, measured, times, self._shown, seed)
        row = maker.row(label)
        values = {**row.values, **{name: self._probe(name, model) for name in self._probes}}
        return dataclasses.replace(row, values=values)

    def _probe(self, name: str, model: keras.Model) -> float | None:
        """Returns the accuracy on a probe, or None if the model's outputs are not finite."""
        reader, labels = self._probes[name]
        [(_, scores)] = reader.read(model)
        return metrics.accuracy(labels, scores) if np.isfinite(scores).all() else None


def _probe_split(split: ForgetSplit, examples: tuple[np.ndarray, np.ndarray]) -> ForgetSplit:
    """Returns a split whose test role is the examples of a probe, so that they can be read."""
    return ForgetSplit.by_index(
        *split.test, forget=[0], test=examples, num_classes=split.num_classes
    )
