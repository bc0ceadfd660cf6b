"""How far two models' weights are from one another: all together, or weight by weight."""

from typing import Any, NamedTuple

import keras
import numpy as np


class LayerDistance(NamedTuple):
    """How far one weight is from its counterpart.

    Attributes:
        absolute: Euclidean distance, in weight units.
        relative: the distance as a fraction of the weight's own Euclidean norm; None where that
            is 0, as for a bias that was never trained.
    """

    absolute: float
    relative: float | None


def weight_distance(a: keras.Model, b: keras.Model, *, relative: bool = False) -> float:
    """Returns the Euclidean distance between all weights of two models of one architecture.

    Args:
        a: a built model; the distance is taken from here.
        b: a built model with the same weight shapes in the same order.
        relative: divide by the Euclidean norm of the weights of ``a``.

    Returns:
        The distance in weight units, or as a fraction of the norm of ``a``. Batch normalisation
        statistics count as weights.

    Raises:
        ValueError: if the two models do not hold weights of the same shapes.

    Example:
        >>> from tfunlearn import models
        >>> net = models.small_cnn(seed=0)
        >>> models.weight_distance(net, models.copy(net))
        0.0
    """
    _require_same_shapes(a, b)
    moved = norm = 0.0
    for pair in zip(a.weights, b.weights, strict=True):
        distance, length = _squares(*pair)
        moved, norm = moved + distance, norm + length
    if not relative:
        return float(np.sqrt(moved))
    if norm == 0.0:
        raise ValueError("a: its weights are all zero, so a relative distance is not defined.")
    return float(np.sqrt(moved / norm))


def layer_distances(a: keras.Model, b: keras.Model) -> dict[str, LayerDistance]:
    """Returns the Euclidean distance of every weight of two models of one architecture.

    It shows where a method worked: in the last layer only, in a few, or everywhere.

    Args:
        a: a built model; the distances are taken from here.
        b: a built model with the same weight shapes in the same order. Names may differ.

    Returns:
        Path of the weight in ``a`` (``"net/head/kernel"``) to its absolute and relative distance,
        in the order of ``a.weights``. Batch normalisation statistics count as weights. The squared
        absolute distances sum to the square of ``weight_distance``.

    Raises:
        ValueError: if the two models do not hold weights of the same shapes, or if two weights of
            ``a`` have one path.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from tfunlearn import models
        >>> head = keras.layers.Dense(1, kernel_initializer="ones", name="head")
        >>> net = keras.Sequential([keras.Input((4,)), head], name="net")
        >>> other = models.copy(net)
        >>> other.set_weights([np.array([[1.0], [1.0], [1.0], [2.0]]), np.array([0.5])])
        >>> for path, distance in models.layer_distances(net, other).items():
        ...     print(path, *distance)
        net/head/kernel 1.0 0.5
        net/head/bias 0.5 None
    """
    _require_same_shapes(a, b)
    paths = [weight.path for weight in a.weights]
    if len(set(paths)) < len(paths):
        twice = sorted({path for path in paths if paths.count(path) > 1})
        raise ValueError(
            "a: every weight needs a path of its own to be listed under. Expected: layers of "
            f"different names. Received more than once: {', '.join(twice)}."
        )
    found = {}
    for path, left, right in zip(paths, a.weights, b.weights, strict=True):
        moved, norm = _squares(left, right)
        relative = float(np.sqrt(moved / norm)) if norm > 0 else None
        found[path] = LayerDistance(float(np.sqrt(moved)), relative)
    return found


def _require_same_shapes(a: keras.Model, b: keras.Model) -> None:
    """Raises if two models do not hold weights of the same shapes in the same order."""
    shapes_a = [tuple(weight.shape) for weight in a.weights]
    shapes_b = [tuple(weight.shape) for weight in b.weights]
    if shapes_a != shapes_b:
        raise ValueError(
            "b: the two models must have the same weight shapes in the same order. "
            f"Expected: {len(shapes_a)} weights as in a. Received: {len(shapes_b)} weights; "
            f"first difference: {_first_difference(shapes_a, shapes_b)}."
        )


def _squares(left: Any, right: Any) -> tuple[float, float]:
    """Returns the squared distance of two weights, and the squared norm of the first."""
    left, right = (
        np.asarray(keras.ops.convert_to_numpy(side), "float64") for side in (left, right)
    )
    return float(np.sum((left - right) ** 2)), float(np.sum(left**2))


def _first_difference(left: list[tuple], right: list[tuple]) -> str:
    """Names the first place at which two lists of shapes part."""
    for position, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return f"weight {position} is {a} and {b}"
    return "one model has more weights than the other"
