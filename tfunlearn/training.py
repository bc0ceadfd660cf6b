"""How every method trains: a recipe taken from the original, a guarded fit, a plain result."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfunlearn.callbacks import NoOpGuard
from tfunlearn.models import copy

Loss = str | keras.losses.Loss | Any


@dataclass(frozen=True)
class Recipe:
    """What a model is trained with: loss, optimizer, metrics.

    Attributes:
        loss: loss on integer labels.
        optimizer: config of the optimizer, from which a fresh one is made at each use.
        metrics: config of the metrics, likewise.
    """

    loss: Any
    optimizer: dict[str, Any]
    metrics: Any

    @classmethod
    def of(cls, model: keras.Model, *, loss: Loss | None = None, optimizer: Any = None) -> "Recipe":
        """Takes the recipe from a model's compile state, where it is not given.

        Args:
            model: the original.
            loss: loss on integer labels; by default the model's own.
            optimizer: an optimizer or its name; by default one like the model's own.

        Raises:
            ValueError: if there is no loss or no optimizer, or the loss wants one-hot labels.
        """
        loss = getattr(model, "loss", None) if loss is None else loss
        optimizer = getattr(model, "optimizer", None) if optimizer is None else optimizer
        for name, value in (("loss", loss), ("optimizer", optimizer)):
            if value is None:
                raise ValueError(
                    f"{name}: the model is not compiled and none was given. Expected: a compiled "
                    f"model, or {name}=... . Received: neither."
                )
        _check_loss(loss)
        optimizer = keras.optimizers.serialize(keras.optimizers.get(optimizer))
        return cls(loss, optimizer, _metrics_config(model))

    def compile(self, model: keras.Model, *, jit_compile: bool | str = "auto") -> None:
        """Compiles a model with a fresh optimizer and fresh metrics of this recipe."""
        model.compile(
            optimizer=keras.optimizers.deserialize(self.optimizer),
            loss=self.loss,
            metrics=_fresh_metrics(self.metrics, model.name),
            jit_compile=jit_compile,
        )


def fit(
    model: keras.Model,
    batches: Any,
    *,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = 0,
) -> keras.callbacks.History:
    """Trains a compiled model in place, and raises if that changed nothing or broke it.

    Args:
        model: a compiled model.
        batches: what ``model.fit`` takes as ``x``.
        epochs: passes over the batches, at least 1.
        callbacks: Keras callbacks.
        verbose: as in ``model.fit``.

    Returns:
        The history of the fit.

    Raises:
        ValueError: if ``epochs`` is not a whole number of at least 1.
        RuntimeError: if no weight changed, or a weight is no longer finite.
    """
    if not isinstance(epochs, int | np.integer) or epochs < 1:
        raise ValueError(f"epochs: expected a whole number of at least 1. Received: {epochs!r}.")
    history = model.fit(
        batches,
        epochs=int(epochs),
        callbacks=[*callbacks, NoOpGuard()],
        shuffle=False,  # the batches come shuffled
        verbose=verbose,
    )
    broken = [w.path for w in model.weights if not np.isfinite(keras.ops.convert_to_numpy(w)).all()]
    if broken:
        raise RuntimeError(
            f"training diverged: {len(broken)} of {len(model.weights)} weights are not finite, "
            f"first {broken[0]!r}. Expected: finite weights; lower the learning rate."
        )
    return history


def finish(student: keras.Model, original: keras.Model) -> keras.Model:
    """Returns a trained student with the original's compile state and a fresh optimizer.

    Args:
        student: the trained model, compiled for its training.
        original: the model that it came from.

    Returns:
        A plain Keras model that loads without this package. If the original is not compiled,
        neither is the result.
    """
    if getattr(original, "optimizer", None) is None:
        return copy(student)
    Recipe.of(original).compile(student, jit_compile=original.jit_compile)
    student.optimizer.build(student.trainable_variables)  # so that saving keeps it whole
    return student


def _check_loss(loss: Any) -> None:
    """Raises if a loss cannot take integer labels."""
    one_hot = (keras.losses.CategoricalCrossentropy, keras.losses.CategoricalFocalCrossentropy)
    if isinstance(loss, list | tuple | dict):
        raise ValueError(f"loss: expected one loss. Received several: {loss!r}.")
    if isinstance(loss, one_hot) or loss in (
        "categorical_crossentropy",
        keras.losses.categorical_crossentropy,
    ):
        raise ValueError(
            "loss: labels are integers here. Expected: a loss such as "
            "'sparse_categorical_crossentropy'. Received a loss on one-hot labels; pass loss=... ."
        )


def _metrics_config(model: keras.Model) -> Any:
    """Returns the serialised metrics of a compiled model, or None."""
    if getattr(model, "optimizer", None) is None:
        return None
    return (model.get_compile_config() or {}).get("metrics")


def _fresh_metrics(config: Any, name: str) -> Any:
    """Makes new metric objects; those that cannot be rebuilt are left out with a warning."""
    if config is None:
        return ["accuracy"]
    try:
        return keras.saving.deserialize_keras_object(config)
    except (TypeError, ValueError) as error:
        warnings.warn(
            f"the metrics of {name!r} could not be rebuilt from their config and are left out: "
            f"{error}",
            stacklevel=3,
        )
        return None
