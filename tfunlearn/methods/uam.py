"""Forgetting by keeping the retain loss low at a point where the forget loss is high."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, pairs
from tfunlearn.gradients.kept import KeptGradients, norm
from tfunlearn.methods.checks import check, check_not_negative
from tfunlearn.methods.descent import Descent
from tfunlearn.methods.rates import constant_rate, rate_of


def uam(
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
    optimizer: Any = None,
    learning_rate: float | None = None,
    rho: float = 0.2,
    anneal: bool = True,
    frozen_statistics: bool = False,
) -> keras.Model:
    """Descends on the retain loss as seen from a point where the forget loss is higher.

    Each step goes up the forget loss by the length ``rho``, takes the gradient of the retain loss
    there, and applies it to the weights from which it set out.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget`` and ``retain``.
        seed: seed of the batch order and the dropout masks.
        epochs: passes over the retain set; the forget set comes round as often as that takes.
        batch_size: examples of each role in a batch.
        callbacks: Keras callbacks; they see epochs.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the losses on retain and forget, as the original's
            ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default its own.
        rho: length of the way up, at least 0, in the units of the weights.
        anneal: lower ``rho`` and the learning rate from step to step, to zero at the end, along a
            half cosine. Without it the weights end where the forget loss is low, not high.
        frozen_statistics: run retain batches in inference mode too: batch statistics stay as they
            are, and there is no dropout. If False, statistics come from retain batches alone, at
            the point up the forget loss.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set, and as many batches of
        the forget set.

    Raises:
        ValueError: if there is no optimizer, one with a schedule is to be annealed, ``rho`` is
            negative, or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Kim et al., 2025, "Unlearning-Aware Minimization", NeurIPS 2025.
    Deviation: written from the paper's formula as the package torchunlearn has it, without the
    projection that is unused there. That package anneals ``rho`` alone, and takes the forget
    gradient in training mode; here that is in inference mode. Decoupled weight decay acts at the
    point up the forget loss.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    check_not_negative(rho=rho)
    student = models.logits_model(model, seed=seed)
    looking, descent = (Descent(student, frozen_statistics) for _ in range(2))
    kept = KeptGradients()
    looking.compile(kept, jit_compile=jit_compile)
    if anneal:
        learning_rate = constant_rate(model, optimizer, learning_rate)
    optimizer = training.optimizer_like(model, optimizer=optimizer, learning_rate=learning_rate)
    descent.compile(optimizer, jit_compile=jit_compile)
    stream = pairs(split, batch_size, "retain", seed=seed)
    training.check_epochs(epochs)
    shares = _cosine(int(epochs) * len(stream), anneal)
    rate = rate_of(descent.optimizer)

    def step(*batch: dict[str, Any]) -> dict[str, float]:
        """Takes one step; returns the losses and accuracies of both roles."""
        share = next(shares)
        if anneal:
            descent.optimizer.learning_rate = share * rate
        return _step(looking, kept, descent, share * rho, batch)

    training.fit_steps(descent, step, stream, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def _cosine(steps: int, anneal: bool) -> Iterator[float]:
    """Yields the share of the start that each step has: along a half cosine, or all of it."""
    for done in range(steps):
        yield (1 + math.cos(math.pi * done / steps)) / 2 if anneal else 1.0


def _step(
    looking: Descent,
    kept: KeptGradients,
    descent: Descent,
    rho: float,
    batch: tuple[dict[str, Any], ...],
) -> dict[str, float]:
    """Goes up the forget loss, takes a retain step there, and takes that step from below."""
    weights = descent.trainable_variables
    start = [keras.ops.copy(weight) for weight in weights]
    kept.clear()
    logs = _train(looking, "forget", batch)
    slopes = kept.values()
    length = max(norm(slopes), 1e-12)
    for weight, slope in zip(weights, slopes, strict=True):
        weight.assign_add(rho / length * slope)
    high = [keras.ops.copy(weight) for weight in weights]
    logs |= _train(descent, "retain", batch)
    for weight, low, up in zip(weights, start, high, strict=True):
        weight.assign(low + (weight - up))
    return logs


def _train(model: Descent, role: str, batch: tuple[dict[str, Any], ...]) -> dict[str, float]:
    """Trains on a batch of one role; returns its loss and accuracy."""
    parts = [{role: part[role]} for part in batch]
    logs = model.train_on_batch(*parts, return_dict=True)
    return {name: float(value) for name, value in logs.items() if name != "loss"}
