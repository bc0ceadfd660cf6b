"""Training where whole epochs run inside one graph, with the data in memory: Keras, but faster.

``model.fit`` reads each batch and starts each step from Python, which for a small network takes
longer than the step. Here ``fit`` is given nothing to read, and a training function that draws the
order of the examples, gathers many batches, and takes their steps in one ``tf.function``.
Everything else is Keras' own: losses, optimizers, metrics, callbacks, History, early stopping. The
weights are those of a plain ``fit`` on the same batches.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn.data.rows import SINGLE, Rows, by_part, rows_of
from tfunlearn.training.xla import hashed_dropout, pays

__all__ = ["fit_in_graph", "resident_rows"]

LARGEST = 2**31  # bytes of inputs that are held as one tensor
_PIECES = 20  # of an epoch, between which a progress bar moves
_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
_MADE: weakref.WeakKeyDictionary[keras.Model, dict[Any, _Steps]] = weakref.WeakKeyDictionary()

Parts = Mapping[str, Rows]


def resident_rows(
    model: keras.Model, stream: Any, callbacks: Sequence[keras.callbacks.Callback]
) -> Parts | None:
    """Returns the rows behind a stream if a model can be trained on them inside one graph.

    It can on TensorFlow, on one device, if the stream is that of arrays of up to 2 GiB, no callback
    looks at single batches, and the model has the training step of Keras and its logs.

    Args:
        model: a compiled model.
        stream: what ``data.batches`` or ``data.pairs`` returned, or anything else.
        callbacks: the callbacks of the training.
    """
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    rows = rows_of(stream)
    if rows is None or len({part.steps for part in rows.values()}) != 1:
        return None
    alone = model.distribute_strategy.num_replicas_in_sync == 1 and not tf.distribute.has_strategy()
    graph = not (model.run_eagerly or tf.config.functions_run_eagerly())
    small = all(part.source.x.nbytes <= LARGEST for part in rows.values())
    if not (alone and graph and small) or model.steps_per_execution != 1:
        return None
    kind = type(model)
    plain = kind.train_step is keras.Model.train_step and (
        kind.compute_metrics is keras.Model.compute_metrics
        or getattr(model, "logs_are_metrics", False)
    )
    return rows if plain and not any(map(_looks_at_batches, callbacks)) else None


def fit_in_graph(
    model: keras.Model,
    rows: Parts,
    *,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = 0,
    trainings: int = 1,
) -> keras.callbacks.History:
    """Trains a compiled model in place as ``model.fit`` does on the stream of some rows.

    The graph is kept with the model, and is used again until the model is compiled anew.

    Args:
        model: a compiled model, for which ``resident_rows`` gave the rows.
        rows: part to its rows.
        epochs: passes over the rows.
        callbacks: Keras callbacks.
        verbose: as in ``model.fit``.
        trainings: trainings as long as this one that use the graph: what takes long to make pays
            sooner where there are several.

    Returns:
        The history of the fit.
    """
    steps = next(iter(rows.values())).steps
    piece = steps if verbose in (0, 2) else -(-steps // _PIECES)
    before = model.train_function
    xla = pays(model, trainings * epochs * steps)
    function = _steps_of(model, rows, xla)
    function.orders = _orders(rows, piece)
    model.train_function, model.steps_per_execution = function, piece
    try:
        return model.fit(
            _nothing(),
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=[_SingleSteps(), *callbacks],
            shuffle=False,
            verbose=verbose,
        )
    finally:
        model.train_function, model.steps_per_execution = before, 1
        function.arrays, function.orders = {}, iter(())  # the graph is kept, the data is not


class _SingleSteps(keras.callbacks.Callback):
    """Lets ``evaluate`` and ``predict`` in other callbacks take single steps, as they always do."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Takes back what ``fit`` has read by now."""
        self.model.steps_per_execution = 1


class _Steps:
    """A training function that draws the orders of many batches and does all of their steps.

    Args:
        model: the compiled model; not kept alive.
        arrays: part to inputs, labels and, where there are some, weights, of the shapes and types
            that all calls have.
        xla: compile the whole of it, not single steps. The last batch of an epoch, where it is
            smaller, is left to a plain graph: another shape would be compiled for one step.

    Attributes:
        arrays: part to inputs, labels and weights of the present training.
        orders: what ``_orders`` gave for the present training.
        state: the objects that the traced step holds on to.
    """

    def __init__(self, model: keras.Model, arrays: dict[str, Any], xla: bool) -> None:
        import tensorflow as tf

        self._model, self._xla, self._logs = weakref.ref(model), xla, ()
        self._jit = model.jit_compile and not xla
        self.state = _state(model)
        self.arrays, self.orders = arrays, iter(())
        specs = tf.nest.map_structure(
            lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), arrays
        )
        orders = {name: tf.TensorSpec((None, None), tf.int32) for name in arrays}
        options = {"input_signature": [specs, orders], "autograph": False}
        # a partial, because TensorFlow counts traces per piece of code and warns of many
        self._rest = self._run = tf.function(functools.partial(self._all), **options)
        if xla:  # traced once for both
            self._run = tf.function(lambda *given: self._rest(*given), jit_compile=True, **options)

    def __call__(self, _: Iterator[Any]) -> dict[str, Any]:
        """Takes the steps of the next piece of an epoch; returns the metrics so far."""
        logs: dict[str, Any] = {}
        for run, orders in zip((self._run, self._rest), next(self.orders), strict=True):
            if len(next(iter(orders.values()))):
                logs = run(self.arrays, orders)
        return logs

    def _all(self, arrays: dict[str, Any], orders: dict[str, Any]) -> dict[str, Any]:
        """Takes a step for each row of the orders."""
        import tensorflow as tf

        model = self._model()
        take = model.train_step
        if self._jit:
            take = tf.function(take, jit_compile=True, reduce_retracing=True, autograph=False)

        def step(number: Any) -> tuple[Any]:
            batch = {
                name: tuple(tf.gather(array, order[number]) for array in arrays[name])
                for name, order in orders.items()
            }
            data = batch[SINGLE] if set(batch) == {SINGLE} else by_part(batch)
            self._logs = tuple(take(data))
            return (number + 1,)

        count = tf.shape(next(iter(orders.values())))[0]
        with hashed_dropout(model) if self._xla else contextlib.nullcontext():
            tf.while_loop(lambda number: number < count, step, (0,), parallel_iterations=1)
        return {
            name: value for name, value in model.get_metrics_result().items() if name in self._logs
        }


def _steps_of(model: keras.Model, rows: Parts, xla: bool) -> _Steps:
    """Returns the training function of a model for such rows: the one that it has, or a new one."""
    shapes = [
        (name, *((array.shape[1:], array.dtype.name) for array in part.source.arrays))
        for name, part in rows.items()
    ]
    key = (xla, *shapes)
    arrays = {name: part.source.tensors() for name, part in rows.items()}
    made = _MADE.setdefault(model, {})
    steps = made.get(key)
    if steps is None or not _same(steps.state, _state(model)):
        _build(model, rows)
        steps = made[key] = _Steps(model, arrays, xla)
    steps.arrays = arrays
    return steps


def _state(model: keras.Model) -> list[Any]:
    """Returns the objects that a traced step holds on to."""
    return [model.optimizer, model.loss, model.jit_compile, *model.trainable_variables]


def _same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Tells whether two lists hold the same objects."""
    return len(left) == len(right) and all(a is b for a, b in zip(left, right, strict=True))


def _build(model: keras.Model, rows: Parts) -> None:
    """Makes the variables of optimizer, loss and metrics, which a loop in a graph cannot make.

    Random numbers that this draws are given back.
    """
    if not model.optimizer.built:  # twice would give that of mixed precision its variables twice
        model.optimizer.build(model.trainable_variables)
    states = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    some = {name: part.ids[:2] for name, part in rows.items()}
    batch = {
        name: tuple(keras.ops.convert_to_tensor(a[some[name]]) for a in part.source.arrays[:2])
        for name, part in rows.items()
    }
    x, y = batch[SINGLE] if set(batch) == {SINGLE} else by_part(batch)
    scores = model(x, training=False)
    model.compute_loss(x, y, scores, None, training=False)
    model.compute_metrics(x, y, scores)
    model.reset_metrics()
    for variable, value in states:
        variable.assign(value)


def _nothing() -> Any:
    """Returns an endless stream of which one iterator lasts for all epochs: one is slow to make."""
    import tensorflow as tf

    return tf.data.Dataset.range(1).repeat()


def _orders(rows: Parts, piece: int) -> Iterator[tuple[dict[str, np.ndarray], ...]]:
    """Yields the orders of pass after pass, piece by piece.

    Yields:
        For each part the ids of up to ``piece`` full batches, and those of a last batch that is
        smaller; both int32 ``(batches, size)``.
    """
    steps = next(iter(rows.values())).steps
    while True:
        parts = {name: part.next_batches() for name, part in rows.items()}
        for start in range(0, steps, piece):
            stop = start + piece
            full = {name: cut[0][start:stop] for name, cut in parts.items()}
            last = {name: cut[1][: stop >= steps] for name, cut in parts.items()}
            yield full, last


def _looks_at_batches(callback: keras.callbacks.Callback) -> bool:
    """Tells whether a callback does something at a batch of the training."""
    base = keras.callbacks.Callback
    return any(
        name in vars(callback) or getattr(type(callback), name) is not getattr(base, name)
        for name in _HOOKS
    )
