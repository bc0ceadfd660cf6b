"""Exact unlearning of the last layers: drawn anew and trained without the forget set."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.cf_k import draw_anew, freeze_others, last_layers
from tfunlearn.methods.checks import check


def eu_k(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 10,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
    k: int = 1,
) -> keras.Model:
    """Draws the last k layers anew and trains them on the retain set; the others stay as they are.

    Nothing of the forget set is left in the last k layers; what the others know of it stays.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain``.
        seed: seed of the new weights, the dropout masks and the batch order.
        epochs: passes over the retain set; as many as the original was trained.
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
        k: layers that are drawn anew, counted as in ``cf_k``. All layers is retraining.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set, backwards through the
        last layers alone.

    Raises:
        ValueError: if ``k`` is below 1 or more than there are layers, there is no loss or no
            optimizer, or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Goel et al., 2022, "Towards Adversarial Evaluation of Inexact Machine Unlearning",
    arXiv 2201.06640, EU-k ("exact unlearning of the last k layers").
    Deviation: the length of the original's training is not known here; ``epochs`` says it. Batch
    normalisation in the layers that are held keeps its statistics as well.
    """
    check(model, split, {"retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    recipe = training.Recipe.of(model, loss=loss, optimizer=optimizer, learning_rate=learning_rate)
    student = models.copy(model, seed=seed)
    kept = last_layers(student, k)
    freeze_others(student, kept)
    draw_anew(student, model, kept, seed)
    recipe.compile(student, jit_compile=jit_compile)
    stream = batches(split, "retain", batch_size=batch_size, shuffle=True, seed=seed)
    training.fit(student, stream, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)
