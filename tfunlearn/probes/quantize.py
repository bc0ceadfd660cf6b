"""Rounded weights: a copy of a model as it would be deployed in few bits."""

from typing import Any, Literal

import keras
import numpy as np

from tfunlearn import models
from tfunlearn.methods.cf_k import own_weights

_LEVELS = 127  # int8 from -127 to 127, so that zero stays zero and signs are alike
_DEPTHWISE = (
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_KEPT = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.Normalization,
    keras.layers.PReLU,
)


def quantized(model: keras.Model, dtype: Literal["float16", "int8"] = "float16") -> keras.Model:
    """Returns a copy of a model whose kernels were rounded to fewer bits and back.

    Unlearning that moves weights by less than a step of the rounding is undone by it. Run the
    audit on the copy, and on rounded copies of the retrained models.

    Kernels are the weights with two or more axes, at any depth: of Dense, convolution, depthwise,
    separable and transposed convolution, recurrent and attention layers, and embeddings. Biases
    (weights whose names end so), and scales, shifts and statistics of normalisation layers keep
    their precision, as is usual where weights alone are rounded; so do the slopes of PReLU.

    Args:
        model: a built model; it is left as it was.
        dtype: ``"float16"`` rounds each weight to the nearest half-precision number. ``"int8"``
            rounds it to a whole multiple, from -127 to 127, of a step of its output channel: the
            channel's largest weight by size, divided by 127. An embedding has a step for each row;
            a kernel of a layer that is not Keras' own has its output channels on the last axis.

    Returns:
        The copy, uncompiled, with weights of the data types that they had: it computes as before,
        with rounded numbers. A model whose kernels are such numbers already comes out equal.

    Raises:
        TypeError: if ``model`` is not a Keras model.
        ValueError: if there is no kernel, a kernel is not finite or beyond half precision, or the
            data type is another one.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn import probes
        >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> net.set_weights([np.array([[127.0], [0.6]]), np.array([0.3])])
        >>> [weight.ravel().tolist() for weight in probes.quantized(net, "int8").get_weights()]
        [[127.0, 1.0], [0.30000001...]]

    Reference: Zhang et al., 2024, "Catastrophic Failure of LLM Unlearning via Quantization", arXiv
    2410.16454 (that rounding can bring back what was unlearned).
    Deviation: the paper rounds language models with deployed quantisers, to 4 and 8 bits; here
    weights are rounded to nearest, with ties to the even number, and computation is unchanged.
    Batch normalisation is not folded into convolutions first.
    """
    if dtype not in ("float16", "int8"):
        raise ValueError(f"dtype: expected 'float16' or 'int8'. Received: {dtype!r}.")
    twin = models.copy(model)
    rounded: set[int] = set()
    for layer in (twin, *models.iter_layers(twin)):
        for weight in _kernels(layer):
            if id(weight) not in rounded:
                rounded.add(id(weight))
                weight.assign(_round(layer, weight, dtype))
    if not rounded:
        raise ValueError(
            "model: nothing to round. Expected: at least one kernel, a weight with two or more "
            "axes outside normalisation layers. Received: none."
        )
    return twin


def _kernels(layer: keras.layers.Layer) -> list[Any]:
    """Returns the weights of a layer itself that are rounded."""
    if isinstance(layer, _KEPT):
        return []
    return [
        weight
        for weight in own_weights(layer)
        if len(weight.shape) > 1
        and not weight.name.endswith("bias")  # of attention and recurrent layers
        and "float" in keras.backend.standardize_dtype(weight.dtype)
    ]


def _round(layer: keras.layers.Layer, weight: Any, dtype: str) -> np.ndarray:
    """Returns a weight's rounded values, float64."""
    values = keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32")).astype("float64")
    limit = float(np.finfo("float16").max) if dtype == "float16" else np.inf
    if not np.isfinite(values).all() or np.abs(values).max() > limit:
        raise ValueError(
            f"model: {weight.path!r} cannot be rounded to {dtype}. Expected: finite weights"
            f"{f' of at most {limit:.0f}' if dtype == 'float16' else ''}. "
            f"Received: {np.abs(values).max()}."
        )
    if dtype == "float16":
        return values.astype("float16").astype("float64")
    within = tuple(set(range(values.ndim)) - _channel_axes(layer, weight))
    step = np.abs(values).max(axis=within, keepdims=True) / _LEVELS
    step[step == 0] = 1.0  # a channel of zeros
    return np.rint(values / step) * step


def _channel_axes(layer: keras.layers.Layer, weight: Any) -> set[int]:
    """Returns the axes of a weight that count its output channels."""
    last = len(weight.shape) - 1
    if isinstance(layer, keras.layers.Embedding):
        return {0}
    if isinstance(layer, keras.layers.EinsumDense):
        kernel, output = layer.equation.split(",")[1].split("->")
        return {axis for axis, letter in enumerate(kernel.strip()) if letter in output}
    if isinstance(layer, _TRANSPOSED):
        return {last - 1}
    if isinstance(layer, _DEPTHWISE) and "pointwise" not in weight.name:
        return {last - 1, last}
    return {last}
