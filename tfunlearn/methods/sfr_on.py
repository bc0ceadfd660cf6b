"""SFR-on: adaptive, masked ascent on the forget set within descent on the retain set."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, pairs
from tfunlearn.losses import cross_entropy
from tfunlearn.methods.bounds import ceiling_of
from tfunlearn.methods.checks import (
    check,
    check_count,
    check_fraction,
    check_not_negative,
    check_positive,
)
from tfunlearn.methods.descent import Descent
from tfunlearn.methods.importance import importances
from tfunlearn.methods.unlearner import Unlearner

_SMALL = 1e-15  # on both sides of the ratio, so that a weight without gradients has ratio 1
_FLOOR = 1e-7  # a loss that rounds to 0 would have all the weight, and no gradient


class AdaptiveAscent(Unlearner):
    """Raises a student's cross-entropy on forget batches, more for those that it knows well.

    Args:
        student: the model to train, in place; it gives logits.
        power: an example counts as ``1 / CE^power``, scaled to a mean of 1 over the batch.
        ceiling: cross-entropy above which an example is left alone; None for no bound.
        name: name of the model.

    Raises:
        ValueError: if the power is negative.

    Example:
        >>> import keras
        >>> from tfunlearn import methods, models
        >>> ascent = methods.AdaptiveAscent(models.mnist_dense(4, seed=0), ceiling=2.3)
        >>> ascent.compile(keras.optimizers.SGD(0.01))  # fit(batches(split, "forget", named=True))

    Reference: as ``sfr_on``.
    Deviation: as ``sfr_on``.
    """

    def __init__(
        self,
        student: keras.Model,
        *,
        power: float = 0.5,
        ceiling: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(student, name=name)
        check_not_negative(power=power)
        self.power, self.ceiling = power, ceiling

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns minus the weighted, bounded cross-entropy of each forget example."""
        loss = cross_entropy(y["forget"], logits["forget"])
        weights = ops.stop_gradient(ops.maximum(loss, _FLOOR)) ** -self.power
        bounded = loss if self.ceiling is None else ops.minimum(loss, self.ceiling)
        return {"forget": -bounded * weights / ops.mean(weights)}


def sfr_on(
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
    optimizer: Any = None,
    learning_rate: float | None = None,
    forget_rate: float = 0.02,
    alpha: float = 1000.0,
    every: int = 5,
    power: float = 0.5,
    threshold: float | None = 1.0,
    per: Literal["batch", "example"] = "batch",
    clip: float | None = 7.0,
    ceiling: float | Literal["chance"] | None = "chance",
    slow_rate: float = 1.0,
    frozen_statistics: bool = True,
) -> keras.Model:
    """Learns the retain set, and at every fifth step unlearns by weights that matter to forget.

    A forget step is ``theta + forget_rate c clip(alpha c m g)``: g is the gradient of the forget
    batch's cross-entropy, in which an example counts as ``1 / CE^power``; m is 1 where
    ``F_forget / F_retain >= threshold`` and otherwise 0, with F the mean squared gradient at the
    original; c falls from 1 to 0 by a half cosine. A retain step follows.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget`` and ``retain``.
        seed: seed of the batch order and the dropout masks.
        epochs: passes over the retain set; the forget set comes round as often as that takes.
        batch_size: examples of each role in a batch, also for the mask.
        callbacks: Keras callbacks for the training; they see epochs.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the losses on retain and forget, as the original's
            ``fit`` had it; the mask is made without weights.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer of the retain steps; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default 0.1 times
            its own.
        forget_rate: learning rate of the forget steps, at least 0.
        alpha: what their gradient is multiplied by, at least 0.
        every: a forget step comes before the first retain step, and before each ``every``-th
            after it; at least 1.
        power: an example of a forget batch counts as ``1 / CE^power``, at least 0.
        threshold: ratio of mean squared gradients from which on a weight unlearns, positive;
            None for all weights.
        per: squared gradients of each batch's mean loss, or of each example's loss.
        clip: largest norm of ``alpha c m g`` over all weights, positive; None for no bound.
        ceiling: cross-entropy above which a forget example is pushed no further: a positive
            number, ``"chance"`` for that of a guess (the logarithm of the number of classes), or
            None for no bound.
        slow_rate: share of each step's way that is kept, inside (0, 1]; with 1 all of it.
        frozen_statistics: run retain batches in inference mode too: batch statistics stay as they
            are, and there is no dropout. If False, statistics come from the retain set alone.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set, a batch of the forget set
        for every fifth of retain, and a pass over both with gradients for the mask.

    Raises:
        ValueError: if an option is outside its range, no weight reaches the threshold, there is no
            optimizer, or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Huang et al., 2024, "Unified Gradient-Based Machine Unlearning with Remain Geometry
    Enhancement", arXiv 2409.19732 (SFR-on).
    Deviation: the paper's slow weights are an average of the weights before and after a step; the
    official code ships it with weight 1, which leaves the weights after it, and so do the defaults
    here (``slow_rate``). Forget steps are plain gradient steps under the mask; in the official code
    momentum and weight decay, which both kinds of step share there, move masked weights too. The
    forget loss is bounded, since ascent on cross-entropy has no floor (``ceiling=None`` for none).
    A loss that rounds to 0 counts as 1e-7; without that its example had all the weight. Forget
    batches come beside each retain batch, and those between two forget steps are skipped; there
    the next forget step takes the next forget batch. Epochs are counted rather than 1,500 steps.
    The retain steps' learning rate is 0.1 times the original's and stays; there it is 0.01 and
    falls by a half cosine, as the forget steps' does here. Batch normalisation is frozen. On a
    network that has memorised the forget set the ascent has almost no gradient; ``alpha`` is 1000
    rather than 25, so that the clip and not the gradient sets the length of a step, and
    ``forget_rate`` 0.02 rather than 0.01. At 0.1 a network with batch normalisation fell to chance.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    training.check_epochs(epochs)
    check_count(every=every)
    check_not_negative(forget_rate=forget_rate, alpha=alpha)
    check_fraction(slow_rate=slow_rate)
    if clip is not None:
        check_positive(clip=clip)
    bound = ceiling_of(ceiling, models.num_classes(model))
    student = models.logits_model(model, seed=seed)
    ascent = AdaptiveAscent(student, power=power, ceiling=bound)
    ascent.compile(keras.optimizers.SGD(1.0), jit_compile=jit_compile)
    descent = Descent(student, frozen_statistics)
    optimizer = training.optimizer_like(
        model, optimizer=optimizer, learning_rate=learning_rate, scale=0.1
    )
    descent.compile(optimizer, jit_compile=jit_compile)
    masks = None
    if threshold is not None:
        masks = balance(model, split, threshold, per, batch_size, jit_compile)
    stream = pairs(split, batch_size, "retain", seed=seed)
    total, rates = int(epochs) * len(stream), (forget_rate, alpha)
    steps = _Steps(ascent, descent, masks, total, int(every), rates, clip, slow_rate)
    training.fit_steps(descent, steps, stream, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def balance(
    model: keras.Model,
    split: ForgetSplit,
    threshold: float,
    per: Literal["batch", "example"] = "batch",
    batch_size: int = 128,
    jit_compile: bool | str = "auto",
) -> list[np.ndarray]:
    """Returns one mask per trainable weight: where ``F_forget / F_retain >= threshold``."""
    check_positive(threshold=threshold)
    both = importances(
        model,
        split,
        cross_entropy,
        of="square",
        per=per,
        against="retain",
        relative=False,
        batch_size=batch_size,
        jit_compile=jit_compile,
    )
    ratios = [(ours + _SMALL) / (others + _SMALL) for ours, others in zip(*both, strict=True)]
    masks = [ratio >= threshold for ratio in ratios]
    if not any(mask.any() for mask in masks):
        largest = max(float(ratio.max()) for ratio in ratios)
        raise ValueError(
            "threshold: no weight reaches it. "
            f"Expected: at most {largest:.3g}. Received: {threshold!r}."
        )
    return masks


@dataclass
class _Steps:
    """One step after another: the forget step where it is due, the retain step, the slow weights.

    Attributes:
        ascent: raises the forget loss by steps of rate 1, which are then shortened.
        descent: lowers the retain loss of the same student.
        masks: which entries of each trainable weight the forget steps move; None for all.
        total: steps in all.
        every: a forget step belongs to each ``every``-th step.
        rates: forget rate and alpha, at the first step.
        clip: largest norm of the masked gradient times alpha, or None.
        kept: share of each step's way that is kept.
        done: steps done.
    """

    ascent: Unlearner
    descent: Unlearner
    masks: list[np.ndarray] | None
    total: int
    every: int
    rates: tuple[float, float]
    clip: float | None
    kept: float
    done: int = 0

    def __call__(self, *batch: dict[str, Any]) -> dict[str, float]:
        """Takes one step and returns its logs."""
        weights = self.descent.student.trainable_variables
        before = [ops.copy(weight.value) for weight in weights]
        logs = {}
        if self.done % self.every == 0:
            logs |= _train(self.ascent, "forget", batch)
            self._shorten(weights, before)
        logs |= _train(self.descent, "retain", batch)
        if self.kept < 1:
            for weight, old in zip(weights, before, strict=True):
                weight.assign(old + self.kept * (weight.value - old))
        self.done += 1
        return logs

    def _shorten(self, weights: list[Any], before: list[Any]) -> None:
        """Puts a step of rate 1 under the mask, and gives it the length that it is to have."""
        ways = [weight.value - old for weight, old in zip(weights, before, strict=True)]
        if self.masks is not None:
            ways = [ops.where(mask, way, 0) for mask, way in zip(self.masks, ways, strict=True)]
        fall = (1 + math.cos(math.pi * self.done / self.total)) / 2
        rate, alpha = (fall * value for value in self.rates)
        factor = rate * alpha
        if self.clip is not None:
            squares = [ops.convert_to_numpy(ops.sum(ops.square(way))) for way in ways]
            norm = alpha * math.sqrt(sum(map(float, squares)))
            factor *= self.clip / max(norm, self.clip)
        for weight, old, way in zip(weights, before, ways, strict=True):
            weight.assign(old + factor * way)


def _train(unlearner: Unlearner, role: str, batch: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Trains on the part of a batch that a role has, and returns the logs of that part alone."""
    unlearner.reset_metrics()
    parts = [{role: part[role]} for part in batch]
    logs = unlearner.train_on_batch(*parts, return_dict=True)
    return {name: value for name, value in logs.items() if name.startswith(role)}
