"""Per-example gradients of a layer's weights from its two ends: inputs, and gradient at outputs."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keras import layers, ops

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)


@dataclass(frozen=True)
class Plan:
    """What is to be known of a layer, without the layer.

    Attributes:
        kind: ``"dense"``, ``"convolution"``, ``"depthwise"`` or ``"normalization"``.
        kernel_shape: the shape of its kernel, if it has one; what follows is of convolutions.
        kernel_size: the size of its windows.
        strides: the step from a window to the next.
        dilation: the step inside a window.
        padding: ``"same"`` or ``"valid"``.
        groups: groups of channels.
    """

    kind: str
    kernel_shape: tuple[int, ...] = ()
    kernel_size: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: str = "valid"
    groups: int = 1

    @classmethod
    def of(cls, layer: layers.Layer) -> "Plan":
        """Returns the plan of a layer."""
        if isinstance(layer, layers.BatchNormalization):
            return cls("normalization")
        shape = tuple(layer.kernel.shape)
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


def rows(plan: Plan, name: str, x: Any, upstream: Any) -> Any:
    """Returns the gradient of each example with respect to one weight, from a layer's two ends.

    Args:
        plan: what is to be known of the layer.
        name: which of its weights.
        x: its inputs; of batch normalisation, the normalised ones.
        upstream: the gradient at its outputs, before the activation.
    """
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
