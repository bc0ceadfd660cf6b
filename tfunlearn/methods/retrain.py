"""Exact unlearning: training again without the forget set."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.checks import check


def retrain(
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
    initialize: Callable[[int], keras.Model] | None = None,
) -> keras.Model:
    """Trains a fresh model of the same architecture on the retain set alone: the reference.

    Args:
        model: the original; its weights are not used, except those of frozen layers.
        split: the data; reads ``retain``.
        seed: seed of the initial weights, the dropout masks and the batch order.
        epochs: passes over the retain set; for a reference as many as the original was given.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        loss: loss on class ids or one-hot rows; by default the model's own.
        optimizer: optimizer; by default a fresh one like the model's own.
        initialize: function of the seed that returns the model to start from, where a fresh draw
            is not the right start (a backbone that was trained on other data, say).

    Returns:
        The retrained model. Costs ``epochs`` passes over the retain set.

    Raises:
        TypeError: if ``initialize`` is no function, or gives no model.
        ValueError: if there is no loss or no optimizer, or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: exact unlearning by retraining, as in the MNIST notebook; Bourtoule et al., 2021,
    "Machine Unlearning", arXiv 1912.03817, section III.
    Deviation: a long training of a dense network on a CPU (6,000 steps) is compiled as a whole, and
    its dropout masks are drawn by a hash rather than by Keras; ``jit_compile=False`` for Keras'.
    """
    check(model, split, {"retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    if initialize is not None and not callable(initialize):
        raise TypeError(f"initialize: expected a function of the seed. Received: {initialize!r}.")
    recipe = training.Recipe.of(model, loss=loss, optimizer=optimizer)
    if initialize is None:
        student = models.reinitialized(model, seed=seed)
    else:
        student = models.copy(initialize(seed), seed=seed)
    recipe.compile(student, jit_compile=jit_compile)
    stream = batches(split, "retain", batch_size=batch_size, shuffle=True, seed=seed)
    options = {"callbacks": callbacks, "verbose": verbose, "fresh": initialize is None}
    training.fit(student, stream, epochs=epochs, **options)
    return training.finish(student, model)
