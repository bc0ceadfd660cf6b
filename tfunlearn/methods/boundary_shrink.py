"""Boundary shrink: each forget example takes the class that lies behind the nearest boundary."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfunlearn import gradients, models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.losses import cross_entropy
from tfunlearn.methods.bounds import check_level, stopping
from tfunlearn.methods.cf_k import freeze_others, kernel_layers, last_layers
from tfunlearn.methods.checks import check, check_count, check_positive
from tfunlearn.methods.descent import Descent
from tfunlearn.models.precision import widened


def boundary_shrink(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 20,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    optimizer: Any = None,
    learning_rate: float | None = None,
    epsilon: float = 0.1,
    bounds: tuple[float, float] | None = None,
    exclude_true: bool = True,
    k: int | None = 2,
    stop_accuracy: float | Literal["auto"] | None = "auto",
) -> keras.Model:
    """Trains the forget set towards the classes that its neighbours across the boundary have.

    The neighbour of an example is ``x + epsilon sign(grad_x CE(f(x), y))``, cut off at the bounds,
    and its new label the class that the original gives to the neighbour. The loss is the
    cross-entropy of the examples themselves with these labels. The model runs in inference mode.

    Args:
        model: the original, which takes floating point inputs; it is left as it was.
        split: the data, whose forget set holds whole classes; reads ``forget``.
        seed: seed of the batch order.
        epochs: passes over the forget set, at most.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default a
            twentieth of its own.
        epsilon: length of the step in each input value, in units of the inputs, above 0.
        bounds: smallest and largest input value; by default those of the forget set.
        exclude_true: take the likeliest class but the true one; if False, whatever class the
            neighbour has, which is the true one where the step does not reach the boundary.
        k: how many layers with kernels train, from the last, or all where there are fewer; None
            for the whole network.
        stop_accuracy: forget accuracy in [0, 1] at which to stop, exactly there rather than at the
            end of the epoch; ``"auto"`` for chance; None to train for all epochs.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the forget set, and before them one
        gradient with respect to its inputs and one or two passes.

    Raises:
        ValueError: if there is no optimizer, ``epsilon``, ``bounds``, ``k`` or the level is out of
            range, the model takes whole numbers, the forget set leaves a part of its classes, or
            model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Chen et al., 2023, "Boundary Unlearning: Rapid Forgetting of Deep Networks via
    Shifting the Decision Boundary", arXiv 2303.11570 (boundary shrink).
    Deviation: inputs are cut off at their own bounds, where the official code takes [0, 1] and
    8-bit steps whether or not inputs are normalised. That code does not exclude the true class
    (``exclude_true=False``). The training stops at a level (``stop_accuracy=None`` for no stop;
    the paper trains for 10 epochs). By default the last two layers alone train, since small
    networks lost more of what was to stay when all did (``k=None``). The learning rate follows the
    original's.
    """
    check(model, split, {"forget"}, seed=seed, whole_classes=True)
    split = split.unweighted()
    check_positive(epsilon=epsilon)
    check_level(stop_accuracy)
    optimizer = training.optimizer_like(
        model, optimizer=optimizer, learning_rate=learning_rate, scale=0.05
    )
    student = models.logits_model(model, seed=seed)
    train_last(student, k)
    options = {"batch_size": batch_size, "seed": seed}
    still = batches(split, "forget", **options)
    low, high = _bounds(still) if bounds is None else _check_bounds(bounds)
    labels = [
        _neighbours(student, x, y, epsilon, (low, high), exclude_true)
        for x, y in training.iterate(still)
    ]
    changed = split.relabelled("forget", np.concatenate(labels))
    descent = Descent(student, frozen_statistics=True)
    descent.compile(optimizer, jit_compile=jit_compile)
    named = batches(split, "forget", named=True, **options)
    rules = stopping(stop_accuracy, split, descent, named, models.num_classes(model))
    stream = batches(changed, "forget", shuffle=True, named=True, **options)
    training.fit(descent, stream, epochs=epochs, callbacks=[*rules, *callbacks], verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def train_last(student: keras.Model, k: int | None) -> None:
    """Freezes all but the last k layers with kernels, if there are more; none if k is None.

    Args:
        student: a model that is not compiled yet, changed in place.
        k: a whole number of at least 1, or None.

    Raises:
        ValueError: if it is something else.
    """
    if k is None:
        return
    check_count(k=k)
    if k < len(kernel_layers(student)):
        freeze_others(student, last_layers(student, k))


def _neighbours(
    original: keras.Model,
    x: Any,
    y: Any,
    epsilon: float,
    bounds: tuple[float, float],
    exclude_true: bool,
) -> np.ndarray:
    """Returns the class of each example's neighbour across the boundary."""
    x = gradients.as_floats(original, x)
    slopes = gradients.input_gradients(
        lambda x: cross_entropy(y, widened(original(x, training=False))), x
    )
    near = ops.clip(x + epsilon * ops.sign(slopes), *bounds)
    scores = ops.convert_to_numpy(original(near, training=False)).astype("float64")
    if exclude_true:
        scores[np.arange(len(scores)), ops.convert_to_numpy(y).reshape(-1)] = -np.inf
    return scores.argmax(-1)


def _bounds(stream: Any) -> tuple[float, float]:
    """Returns the smallest and the largest value of the inputs."""
    ends = [(float(ops.min(x)), float(ops.max(x))) for x, _ in training.iterate(stream)]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _check_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    """Returns bounds as numbers, or raises."""
    if np.shape(bounds) != (2,) or not bounds[0] < bounds[1]:
        raise ValueError(
            "bounds: expected the smallest and the largest input value. "
            f"Expected: (low, high) with low < high. Received: {bounds!r}."
        )
    return float(bounds[0]), float(bounds[1])
