"""Class forgetting without gradients: what only the forgotten class activates is projected away."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.checks import check, check_count, check_not_negative
from tfunlearn.models.listening import listening

Layer = keras.layers.Layer
_KINDS = (keras.layers.Dense, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
_VALUES = 2**25  # of a layer's inputs at once, 256 MB, or those of one example


def svd_class(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    batch_size: int = 128,
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    samples: int = 900,
    alpha_retain: float = 100.0,
    alpha_forget: float = 10.0,
) -> keras.Model:
    """Projects the kernels away from what the forgotten class activates and the others do not.

    For each Dense, Conv2D and DepthwiseConv2D layer let R hold the inputs that the layer gets (for
    a convolution: every patch) from a sample of a role, with singular vectors U and values s. Of
    these, ``v = s^2 / sum s^2``, ``L = alpha v / ((alpha - 1) v + 1)`` and ``M = U diag(L) U^T``.
    The layer's kernel K becomes ``P K`` with ``P = I - M_f + M_f M_r``. Biases, normalisation and
    other layers stay as they are.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain`` and ``forget``.
        seed: without effect: the samples lie evenly spread over their role.
        batch_size: examples that pass through the model at once.
        jit_compile: without effect: nothing is compiled.
        verbose: 0 for silence, otherwise a progress bar over the layers.
        samples: examples of each role, or all where there are fewer; at least 1.
        alpha_retain: scale of what is kept (alpha_r), at least 0; the higher, the more directions
            count as the retain set's in full.
        alpha_forget: scale of what is removed (alpha_f), at least 0; the higher, the more goes.

    Returns:
        The unlearned model. Costs one pass over the samples and a singular value decomposition
        of each layer's inputs; no training.

    Raises:
        ValueError: if a number is outside its range, no layer can be projected, the projection
            changed nothing, or model and split do not fit together.

    Reference: Kodge, Saha and Roy, 2024, "Deep Unlearning: Fast and Efficient Gradient-free
    Approach to Class Forgetting", TMLR, arXiv 2312.00761, algorithm 1.
    Deviation: one pair of scales, where the paper searches for the best; the official code's
    default for ``alpha_forget`` is 3, which leaves small networks much of the class. All patches
    of the samples count, where that code draws 10,000. Grouped and depthwise convolutions are
    projected group by group, which the paper does not treat.
    """
    check(model, split, {"retain", "forget"}, seed=seed, whole_classes=True)
    split = split.unweighted()
    _check_numbers(samples, alpha_retain, alpha_forget)
    student = models.copy(model)
    layers = [x for x in models.iter_layers(student) if isinstance(x, _KINDS) and x.trainable]
    if not layers:
        raise ValueError(
            "model: expected a Dense, Conv2D or DepthwiseConv2D layer that is not frozen. "
            "Received: none."
        )
    retain, forget = (
        _spectra(student, layers, _sample(split, role, samples, batch_size))
        for role in ("retain", "forget")
    )
    bar = keras.utils.Progbar(len(layers), verbose=1 if verbose else 0)
    moved = False
    for layer, of_retain, of_forget in zip(layers, retain, forget, strict=True):
        moved |= _project(layer, (of_retain, alpha_retain), (of_forget, alpha_forget))
        bar.add(1)
    if not moved:
        raise ValueError(
            "alpha_forget: the projection changed no kernel. Expected: a positive number, and "
            f"inputs that are not all 0. Received: {alpha_forget!r}."
        )
    return training.finish(student, model)


def _check_numbers(samples: int, alpha_retain: float, alpha_forget: float) -> None:
    """Raises unless the numbers are inside their ranges."""
    check_count(samples=samples)
    check_not_negative(alpha_retain=alpha_retain, alpha_forget=alpha_forget)


def _sample(split: ForgetSplit, role: str, samples: int, batch_size: int) -> Iterator[np.ndarray]:
    """Yields batches of inputs that lie evenly spread over a role."""
    size = split.size(role)
    places = np.linspace(0, size - 1, min(samples, size)).round().astype("int64")
    some = split.subset(role, places)
    for x, _ in training.iterate(batches(some, role, batch_size=batch_size)):
        yield keras.ops.convert_to_numpy(x)


def _spectra(
    model: keras.Model, layers: list[Layer], inputs: Iterator[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns ``v`` and ``U^T`` of each layer's inputs, stacked over the layer's groups."""
    factors: dict[int, np.ndarray] = {}

    def note(layer: Layer, x: Any) -> None:
        for block in _blocks(layer, keras.ops.convert_to_numpy(x)):
            rows, known = _rows(layer, block), factors.get(id(layer))
            rows = rows if known is None else np.concatenate([known, rows], axis=1)
            if rows.shape[1] > rows.shape[2]:  # the triangular factor has the same U and s
                rows = np.linalg.qr(rows, mode="r")
            factors[id(layer)] = rows

    with listening(layers, note):
        for x in inputs:
            model(x, training=False)
    absent = [layer.name for layer in layers if id(layer) not in factors]
    if absent:
        raise ValueError(f"model: expected layers that the model runs. Received: {absent}.")
    spectra = []
    for layer in layers:
        _, values, vectors = np.linalg.svd(factors[id(layer)], full_matrices=False)
        power = values**2
        total = power.sum(-1, keepdims=True)
        spectra.append((power / np.where(total > 0, total, 1.0), vectors))
    return spectra


def _blocks(layer: Layer, x: np.ndarray) -> Iterator[np.ndarray]:
    """Yields parts of a batch whose rows are few enough to hold at once."""
    taps = 1 if isinstance(layer, keras.layers.Dense) else math.prod(layer.kernel_size)
    size = max(1, _VALUES // (taps * math.prod(x.shape[1:])))
    for start in range(0, len(x), size):
        yield x[start : start + size].astype("float64")


def _rows(layer: Layer, x: np.ndarray) -> np.ndarray:
    """Returns a layer's inputs as ``(groups, rows, fan-in)``, a row for each dot product."""
    if isinstance(layer, keras.layers.Dense):
        return x.reshape(1, -1, x.shape[-1])
    if layer.data_format == "channels_first":
        x = np.moveaxis(x, 1, -1)
    patches = _patches(x, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    count, taps, channels = patches.shape
    groups = _groups(layer)
    patches = patches.reshape(count, taps, groups, channels // groups)
    return patches.transpose(2, 0, 1, 3).reshape(groups, count, -1)


def _patches(
    x: np.ndarray, size: tuple, strides: tuple, dilation: tuple, padding: str
) -> np.ndarray:
    """Returns the patches that a convolution sees, ``(patches, taps, channels)``."""
    reach = [(s - 1) * d + 1 for s, d in zip(size, dilation, strict=True)]
    pads = [(0, 0), (0, 0)]
    if padding == "same":
        lengths = zip(x.shape[1:3], strides, reach, strict=True)
        total = [max((math.ceil(n / s) - 1) * s + r - n, 0) for n, s, r in lengths]
        pads = [(t // 2, t - t // 2) for t in total]
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    lengths = zip(x.shape[1:3], strides, reach, strict=True)
    height, width = ((n - r) // s + 1 for n, s, r in lengths)
    taps = [
        x[:, i : i + strides[0] * height : strides[0], j : j + strides[1] * width : strides[1]]
        for i in range(0, reach[0], dilation[0])
        for j in range(0, reach[1], dilation[1])
    ]
    return np.stack([tap[:, :height, :width] for tap in taps], axis=3).reshape(
        -1, len(taps), x.shape[-1]
    )


def _groups(layer: Layer) -> int:
    """Returns how many groups of channels a layer keeps apart."""
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return layer.kernel.shape[2]
    return getattr(layer, "groups", 1)


def _project(
    layer: Layer,
    retain: tuple[tuple[np.ndarray, np.ndarray], float],
    forget: tuple[tuple[np.ndarray, np.ndarray], float],
) -> bool:
    """Replaces a layer's kernel K by ``P K``; tells whether that changed it."""
    before = keras.ops.convert_to_numpy(layer.kernel)
    groups = _groups(layer)
    kernel = before.astype("float64")
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    columns = kernel.reshape(-1, groups, kernel.shape[-1] // groups).transpose(1, 0, 2)
    removed = _apply(forget, columns - _apply(retain, columns))
    after = (columns - removed).transpose(1, 0, 2).reshape(before.shape).astype(before.dtype)
    layer.kernel.assign(after)
    return not np.array_equal(before, after)


def _apply(space: tuple[tuple[np.ndarray, np.ndarray], float], columns: np.ndarray) -> np.ndarray:
    """Returns ``M K`` for the space of a role, group by group."""
    (share, vectors), alpha = space
    scale = alpha * share / ((alpha - 1) * share + 1) if alpha > 0 else np.zeros_like(share)
    return np.swapaxes(vectors, 1, 2) @ (scale[..., None] * (vectors @ columns))
