"""Per-example gradients of a layer's weights from its two ends: inputs, and gradient at outputs."""

import itertools
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from keras import layers, ops

from tfunlearn.gradients.kinds import DEPTHWISE, NORMALIZATIONS


@dataclass(frozen=True)
class Plan:
    """What is to be known of a layer, without the layer.

    Attributes:
        kind: ``"dense"``, ``"convolution"``, ``"depthwise"``, ``"normalization"``, ``"einsum"`` or
            ``"lookup"``.
        kernel_shape: the shape of its kernel, if it has one; what follows is of convolutions.
        kernel_size: the size of its windows.
        strides: the step from a window to the next.
        dilation: the step inside a window.
        padding: ``"same"`` or ``"valid"``.
        groups: groups of channels.
        equation: of an einsum.
        bias_shape: of an einsum.
    """

    kind: str
    kernel_shape: tuple[int, ...] = ()
    kernel_size: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: str = "valid"
    groups: int = 1
    equation: str = ""
    bias_shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, layer: layers.Layer) -> "Plan":
        """Returns the plan of a layer."""
        if isinstance(layer, NORMALIZATIONS):
            return cls("normalization")
        if isinstance(layer, layers.Embedding):
            return cls("lookup", tuple(layer.embeddings.shape))
        shape = tuple(layer.kernel.shape)
        if isinstance(layer, layers.EinsumDense):
            bias = () if layer.bias is None else tuple(layer.bias.shape)
            return cls("einsum", shape, equation=layer.equation, bias_shape=bias)
        if isinstance(layer, layers.Dense):
            return cls("dense", shape)
        depthwise = isinstance(layer, DEPTHWISE)
        return cls(
            "depthwise" if depthwise else "convolution",
            shape,
            tuple(layer.kernel_size),
            tuple(layer.strides),
            tuple(layer.dilation_rate),
            layer.padding,
            1 if depthwise else layer.groups,
        )

    @classmethod
    def pair(cls, layer: layers.Layer) -> tuple["Plan", "Plan"]:
        """Returns the plans of a separable convolution's two parts."""
        where = tuple(layer.strides), tuple(layer.dilation_rate), layer.padding
        shape = tuple(layer.depthwise_kernel.shape)
        one, size = (1,) * (len(shape) - 2), tuple(layer.kernel_size)
        first = cls("depthwise", shape, size, *where)
        return first, cls("convolution", tuple(layer.pointwise_kernel.shape), one, one, one)


def rows(plan: Plan, name: str, x: Any, upstream: Any) -> Any:
    """Returns the gradient of each example with respect to one weight, from a layer's two ends.

    Args:
        plan: what is to be known of the layer.
        name: which of its weights.
        x: its inputs; of a normalisation, the normalised ones.
        upstream: the gradient at its outputs, before the activation.
    """
    if plan.kind == "einsum":
        return _of_einsum(plan, name, x, upstream)
    if plan.kind == "lookup":
        keys = ops.reshape(_keys(plan, x), (-1,))
        found = ops.reshape(upstream, (-1, plan.kernel_shape[1]))
        found = ops.segment_sum(found, keys, x.shape[0] * plan.kernel_shape[0])
        return ops.reshape(found, (x.shape[0], *plan.kernel_shape))
    size, channels = upstream.shape[0], upstream.shape[-1]
    flat = ops.reshape(upstream, (size, -1, channels))
    if name in ("bias", "beta"):
        return ops.sum(flat, axis=1)
    if name == "gamma":
        return ops.sum(ops.reshape(x, flat.shape) * flat, axis=1)
    if plan.kind == "dense":
        return ops.einsum("bti,bto->bio", ops.reshape(x, (size, -1, x.shape[-1])), flat)
    windows = _windows(plan, x, upstream.shape[1:-1])
    if plan.kind == "depthwise":
        parts = ops.reshape(flat, (size, -1, x.shape[-1], channels // x.shape[-1]))
        found = [ops.sum(window[..., None] * parts, axis=1) for window in windows]
    elif plan.groups > 1:
        parts = ops.reshape(flat, (size, flat.shape[1], plan.groups, -1))
        found = [_grouped(window, parts) for window in windows]
    else:
        found = [ops.matmul(ops.transpose(window, (0, 2, 1)), flat) for window in windows]
    return ops.reshape(ops.stack(found, axis=1), (size, *plan.kernel_shape))


def looked_up(plan: Plan, power: Callable, x: Any, upstream: Any) -> Any:
    """Returns the sum over examples of a power of their gradients, without a table for each.

    The gradients of a token that an example has several times are added up before the power.

    Args:
        plan: an embedding.
        power: what is summed.
        x: tokens, ``(batch, ...)``.
        upstream: the gradient at its outputs.
    """
    keys = ops.reshape(_keys(plan, x), (-1,))
    order = ops.argsort(keys)
    keys = ops.take(keys, order)
    slopes = ops.take(ops.reshape(upstream, (-1, plan.kernel_shape[1])), order, axis=0)
    new = ops.cast(keys[1:] != keys[:-1], "int32")
    place = ops.concatenate([ops.zeros((1,), "int32"), ops.cumsum(new)])  # of a token's sum
    count = keys.shape[0]
    sums = power(ops.segment_sum(slopes, place, count))
    owner = ops.maximum(ops.segment_max(keys, place, count), 0)  # 0 where there is no sum
    return ops.segment_sum(sums, owner % plan.kernel_shape[0], plan.kernel_shape[0])


def _keys(plan: Plan, x: Any) -> Any:
    """Returns a number for each example's token, ``(batch, tokens)``; -1 is the last."""
    size, rows = x.shape[0], plan.kernel_shape[0]
    tokens = ops.cast(ops.reshape(x, (size, -1)), "int32")
    return ops.where(tokens < 0, tokens + rows, tokens) + rows * ops.arange(size)[:, None]


def _of_einsum(plan: Plan, name: str, x: Any, upstream: Any) -> Any:
    """Returns the gradient of each example with respect to an einsum's kernel or bias."""
    if name == "bias":
        spread = len(upstream.shape) - len(plan.bias_shape)
        found = ops.sum(upstream, axis=tuple(range(1, spread))) if spread > 1 else upstream
        ones = tuple(place for place, size in enumerate(plan.bias_shape, 1) if size == 1)
        return ops.sum(found, axis=ones, keepdims=True) if ones else found
    inputs, kernel, outputs = plan.equation.replace("->", ",").split(",")
    free = [letter for letter in string.ascii_letters if letter not in plan.equation]
    between = "".join(free[: len(x.shape) - len(inputs.replace("...", ""))])
    inputs, outputs = (part.replace("...", between) for part in (inputs, outputs))
    return ops.einsum(f"{inputs},{outputs}->{inputs[0]}{kernel}", x, upstream)


def _grouped(window: Any, parts: Any) -> Any:
    """Returns ``(batch, channels of a group, filters)``: each group's inputs with its gradients."""
    inputs = ops.reshape(window, (*parts.shape[:3], -1))
    rows = ops.einsum("bpgi,bpgo->bigo", inputs, parts)
    return ops.reshape(rows, (*rows.shape[:2], -1))


def _windows(plan: Plan, x: Any, positions: tuple[int, ...]) -> Iterator[Any]:
    """Yields, for each place in a convolution's kernel, the inputs it meets at every position.

    The inputs are cut into blocks as long as the stride, so that no slice has a stride: those are
    slow on TensorFlow.

    Args:
        plan: the convolution.
        x: its inputs.
        positions: the size of its outputs.

    Yields:
        Tensors ``(batch, positions, channels)``.
    """
    blocks = [x.shape[0]]
    for axis, (m, k, s, d) in enumerate(
        zip(positions, plan.kernel_size, plan.strides, plan.dilation, strict=True), 1
    ):
        size, reach = x.shape[axis], (k - 1) * d
        missing = max((m - 1) * s + reach + 1 - size, 0) if plan.padding == "same" else 0
        length = (m + reach // s) * s
        ends = (missing // 2, max(length - size - missing // 2, 0))
        x = ops.pad(x, [ends if place == axis else (0, 0) for place in range(len(x.shape))])
        x = x[(*[slice(None)] * axis, slice(0, length))]
        blocks += [length // s, s]
    x = ops.reshape(x, (*blocks, x.shape[-1]))
    for place in itertools.product(*map(range, plan.kernel_size)):
        cut = [slice(None)]
        for o, m, s, d in zip(place, positions, plan.strides, plan.dilation, strict=True):
            cut += [slice(o * d // s, o * d // s + m), o * d % s]
        window = x[tuple(cut)]
        yield ops.reshape(window, (window.shape[0], -1, window.shape[-1]))
