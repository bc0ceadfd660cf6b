"""Forgetting by going on: more training on the retain set alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.checks import check


def finetune(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 5,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
) -> keras.Model:
    """Goes on training the original on the retain set, and leaves the rest to forgetting.

    Args:
        model: the original; it is left as it was.
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
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default the
            model's own.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set.

    Raises:
        ValueError: if there is no loss or no optimizer, both an optimizer and a learning rate are
            given, or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Warnecke et al., 2023, "Machine Unlearning of Features and Labels",
    arXiv 2108.11577; Golatkar et al., 2020, arXiv 1911.04933 (as a baseline).
    Deviation: by default optimizer and learning rate are the original's own, not 0.01 or 0.1.
    Dropout masks of long trainings as in ``retrain``.
    """
    check(model, split, {"retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    recipe = training.Recipe.of(model, loss=loss, optimizer=optimizer, learning_rate=learning_rate)
    student = models.copy(model, seed=seed)
    recipe.compile(student, jit_compile=jit_compile)
    stream = batches(split, "retain", batch_size=batch_size, shuffle=True, seed=seed)
    training.fit(student, stream, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(student, model)
