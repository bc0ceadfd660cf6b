"""Adaptive dampening: how many weights are shrunk follows from the size of the forget set."""

import math
from typing import Literal

import keras
import numpy as np

from tfunlearn import models
from tfunlearn.data import ForgetSplit
from tfunlearn.methods.checks import check, check_not_negative
from tfunlearn.methods.importance import cross_entropy, dampen, importances, ratios


def assd(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    batch_size: int = 128,
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    percentile: float | None = None,
    dampening: float = 1.0,
    floor: float = 0.0,
    per: Literal["batch", "example"] = "example",
    against: Literal["retain", "full"] = "full",
) -> keras.Model:
    """Shrinks a share of the weights, those that matter most to the forget set beside the rest.

    As ``ssd``, with a threshold from the data: a percentile of the ratios of importances of all
    weights, by default ``100 - log(1 + s)``, where the forget set is s per cent of the training
    data.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain`` and ``forget``.
        seed: without effect: nothing is drawn.
        batch_size: examples a batch; part of the definition with ``per="batch"``.
        jit_compile: True for XLA; ``"auto"`` leaves that to JAX alone.
        verbose: without effect: there is no progress to show.
        percentile: of the weights, in [0, 100]; those above it are shrunk.
        dampening: strength (lambda), at least 0; lower shrinks more.
        floor: the smallest factor, in [0, 1], so that no weight is lost.
        per: mean over the squared gradients of single examples, or over those of batch means.
        against: what the forget set is compared with: the retain set, or all training data with
            the forget set in it. The same weights are shrunk, with the retain set somewhat more.

    Returns:
        The unlearned model. Costs one pass over all training data with gradients, no training.

    Raises:
        ValueError: if a number is outside its range, an option is none of its values, no weight
            changed, or model and split do not fit together.

    Reference: Schoepf, Foster and Brintrup, 2024, "Parameter-tuning-free data entry error
    unlearning with adaptive selective synaptic dampening", arXiv 2402.10098, and its official code.
    Deviation: squared gradients of single examples in inference mode, where the official code
    squares the mean gradient of a batch (``per="batch"``) and leaves batch normalisation in
    training mode. Compared with all training data as in the paper, where that code takes the retain
    set (``against="retain"``).
    """
    check(model, split, {"retain", "forget"}, seed=seed)
    check_not_negative(dampening=dampening)
    if not 0 <= floor <= 1:
        raise ValueError(f"floor: expected a number in [0, 1]. Received: {floor!r}.")
    if percentile is None:
        percentile = length_percentile(split.size("forget"), split.size("retain"))
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile: expected a number in [0, 100]. Received: {percentile!r}.")
    student = models.copy(model)
    forget, others = importances(
        model,
        split,
        cross_entropy,
        of="square",
        per=per,
        against=against,
        relative=False,
        batch_size=batch_size,
        jit_compile=jit_compile,
    )
    found = ratios(forget, others)
    threshold = float(np.percentile(found, percentile)) if found.size else math.inf
    options = {"selection": threshold, "dampening": dampening, "low": floor}
    return dampen(student, model, forget, others, option="percentile", **options)


def length_percentile(forget: int, retain: int) -> float:
    """Returns the percentile above which weights are shrunk, from the sizes of the two sets."""
    return 100.0 - math.log(1.0 + 100.0 * forget / (forget + retain))
