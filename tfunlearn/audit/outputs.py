"""Models' logits on the roles of a split: the only place where an audit calls `predict`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfunlearn import models
from tfunlearn.audit.outputs_in_graph import GraphReader, readable_rows
from tfunlearn.data import ForgetSplit, streams

__all__ = ["Reader", "logits"]


def logits(
    model: keras.Model, split: ForgetSplit, role: str, *, batch_size: int = 512
) -> np.ndarray:
    """Returns a classifier's logits for every example of a role, in the order of its labels.

    The model itself is not run: a copy without the last softmax is, in inference mode.

    Args:
        model: A built classifier that ends in logits, or in a softmax that can be taken off.
        split: The split; a stream is read once.
        role: "forget", "retain", "validation" or "test".
        batch_size: Examples per step; changes speed and memory, not the result.

    Returns:
        Logits, float64 of shape (N, C).

    Raises:
        ValueError: If the last activation cannot be taken off.
    """
    [(_, scores)] = Reader(split, (role,), batch_size=batch_size).read(model)
    return scores


class Reader:
    """Reads the logits of one model after another.

    Models of one architecture share the copy that is run, so that it is compiled once.

    Args:
        split: The split; a stream is read once per model and role.
        roles: The roles to read, in this order.
        batch_size: Examples per step.
    """

    def __init__(
        self, split: ForgetSplit, roles: tuple[str, ...], *, batch_size: int = 512
    ) -> None:
        self._batches = {
            role: streams.batches(split.unweighted(), role, batch_size=batch_size) for role in roles
        }
        self._config: Any = None
        self._twin: keras.Model | None = None
        self._in_graph: GraphReader | None = None

    def read(self, model: keras.Model) -> Iterator[tuple[str, np.ndarray]]:
        """Yields each role with the model's logits on it, float64 of shape (N, C).

        Raises:
            ValueError: If the model's last activation cannot be taken off.
        """
        twin = self._prepared(model)
        for role, batches in self._batches.items():
            yield role, np.asarray(self._scores(twin, batches), dtype=np.float64)

    def _scores(self, twin: keras.Model, batches: Any) -> np.ndarray:
        """Returns what `predict` returns, without its time between batches where that can be."""
        rows = readable_rows(twin, batches)
        if rows is not None:
            self._in_graph = self._in_graph or GraphReader(twin)
            return self._in_graph.read(rows)
        with _no_retracing_advice():
            return twin.predict(batches, verbose=0)

    def _prepared(self, model: keras.Model) -> keras.Model:
        """Returns a copy that gives logits; the last one again if only its weights differ."""
        config = _config(model)
        if self._twin is None or config is None or config != self._config:
            self._twin, self._config = models.logits_model(model), config
            self._in_graph = None
        else:
            self._twin.set_weights(model.get_weights())
        return self._twin


def _config(model: keras.Model) -> Any:
    """Returns what tells architectures apart; None if that is not known for sure.

    A subclassed model may hide more than its config says, some configs cannot be written, and a
    Normalization layer computes with constants that setting weights does not reach.
    """
    if not getattr(model, "inputs", None) or not type(model).__module__.startswith("keras."):
        return None
    if any(isinstance(layer, keras.layers.Normalization) for layer in models.iter_layers(model)):
        return None
    try:
        return type(model), model.to_json(), [tuple(weight.shape) for weight in model.weights]
    except (TypeError, ValueError):
        return None


@contextlib.contextmanager
def _no_retracing_advice() -> Iterator[None]:
    """Holds back TensorFlow's advice on retracing: new architectures are traced, by design."""

    def keep(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in str(record.msg)

    logger = logging.getLogger("tensorflow")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
