"""Convolution transpose: turn every kernel over, then rebuild the rest from the retain set."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers as kinds

from tfunlearn import models, training
from tfunlearn.callbacks import LayerFilter, select_layers
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.checks import check
from tfunlearn.methods.rates import constant_rate, half_cosine

CONVOLUTIONS = (
    kinds.Conv2D,
    kinds.Conv2DTranspose,
    kinds.DepthwiseConv2D,
    kinds.SeparableConv2D,
)


def ct(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 8,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
    layers: LayerFilter = CONVOLUTIONS,
) -> keras.Model:
    """Transposes the kernels of all convolutions, then trains on the retain set.

    The learning rate falls from epoch to epoch along a half cosine.

    Args:
        model: the original, with convolutions; it is left as it was.
        split: the data; reads ``retain``.
        seed: seed of the dropout masks and the batch order.
        epochs: passes over the retain set.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        loss: loss on class ids or one-hot rows; by default the model's own.
        optimizer: optimizer with a constant learning rate; by default a fresh one like the
            model's own.
        learning_rate: learning rate of an optimizer like the model's own in the first epoch; by
            default the model's own.
        layers: which layers are transposed; see ``callbacks.select_layers``.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set.

    Raises:
        ValueError: if there is no convolution, a kernel is not square, the transpose changes
            nothing, or as ``finetune``.
        RuntimeError: if the training changed nothing or diverged.

    Reference: fifth place of the NeurIPS 2023 unlearning competition, "Convolution Transpose" in
    Cadet et al., 2024, arXiv 2410.01276.
    Deviation: optimizer and learning rate are the original's own rather than SGD at 0.001, and
    there are 8 epochs rather than 3.
    Depthwise, separable and transposed convolutions are turned as well; the source knows plain
    ones alone.
    """
    check(model, split, {"retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    training.check_epochs(epochs)
    rate = constant_rate(model, optimizer, learning_rate)
    recipe = training.Recipe.of(model, loss=loss, optimizer=optimizer, learning_rate=rate)
    student = models.copy(model, seed=seed)
    transpose_kernels(student, layers)
    recipe.compile(student, jit_compile=jit_compile)
    stream = batches(split, "retain", batch_size=batch_size, shuffle=True, seed=seed)
    own = [half_cosine(epochs), *callbacks]
    training.fit(student, stream, epochs=epochs, callbacks=own, verbose=verbose)
    return training.finish(student, model)


def transpose_kernels(
    model: keras.Model, layers: LayerFilter = CONVOLUTIONS
) -> tuple[list[str], list[str]]:
    """Swaps height and width of the kernels of a model's convolutions, in place.

    Args:
        model: the model to change.
        layers: which layers; by default all two-dimensional convolutions, at any depth.

    Returns:
        Names of the layers that were changed, and of those that match but stay as they were:
        1 x 1 and symmetric kernels, frozen layers.

    Raises:
        ValueError: if there is no convolution, no layer matches, a kernel is not square, or
            nothing was changed.

    Example:
        >>> from tfunlearn import methods, models
        >>> changed, same = methods.transpose_kernels(models.small_cnn(seed=0))
        >>> changed[0], len(changed), same
        ('stem', 3, [])
    """
    if not any(isinstance(layer, CONVOLUTIONS) for layer in models.iter_layers(model)):
        raise ValueError("model: expected a two-dimensional convolution. Received: none.")
    kernels = {
        layer: [weight for weight in layer.trainable_weights if len(weight.shape) == 4]
        for layer in select_layers(model, layers)
    }
    for layer, (height, width) in ((x, w.shape[:2]) for x, own in kernels.items() for w in own):
        if height != width:
            raise ValueError(
                "layers: only square kernels can be transposed. Expected: height equal to width. "
                f"Received: {height} x {width} in {layer.name!r}; name the others by layers=... ."
            )
    changed, same = [], []
    for layer, own in kernels.items():
        moved = [_transpose(kernel) for kernel in own]
        (changed if any(moved) else same).append(layer.name)
    if not changed:
        raise ValueError(
            "layers: the transpose changed no kernel. Expected: a kernel larger than 1 x 1, not "
            f"symmetric and not frozen. Received: {same}."
        )
    return changed, same


def _transpose(kernel: keras.Variable) -> bool:
    """Swaps the first two axes of a kernel; tells whether that changed it."""
    before = keras.ops.convert_to_numpy(kernel)
    after = np.swapaxes(before, 0, 1)
    kernel.assign(after)
    return not np.array_equal(before, after)
