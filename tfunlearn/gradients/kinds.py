"""The layers that can be tapped: what each is to be set to, its weights, and what they multiply."""

from typing import Any

from keras import layers, ops

from tfunlearn.models.precision import widened

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
NORMALIZATIONS = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
)
HOLDERS = (layers.MultiHeadAttention, layers.GroupQueryAttention)  # run each layer in them once
_KINDS = (
    layers.Dense,
    layers.EinsumDense,
    layers.Embedding,
    *CONVOLUTIONS,
    *DEPTHWISE,
    *SEPARABLE,
    *NORMALIZATIONS,
)
_NAMES = ("kernel", "bias", "gamma", "beta", "embeddings", "depthwise_kernel", "pointwise_kernel")


def plain(layer: layers.Layer) -> bool:
    """Tells whether a layer is of a kind, and set in a way, that a tap knows."""
    if type(layer) not in _KINDS or "call" in vars(layer):
        return False
    if isinstance(layer, layers.BatchNormalization):
        return layer.axis in (-1, layer.input_spec.ndim - 1) and not layer.renorm
    if isinstance(layer, NORMALIZATIONS):
        return layer.axis in (-1, [-1]) and not getattr(layer, "rms_scaling", False)
    if isinstance(layer, layers.EinsumDense):
        return _keeps_examples_apart(layer.equation)
    if isinstance(layer, layers.Dense | layers.Embedding):
        return True
    return layer.data_format == "channels_last" and layer.padding != "causal"


def named(layer: layers.Layer) -> dict[str, Any]:
    """Returns a layer's weights that a tap knows, by name."""
    if isinstance(layer, layers.RMSNormalization):
        return {"gamma": layer.scale}
    weights = {name: getattr(layer, name, None) for name in _NAMES}
    return {name: weight for name, weight in weights.items() if weight is not None}


def multiplied(layer: layers.Layer, x: Any) -> Any:
    """Returns what a layer's weights are multiplied with: its inputs, or the normalised ones.

    Args:
        layer: a plain layer.
        x: its inputs. Tokens are returned as float32, which has a gradient on every backend and
            holds whole numbers to 16 million.
    """
    if isinstance(layer, layers.Embedding):
        return ops.cast(x, "float32")
    if isinstance(layer, layers.BatchNormalization):
        return (x - layer.moving_mean) / ops.sqrt(layer.moving_variance + layer.epsilon)
    if not isinstance(layer, NORMALIZATIONS):
        return x
    x, axes, shape = widened(x), -1, x.shape
    if isinstance(layer, layers.RMSNormalization):
        return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + layer.epsilon)
    if isinstance(layer, layers.GroupNormalization):
        x = ops.reshape(x, (shape[0], -1, layer.groups, shape[-1] // layer.groups))
        axes = (1, 3)
    mean, variance = ops.moments(x, axes=axes, keepdims=True)
    return ops.reshape((x - mean) * ops.rsqrt(variance + layer.epsilon), shape)


def _keeps_examples_apart(equation: str) -> bool:
    """Tells whether the first axis of inputs and outputs is the batch, which no weight meets."""
    inputs, kernel, outputs = equation.replace("->", ",").split(",")
    if inputs.startswith("..."):
        return len(inputs) == 4 and outputs.startswith("...")
    return inputs[0] == outputs[0] and inputs[0] not in kernel
