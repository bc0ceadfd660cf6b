"""What a model is trained with: taken from the original, where it is not given."""

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfunlearn.losses import OnLabels
from tfunlearn.training.label_form import on_class_ids
from tfunlearn.training.movement import note_origin
from tfunlearn.training.xla import note_jit

Loss = str | keras.losses.Loss | Any


@dataclass(frozen=True)
class Recipe:
    """What a model is trained with: loss, optimizer, metrics.

    Attributes:
        loss: loss on class ids; one on one-hot rows stands in ``losses.OnLabels``.
        optimizer: config of the optimizer, from which a fresh one is made at each use.
        metrics: config of the metrics, likewise.
        no_decay: regular expression for the names that weight decay leaves out, if any.
        origin: where the learning rate came from, in words.
    """

    loss: Any
    optimizer: dict[str, Any]
    metrics: Any
    no_decay: str | None = None
    origin: str = ""

    @property
    def rate(self) -> str:
        """The learning rate and where it came from, in words."""
        return f"learning rate {rate_words(self.optimizer)} {self.origin}".strip()

    @classmethod
    def of(
        cls,
        model: keras.Model,
        *,
        loss: Loss | None = None,
        optimizer: Any = None,
        learning_rate: float | None = None,
        scale: float = 1.0,
    ) -> "Recipe":
        """Takes the recipe from a model's compile state, where it is not given.

        Args:
            model: the original.
            loss: loss, by default the model's own. One that takes one-hot rows, or a column of
                ids, is applied to the ids in that form: see ``losses.OnLabels``. With another loss
                than the model's own, or one on one-hot rows, accuracy takes the place of the
                model's metrics, which may be of other labels.
            optimizer: an optimizer or its name; by default one like the model's own. Its learning
                rate is the present one: Keras keeps no record of where a callback took it from.
                A learning rate schedule starts again from its beginning.
            learning_rate: learning rate of an optimizer like the model's own.
            scale: where neither is given, the model's own learning rate is multiplied by this.

        Raises:
            TypeError: if the learning rate is no number.
            ValueError: if there is no loss or no optimizer, which labels the loss takes cannot be
                told, the optimizer leaves out variables of another model from its weight decay,
                both an optimizer and a learning rate are given, or the learning rate is negative.
        """
        metrics = metrics_config(model) if loss is None else None
        loss = getattr(model, "loss", None) if loss is None else loss
        _require("loss", loss)
        loss = on_class_ids(loss, model)
        if isinstance(loss, OnLabels) and loss.form == "one_hot":
            metrics = None
        config, pattern = optimizer_config(model, optimizer, learning_rate, scale)
        return cls(loss, config, metrics, pattern, rate_origin(optimizer, learning_rate, scale))

    def compile(self, model: keras.Model, *, jit_compile: bool | str = "auto") -> None:
        """Compiles a model with a fresh optimizer and fresh metrics of this recipe."""
        model.compile(
            optimizer=note_origin(_fresh_optimizer(self.optimizer, self.no_decay), self.origin),
            loss=self.loss,
            metrics=_fresh_metrics(self.metrics, model.name),
            jit_compile=jit_compile,
        )
        note_jit(model, jit_compile)


def optimizer_like(
    model: keras.Model,
    *,
    optimizer: Any = None,
    learning_rate: float | None = None,
    scale: float = 1.0,
) -> keras.optimizers.Optimizer:
    """Returns a fresh optimizer: a copy of the given one, or one like the model's own.

    Args:
        model: the original.
        optimizer: an optimizer or its name.
        learning_rate: learning rate of an optimizer like the model's own.
        scale: where neither is given, the model's own learning rate, or its schedule, which starts
            again from its beginning, is multiplied by this.

    Raises:
        ValueError: as ``Recipe.of``.

    Example:
        >>> import keras
        >>> from tfunlearn import models, training
        >>> net = models.mnist_dense(4)
        >>> net.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mse")
        >>> fresh = training.optimizer_like(net, scale=0.1)
        >>> fresh.momentum, round(float(fresh.learning_rate), 3)
        (0.9, 0.05)
    """
    made = _fresh_optimizer(*optimizer_config(model, optimizer, learning_rate, scale))
    return note_origin(made, rate_origin(optimizer, learning_rate, scale))


def optimizer_config(
    model: keras.Model,
    optimizer: Any = None,
    learning_rate: float | None = None,
    scale: float = 1.0,
) -> tuple[dict[str, Any], str | None]:
    """Returns an optimizer's config, and what its weight decay leaves out by name."""
    if optimizer is not None and learning_rate is not None:
        raise ValueError(
            "learning_rate: expected an optimizer or a learning rate. Received both; "
            "put the learning rate into the optimizer."
        )
    check_rate(learning_rate)
    own = optimizer is None
    optimizer = getattr(model, "optimizer", None) if own else optimizer
    _require("optimizer", optimizer)
    optimizer = keras.optimizers.get(optimizer)
    if getattr(optimizer, "_exclude_from_weight_decay", None):
        raise ValueError(
            "optimizer: its weight decay leaves out variables of another model. Expected: "
            "exclude_from_weight_decay(var_names=[...]). Received: var_list=[...]."
        )
    config = keras.optimizers.serialize(optimizer)
    if own and (learning_rate is not None or scale != 1.0):
        innermost = _innermost(config)
        if learning_rate is None:
            innermost["learning_rate"] = _scaled(innermost["learning_rate"], scale)
        else:
            innermost["learning_rate"] = float(learning_rate)
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    return config, None if pattern is None else pattern.pattern


class OwnRate(float):
    """A learning rate, as a number, that a method took from the model's own optimizer."""


def rate_origin(optimizer: Any, learning_rate: float | None, scale: float) -> str:
    """Returns where a learning rate comes from, in words, from what ``Recipe.of`` was given."""
    if optimizer is not None:
        return "from optimizer=..."
    if learning_rate is not None and not isinstance(learning_rate, OwnRate):
        return "from learning_rate=..."
    times = "" if scale == 1.0 else f", times {scale:g}"
    return f"from the model's saved optimizer{times}"


def rate_words(config: dict[str, Any]) -> str:
    """Returns the learning rate of an optimizer's config in words; a schedule by its name."""
    rate = _innermost(config)["learning_rate"]
    if isinstance(rate, dict):
        return f"schedule {rate['class_name']}, started again,"
    return f"{float(rate):.4g}"


def check_rate(learning_rate: Any) -> None:
    """Raises unless a learning rate is a number of at least 0, or None: one that is not given.

    A negative one climbs where it should descend.

    Args:
        learning_rate: the learning rate.
    """
    if learning_rate is None:
        return
    if not np.isscalar(learning_rate) or isinstance(learning_rate, str | bool):
        raise TypeError(
            "learning_rate: expected a number; put a schedule into optimizer=... . "
            f"Received: {learning_rate!r}."
        )
    if not 0 <= learning_rate < np.inf:
        raise ValueError(
            f"learning_rate: expected a number of at least 0. Received: {learning_rate!r}."
        )


def _innermost(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of an optimizer, inside the wrapper of mixed precision."""
    config = config["config"]
    while "inner_optimizer" in config:
        config = config["inner_optimizer"]["config"]
    return config


def _scaled(rate: float | dict[str, Any], scale: float) -> float | dict[str, Any]:
    """Returns a learning rate, or the config of a schedule, times a factor."""
    if isinstance(rate, dict):
        schedule = keras.optimizers.schedules.deserialize(rate)
        return keras.optimizers.schedules.serialize(ScaledSchedule(schedule, scale))
    return float(rate) * scale


@keras.saving.register_keras_serializable(package="tfunlearn")
class ScaledSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Multiplies another learning rate schedule by a factor.

    Args:
        schedule: the other schedule.
        scale: the factor.
    """

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, scale: float
    ) -> None:
        super().__init__()
        self.schedule, self.scale = schedule, float(scale)

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of a step."""
        return self.scale * self.schedule(step)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the schedule."""
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "scale": self.scale}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ScaledSchedule":
        """Rebuilds a schedule."""
        schedule = keras.optimizers.schedules.deserialize(config["schedule"])
        return cls(schedule, config["scale"])


def _fresh_optimizer(config: dict[str, Any], no_decay: str | None) -> keras.optimizers.Optimizer:
    """Makes an optimizer from its config."""
    optimizer = keras.optimizers.deserialize(copy.deepcopy(config))  # some take it to pieces
    if no_decay:
        optimizer.exclude_from_weight_decay(var_names=[no_decay])
    return optimizer


def _require(name: str, value: Any) -> None:
    """Raises if the model has no loss or no optimizer and none was given."""
    if value is None:
        raise ValueError(
            f"{name}: the model is not compiled and none was given. Expected: a compiled "
            f"model, or {name}=... . Received: neither."
        )


def metrics_config(model: keras.Model) -> Any:
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
