"""How far two models' weights are from one another."""

import keras
import numpy as np


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
    shapes_a = [tuple(weight.shape) for weight in a.weights]
    shapes_b = [tuple(weight.shape) for weight in b.weights]
    if shapes_a != shapes_b:
        raise ValueError(
            "b: the two models must have the same weight shapes in the same order. "
            f"Expected: {len(shapes_a)} weights as in a. Received: {len(shapes_b)} weights; "
            f"first difference: {_first_difference(shapes_a, shapes_b)}."
        )
    moved = norm = 0.0
    for left, right in zip(a.get_weights(), b.get_weights(), strict=True):
        left = np.asarray(left, "float64")
        moved += float(np.sum((left - np.asarray(right, "float64")) ** 2))
        norm += float(np.sum(left**2))
    if not relative:
        return float(np.sqrt(moved))
    if norm == 0.0:
        raise ValueError("a: its weights are all zero, so a relative distance is not defined.")
    return float(np.sqrt(moved / norm))


def _first_difference(left: list[tuple], right: list[tuple]) -> str:
    """Names the first place at which two lists of shapes part."""
    for position, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return f"weight {position} is {a} and {b}"
    return "one model has more weights than the other"
