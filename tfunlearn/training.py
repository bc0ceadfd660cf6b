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
        no_decay: regular expression for the names that weight decay leaves out, if any.
    """

    loss: Any
    optimizer: dict[str, Any]
    metrics: Any
    no_decay: str | None = None

    @classmethod
    def of(cls, model: keras.Model, *, loss: Loss | None = None, optimizer: Any = None) -> "Recipe":
        """Takes the recipe from a model's compile state, where it is not given.

        Args:
            model: the original.
            loss: loss on integer labels; by default the model's own. With another loss than the
                model's own, accuracy takes the place of the model's metrics.
            optimizer: an optimizer or its name; by default one like the model's own. Its learning
                rate is the present one: Keras keeps no record of where a callback took it from.

        Raises:
            ValueError: if there is no loss or no optimizer, the loss wants one-hot labels, or the
                optimizer leaves out variables of another model from its weight decay.
        """
        metrics = _metrics_config(model) if loss is None else None
        loss = getattr(model, "loss", None) if loss is None else loss
        optimizer = getattr(model, "optimizer", None) if optimizer is None else optimizer
        for name, value in (("loss", loss), ("optimizer", optimizer)):
            if value is None:
                raise ValueError(
                    f"{name}: the model is not compiled and none was given. Expected: a compiled "
                    f"model, or {name}=... . Received: neither."
                )
        _check_loss(loss)
        return cls(loss, *_optimizer_config(optimizer, metrics))

    def compile(self, model: keras.Model, *, jit_compile: bool | str = "auto") -> None:
        """Compiles a model with a fresh optimizer and fresh metrics of this recipe."""
        optimizer = keras.optimizers.deserialize(self.optimizer)
        if self.no_decay:
            optimizer.exclude_from_weight_decay(var_names=[self.no_decay])
        model.compile(
            optimizer=optimizer,
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
        A plain Keras model that loads without this package. If the original is not compiled with
        an optimizer and a loss, the result is not compiled. Loss weights and weighted metrics are
        not carried over.
    """
    if getattr(original, "optimizer", None) is None or original.loss is None:
        return copy(student)
    own = _optimizer_config(original.optimizer, _metrics_config(original))
    Recipe(original.loss, *own).compile(student, jit_compile=original.jit_compile)
    student.optimizer.build(student.trainable_variables)  # so that saving keeps it whole
    return student


def _optimizer_config(optimizer: Any, metrics: Any) -> tuple[dict[str, Any], Any, str | None]:
    """Returns an optimizer's config, the metrics, and what weight decay leaves out by name."""
    optimizer = keras.optimizers.get(optimizer)
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    if getattr(optimizer, "_exclude_from_weight_decay", None):
        raise ValueError(
            "optimizer: its weight decay leaves out variables of another model. Expected: "
            "exclude_from_weight_decay(var_names=[...]). Received: var_list=[...]."
        )
    config = keras.optimizers.serialize(optimizer)
    return config, metrics, None if pattern is None else pattern.pattern


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
