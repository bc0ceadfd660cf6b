"""Fisher forgetting: noise where the retain set leaves the weights free."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from tfunlearn import gradients, models, training
from tfunlearn.data import ForgetSplit
from tfunlearn.data.streams import batches_to_read
from tfunlearn.methods.checks import check, check_not_negative
from tfunlearn.methods.importance import cross_entropy

_LARGEST, _LARGEST_IN_HEAD = 1e3, 1e2  # bounds of 1 / F
_MORE = 10.0  # times the variance for the head, and for biases and normalisation
_CLEARED = 1e-4  # variance of the head's weights of a class that is gone


def fisher_forgetting(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    batch_size: int = 128,
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    alpha: float = 3e-7,
    clear_head: bool = True,
) -> keras.Model:
    """Adds noise to every weight, the more of it the less the retain set depends on that weight.

    The Fisher information of a weight is F, the mean over the retain set of
    ``sum_y p(y|x) (d log p(y|x) / dw)^2``. The noise has variance ``alpha / F``, where 1 / F is at
    most 1,000 (100 in the last layer) and its mean over the inputs of a kernel is taken; times 10
    in the last layer, in biases and in normalisation.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain`` and the labels of ``forget``.
        seed: seed of the noise.
        batch_size: examples a batch; without effect on the result.
        jit_compile: True for XLA; ``"auto"`` leaves that to JAX alone.
        verbose: without effect: there is no progress to show.
        alpha: strength of the noise, at least 0.
        clear_head: where a class goes altogether, replace the last layer's weights of that class
            by noise of variance 0.001 about 0.

    Returns:
        The unlearned model. Costs as many passes over the retain set with gradients as there are
        classes, no training.

    Raises:
        ValueError: if ``alpha`` is negative, the noise changed no weight, the last kernel does not
            give the class scores, or model and split do not fit together.

    Reference: Golatkar, Achille and Soatto, 2020, "Eternal Sunshine of the Spotless Net: Selective
    Forgetting in Deep Networks", arXiv 1911.04933; bounds and factors as in its official code.
    Deviation: ``alpha`` is 3e-7, where that code has 1e-6 to 3e-6, which takes several points of
    retain accuracy from small dense networks. The information is computed for whole batches and
    equals that of the official loop over single examples.
    """
    check(model, split, {"retain", "forget"}, seed=seed)
    check_not_negative(alpha=alpha)
    student = models.copy(model)  # first, as it fails where a model cannot be copied
    information = fisher_diagonal(model, split, batch_size=batch_size, jit_compile=jit_compile)
    head = _head(student)
    flat = {id(layer.kernel) for layer in models.iter_layers(student) if _depthwise(layer)}
    gone = np.flatnonzero((split.class_counts("forget") > 0) & (split.class_counts("retain") == 0))
    numbers = np.random.default_rng(seed)
    moved = False
    for weight, fisher in zip(student.trainable_variables, information, strict=True):
        last = any(weight is own for own in head)
        variance = _variance(fisher, alpha, last=last, averaged=id(weight) not in flat)
        before = ops.convert_to_numpy(weight)
        mean = before.copy()
        if last and clear_head:
            mean[..., gone] = 0.0
            variance[..., gone] = _MORE * _CLEARED
        noise = np.sqrt(variance) * numbers.standard_normal(before.shape, dtype="float32")
        after = (mean + noise).astype(before.dtype)
        moved |= not np.array_equal(before, after)
        weight.assign(after)
    if not moved:
        raise ValueError(
            f"alpha: the noise changed no weight. Expected: above 0. Received: {alpha!r}."
        )
    return training.finish(student, model)


def fisher_diagonal(
    model: keras.Model, split: ForgetSplit, *, batch_size: int, jit_compile: bool | str
) -> list[np.ndarray]:
    """Returns the Fisher information of each trainable weight on the retain set, float64.

    Args:
        model: a classifier.
        split: the data; reads ``retain``.
        batch_size: examples a batch.
        jit_compile: as in ``gradients.gradient_sum``.
    """
    net = models.logits_reader(model)
    classes = models.num_classes(model)
    stream = batches_to_read(split, "retain", batch_size)
    sums, terms = gradients.gradient_sum(
        net,
        _every_label(stream, classes),
        _weighted_by_root,
        of="square",
        per="example",
        jit_compile=jit_compile,
    )
    return [part * classes / terms for part in sums]


def _every_label(stream: Any, classes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each batch once with every label."""
    for x, _ in training.iterate(stream):
        x = ops.convert_to_numpy(x)
        for label in range(classes):
            yield x, np.full(len(x), label)


def _weighted_by_root(y: Any, logits: Any) -> Any:
    """Returns cross-entropies times the root of p(y|x), whose squared gradients bear p(y|x)."""
    losses = cross_entropy(y, logits)
    return losses * ops.stop_gradient(ops.exp(-0.5 * losses))


def _variance(fisher: np.ndarray, alpha: float, *, last: bool, averaged: bool) -> np.ndarray:
    """Returns the variance of the noise of one weight."""
    inverse = np.minimum(1.0 / (fisher + 1e-8), _LARGEST_IN_HEAD if last else _LARGEST)
    if inverse.ndim > 1 and averaged:
        inverse = np.broadcast_to(inverse.mean(axis=-2, keepdims=True), inverse.shape)
    return alpha * inverse * (_MORE if last or inverse.ndim == 1 else 1.0)


def _depthwise(layer: keras.layers.Layer) -> bool:
    """Tells whether no output of a layer's kernel has several input channels."""
    return isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)


def _head(model: keras.Model) -> list[Any]:
    """Returns the weights of the last layer with a kernel, the one that gives the class scores."""
    found = [layer for layer in models.iter_layers(model) if hasattr(layer, "kernel")]
    classes = models.num_classes(model)
    if not found or found[-1].kernel.shape[-1] != classes:
        received = f"a last kernel of shape {tuple(found[-1].kernel.shape)}" if found else "none"
        raise ValueError(
            "model: its last kernel must give the class scores. "
            f"Expected: a kernel with {classes} outputs. Received: {received}."
        )
    return found[-1].weights
