"""Gradients of a score with respect to the inputs of a model."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfunlearn.gradients.autodiff import gradient
from tfunlearn.models import iter_layers


def input_gradients(score: Callable[[Any], Any], x: Any) -> Any:
    """Returns the gradient of each example's score with respect to that example.

    Can be used alone, inside a compiled function, and inside ``compute_loss``, where the result is
    differentiated once more with respect to the weights. The score must change no variable: run
    models in inference mode, without dropout.

    Args:
        score: function of inputs ``(batch, ...)`` that returns one number per example,
            ``(batch,)``; example i's must depend on input i alone.
        x: inputs, floating point.

    Returns:
        A tensor in the shape of ``x``.

    Raises:
        ValueError: if the inputs are whole numbers, which have no gradient, if the scores are not
            one number per example, or on another backend than TensorFlow, JAX and PyTorch.

    Example:
        >>> import numpy as np
        >>> from keras import ops
        >>> from tfunlearn import gradients
        >>> x = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
        >>> slopes = gradients.input_gradients(lambda x: ops.sum(x**2, -1), x)
        >>> ops.convert_to_numpy(slopes).tolist()
        [[2.0, 4.0], [6.0, 8.0]]
    """
    x = ops.convert_to_tensor(x)
    if "float" not in keras.backend.standardize_dtype(x.dtype):
        raise ValueError(
            "x: expected floating point inputs, which have a gradient. "
            f"Received: {keras.backend.standardize_dtype(x.dtype)}."
        )

    def total(inputs: list[Any]) -> Any:
        scores = score(inputs[0])
        if len(scores.shape) != 1:
            raise ValueError(
                "score: expected one number per example, shape (batch,). "
                f"Received shape {tuple(scores.shape)}."
            )
        return ops.sum(scores)

    return gradient(total, [x])[0]


def as_floats(model: keras.Model, x: Any) -> Any:
    """Returns inputs that have a gradient: whole numbers as float32, where the model takes floats.

    A pixel of 8 bits is the same number as a float. A token id is not, so that the inputs of a
    model that declares whole numbers, or looks them up in a table, are returned as they are.

    Args:
        model: the model.
        x: inputs ``(batch, ...)``.

    Returns:
        A tensor in the shape of ``x``.
    """
    x = ops.convert_to_tensor(x)
    declared = [part.dtype for part in getattr(model, "inputs", None) or ()]
    looked_up = any(isinstance(layer, keras.layers.Embedding) for layer in iter_layers(model))
    floats = all("float" in dtype for dtype in declared) and not looked_up
    if floats and "float" not in keras.backend.standardize_dtype(x.dtype):
        return ops.cast(x, "float32")
    return x
