"""Training in place, guarded: a training that changes nothing or diverges is an error."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn.callbacks import NoOpGuard
from tfunlearn.data.passes import looks
from tfunlearn.training.in_graph import fit_in_graph, resident_rows
from tfunlearn.training.movement import LEAST, LEAST_FRESH, RateGuard
from tfunlearn.training.workers import check_workers

Logs = dict[str, float]


class Diverged(RuntimeError):
    """A training that ended with weights or outputs that are not finite."""


def fit(
    model: keras.Model,
    batches: Any,
    *,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = 0,
    trainings: int = 1,
    fresh: bool = False,
) -> keras.callbacks.History:
    """Trains a compiled model in place, and raises if that changed nothing or broke it.

    Args:
        model: a compiled model.
        batches: what ``model.fit`` takes as ``x``.
        epochs: passes over the batches, at least 1.
        callbacks: Keras callbacks.
        verbose: as in ``model.fit``.
        trainings: as long as this one, of this model, compiled once: compiling whole epochs pays
            from a number of steps on, which several reach together. A dropout mask is another one
            where they are compiled, so pass what is always the same.
        fresh: whether the weights are a fresh draw, which a training moves far.

    Returns:
        The history of the fit.

    Raises:
        ValueError: if ``epochs`` is not a whole number of at least 1, or there are other workers
            (see ``check_workers``).
        RuntimeError: if no weight changed, a tiny learning rate moved them next to not at all (see
            ``RateGuard``), or a weight is no longer finite.
    """
    check_epochs(epochs)
    check_workers(model)
    # the rate first: it may be why nothing changed
    guards = RateGuard(LEAST_FRESH if fresh else LEAST), NoOpGuard()
    history = _fit(model, batches, int(epochs), [*callbacks, *guards], verbose, trainings)
    _require_finite(model)
    return history


def fit_passes(
    model: keras.Model,
    passes: Callable[[int], Iterable[Any]],
    *,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = 0,
) -> keras.callbacks.History:
    """Trains a compiled model in place, where each epoch is several passes over different batches.

    Callbacks see epochs, not passes: ``on_epoch_end`` has the logs of all passes of the epoch, of
    two with the same name the later. They see no batches.

    Args:
        model: a compiled model.
        passes: function of the epoch, from 0, that returns, or yields one after the other, the
            batches of each pass, or a pair of another compiled model that shares the weights, and
            the batches that it is trained on.
        epochs: epochs, at least 1.
        callbacks: Keras callbacks.
        verbose: as in ``model.fit``.

    Returns:
        The history over the epochs.

    Raises:
        ValueError: if ``epochs`` is not a whole number of at least 1, or there are other workers
            (see ``check_workers``).
        RuntimeError: if no weight changed, or a weight is no longer finite.
    """

    def epoch_logs(epoch: int) -> Logs:
        logs: Logs = {}
        for one in passes(epoch):
            trained, batches = one if isinstance(one, tuple) else (model, one)
            history = _fit(trained, batches, 1, [], verbose).history
            logs.update({name: values[-1] for name, values in history.items()})
        return logs

    with looks("always"):
        return _epochs(model, epoch_logs, epochs, callbacks)


def fit_steps(
    model: keras.Model,
    step: Callable[..., Logs],
    batches: Any,
    *,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = 0,
) -> keras.callbacks.History:
    """Trains a model in place by calling a function with each batch.

    For methods whose update is no single gradient step; the function may call ``train_on_batch``
    of the model, or of others that share its weights. Callbacks see epochs, not batches.

    Args:
        model: the model that the function changes.
        step: function of the parts of a batch, ``x`` and ``y`` and in a split with weights those as
            well, that changes the model and returns logs.
        batches: a ``tf.data.Dataset`` or a ``keras.utils.PyDataset``.
        epochs: passes over the batches, at least 1.
        callbacks: Keras callbacks.
        verbose: 0 for silence, otherwise a progress bar over the batches of each epoch.

    Returns:
        The history over the epochs; logs are means over the steps that gave them.

    Raises:
        ValueError: if ``epochs`` is not a whole number of at least 1, or there are other workers
            (see ``check_workers``).
        RuntimeError: if no weight changed, or a weight is no longer finite.
    """

    def epoch_logs(epoch: int) -> Logs:
        bar = keras.utils.Progbar(len(batches), verbose=1 if verbose else 0)
        found: dict[str, list[float]] = {}
        for batch in iterate(batches):
            logs = step(*batch)
            for name, value in logs.items():
                found.setdefault(name, []).append(float(value))
            bar.add(1, list(logs.items()))
        return {name: float(np.mean(values)) for name, values in found.items()}

    with looks("never"):
        return _epochs(model, epoch_logs, epochs, callbacks)


def _fit(
    model: keras.Model,
    batches: Any,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int | str,
    trainings: int = 1,
) -> keras.callbacks.History:
    """Trains by ``model.fit``, inside one graph where that can be."""
    options = {"epochs": epochs, "callbacks": callbacks, "verbose": verbose}
    rows = resident_rows(model, batches, callbacks)
    if rows is not None:
        return fit_in_graph(model, rows, trainings=trainings, **options)
    return model.fit(batches, shuffle=False, **options)  # the batches come shuffled


def iterate(batches: Any) -> Iterator[Any]:
    """Yields each batch of one pass over a ``tf.data.Dataset`` or a ``keras.utils.PyDataset``."""
    if not isinstance(batches, keras.utils.PyDataset):
        yield from batches
        return
    batches.on_epoch_begin()
    for index in range(len(batches)):
        yield batches[index]


def check_epochs(epochs: Any) -> None:
    """Raises unless epochs is a whole number of at least 1."""
    if not isinstance(epochs, int | np.integer) or epochs < 1:
        raise ValueError(f"epochs: expected a whole number of at least 1. Received: {epochs!r}.")


def _epochs(
    model: keras.Model,
    epoch_logs: Callable[[int], Logs],
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
) -> keras.callbacks.History:
    """Runs epochs and drives the callbacks around them."""
    check_epochs(epochs)
    check_workers(model)
    history = keras.callbacks.History()
    watchers = keras.callbacks.CallbackList(
        [history, *callbacks, RateGuard(), NoOpGuard()], model=model, epochs=int(epochs), verbose=0
    )
    watchers.on_train_begin()
    for epoch in range(int(epochs)):
        model.stop_training = False
        watchers.on_epoch_begin(epoch)
        watchers.on_epoch_end(epoch, epoch_logs(epoch))
        if model.stop_training:
            break
    watchers.on_train_end()
    _require_finite(model)
    return history


def _require_finite(model: keras.Model) -> None:
    """Raises if a weight is no longer finite."""
    broken = [w.path for w in model.weights if not np.isfinite(keras.ops.convert_to_numpy(w)).all()]
    if broken:
        raise Diverged(
            f"training diverged: {len(broken)} of {len(model.weights)} weights are not finite, "
            f"first {broken[0]!r}. Expected: finite weights; lower the learning rate."
        )
