"""Learning rates that a method changes from epoch to epoch, and so must know as numbers."""

import math
from typing import Any

import keras

from tfunlearn import training


def constant_rate(
    model: keras.Model,
    optimizer: Any = None,
    learning_rate: float | None = None,
    *,
    scale: float = 1.0,
) -> float | None:
    """Returns the learning rate to start from, for ``training.Recipe.of`` with the same optimizer.

    Args:
        model: the original.
        optimizer: the optimizer that was asked for, if any.
        learning_rate: the learning rate that was asked for, if any.
        scale: factor of the model's own learning rate, where neither was asked for.

    Returns:
        ``learning_rate`` if there is one; None if there is an optimizer; otherwise the scaled
        learning rate of the model's own optimizer, of a schedule the first one, or that which it
        warms up to.

    Raises:
        ValueError: if the optimizer that was asked for has a schedule, or there is no optimizer.
    """
    if optimizer is None and learning_rate is None:
        own = training.optimizer_like(model)
        schedule = _schedule(own)
        peak = None if schedule is None else schedule["config"].get("warmup_target")
        return training.OwnRate(scale * (rate_of(own) if peak is None else peak))
    if optimizer is not None and (schedule := _schedule(keras.optimizers.get(optimizer))):
        raise ValueError(
            "optimizer: this method changes the learning rate itself. Expected: a constant "
            f"learning rate. Received: {schedule['class_name']}."
        )
    return learning_rate


def _schedule(optimizer: keras.optimizers.Optimizer) -> dict[str, Any] | None:
    """Returns the config of an optimizer's schedule; None for a constant learning rate."""
    config = keras.optimizers.serialize(optimizer)["config"]
    while "inner_optimizer" in config:  # the wrapper of mixed precision
        config = config["inner_optimizer"]["config"]
    rate = config["learning_rate"]
    return rate if isinstance(rate, dict) else None


def adam_unless_given(
    model: keras.Model,
    optimizer: Any = None,
    learning_rate: float | None = None,
    *,
    default: float = 1e-3,
) -> keras.optimizers.Optimizer:
    """Returns a fresh optimizer: a copy of the given one, or Adam, whatever the model's own is.

    Args:
        model: the original.
        optimizer: the optimizer that was asked for, if any.
        learning_rate: learning rate of Adam.
        default: its learning rate, where none was asked for.

    Raises:
        ValueError: if both an optimizer and a learning rate are given.
    """
    if optimizer is None:
        training.check_rate(learning_rate)
        return keras.optimizers.Adam(default if learning_rate is None else learning_rate)
    return training.optimizer_like(model, optimizer=optimizer, learning_rate=learning_rate)


def half_cosine(epochs: int) -> keras.callbacks.Callback:
    """Returns a callback that lowers the learning rate before each epoch, along a half cosine.

    From the rate that the optimizer has before the first epoch, to 0 after the last one.

    Args:
        epochs: epochs of the training.
    """
    start: list[float] = []

    def rate(epoch: int, current: float) -> float:
        start.append(current)
        return start[0] * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))

    return keras.callbacks.LearningRateScheduler(rate)


def rate_of(optimizer: keras.optimizers.Optimizer) -> float:
    """Returns an optimizer's present learning rate, also where it is mirrored over replicas.

    Args:
        optimizer: the optimizer.
    """
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
