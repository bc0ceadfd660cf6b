"""Backdoor success: how often a trigger still gets its target."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from tfunlearn import models
from tfunlearn.attacks.checks import check_level
from tfunlearn.attacks.intervals import clopper_pearson
from tfunlearn.data.labels import check_labels
from tfunlearn.probes.reading import AT_ONCE, check_count, require_finite, scores


@dataclass(frozen=True)
class BackdoorSuccess:
    """How often triggered inputs of other classes are given the target.

    Attributes:
        rate: the share of them, a fraction.
        low: lower end of its Clopper-Pearson interval.
        high: upper end.
        successes: inputs that are given the target.
        size: triggered inputs whose true class is another one.
        left_out: inputs whose true class is the target, which do not count.
        target: the target class.
        level: share of such intervals that hold the true share, as 0.95.
    """

    rate: float
    low: float
    high: float
    successes: int
    size: int
    left_out: int
    target: int
    level: float


def backdoor_success(
    model: keras.Model,
    triggered_inputs: Any,
    target_label: int,
    true_labels: ArrayLike | None = None,
    *,
    level: float = 0.95,
    batch_size: int = AT_ONCE,
) -> BackdoorSuccess:
    """Counts how many inputs with a trigger a model gives the target of the trigger.

    The number to compare with is that of a model retrained without the poisoned examples, which
    also mistakes some inputs for the target.

    Args:
        model: a built classifier; it is left as it was, and a copy is run in inference mode.
        triggered_inputs: inputs with the trigger on them, of shape ``(N, ...)``, as the model
            takes them.
        target_label: the class that the trigger stands for.
        true_labels: the inputs' true classes, integers of shape ``(N,)`` or ``(N, 1)``; inputs of
            the target class are left out. None if all inputs are of other classes, as those of
            ``data.scenarios.backdoor`` are (``scenario.triggered[0]``).
        level: level of the interval, inside (0, 1).
        batch_size: inputs a step.

    Returns:
        The share, with its exact interval. Costs one forward pass over the inputs.

    Raises:
        TypeError: if true labels are not integers.
        ValueError: if inputs do not fit the model or are not finite, no input of another class
            than the target is left, a label is no class of the model, or an option is out of
            range.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn import probes
        >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        >>> net.set_weights([np.eye(2), np.zeros(2)])
        >>> triggered = np.array([[1, 0], [1, 0], [0, 1], [1, 0]])
        >>> found = probes.backdoor_success(net, triggered, 0, [1, 1, 1, 0])
        >>> found.successes, found.size, round(found.low, 3), round(found.high, 3)
        (2, 3, 0.094, 0.992)

    Reference: Gu et al., 2017, "BadNets", arXiv 1708.06733; interval of Clopper and Pearson, 1934,
    "The use of confidence or fiducial limits illustrated in the case of the binomial".
    Deviation: none known.
    """
    net = models.copy(model)
    classes = models.num_classes(net)
    x = _inputs(net, triggered_inputs)
    if check_count("target_label", target_label, 0) >= classes:
        raise ValueError(f"target_label: expected less than {classes}. Received: {target_label!r}.")
    check_level(level)
    counted = _others(true_labels, len(x), int(target_label), classes)
    at_once = check_count("batch_size", batch_size)
    rows = [scores(net, x[start : start + at_once]) for start in range(0, len(x), at_once)]
    answers = np.concatenate(rows).argmax(axis=1)[counted]
    successes, size = int((answers == target_label).sum()), len(answers)
    share = clopper_pearson(successes, size, level=level)
    return BackdoorSuccess(
        rate=share.value,
        low=share.low,
        high=share.high,
        successes=successes,
        size=size,
        left_out=len(x) - size,
        target=int(target_label),
        level=share.level,
    )


def _inputs(net: keras.Model, triggered_inputs: Any) -> np.ndarray:
    """Returns inputs as an array that fits the model."""
    x = np.asarray(triggered_inputs)
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or x.ndim < 2 or not len(x):
        raise ValueError(
            "triggered_inputs: expected an array of numbers of shape (N, ...), with at least one "
            f"input. Received: {x.dtype} of shape {x.shape}."
        )
    shape = net.input_shape[1:] if getattr(net, "inputs", None) else x.shape[1:]
    alike = len(shape) == x.ndim - 1 and all(
        a in (None, b) for a, b in zip(shape, x.shape[1:], strict=True)
    )
    if not alike:
        raise ValueError(
            "triggered_inputs: they must have the shape that the model takes. "
            f"Expected: {tuple(shape)}. Received: {x.shape[1:]}."
        )
    require_finite("triggered_inputs", x)
    return x


def _others(true_labels: ArrayLike | None, count: int, target: int, classes: int) -> np.ndarray:
    """Tells which inputs are of another class than the target."""
    if true_labels is None:
        return np.ones(count, bool)
    labels = check_labels(true_labels, count, "true_labels")
    if labels.max() >= classes:
        raise ValueError(
            f"true_labels: expected classes of the model, below {classes}. "
            f"Received: {labels.max()}."
        )
    if (labels == target).all():
        raise ValueError(
            "true_labels: a trigger shows on inputs of other classes. Expected: one whose class "
            f"is not the target {target}. Received: none in {count}."
        )
    return labels != target
