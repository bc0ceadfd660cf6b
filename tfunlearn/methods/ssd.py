"""Selective synaptic dampening: shrink the weights that matter to the forget set above all."""

from typing import Literal

import keras

from tfunlearn import models
from tfunlearn.data import ForgetSplit
from tfunlearn.methods.checks import check, check_not_negative, check_positive
from tfunlearn.methods.importance import check_selection, cross_entropy, dampen, importances


def ssd(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    batch_size: int = 128,
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    selection: float = 10.0,
    dampening: float = 1.0,
    exponent: float = 1.0,
    bound: float = 1.0,
    per: Literal["batch", "example"] = "example",
    against: Literal["retain", "full"] = "retain",
    relative: bool = True,
) -> keras.Model:
    """Shrinks the weights that matter more to the forget set than to the rest of the data.

    The importance of a weight to a set is its mean squared gradient of the cross-entropy, here as
    a share of the total over all weights. A weight whose importance to the forget set is more than
    ``selection`` times its importance to the others is multiplied by
    ``min(bound, (dampening * others / forget) ** exponent)``.

    It works for classes and other groups that differ from the rest. On examples drawn at random the
    two importances are nearly the same: it changes little, or nothing, which is an error.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain`` and ``forget``.
        seed: without effect: nothing is drawn.
        batch_size: examples a batch; part of the definition with ``per="batch"``.
        jit_compile: True for XLA; ``"auto"`` leaves that to JAX alone.
        verbose: without effect: there is no progress to show.
        selection: threshold of the ratio of importances (alpha), at least 0; infinity selects
            nothing, any other number also what the others do not use at all.
        dampening: strength (lambda), at least 0; lower shrinks more.
        exponent: power of the factor, above 0.
        bound: the largest factor, above 0; 1 so that no weight grows.
        per: mean over the squared gradients of single examples, or over those of batch means.
        against: what the forget set is compared with: the retain set, or all training data with
            the forget set in it. There, unless ``relative``, no ratio exceeds 1 / (the share of the
            forget set), so that 10 selects nothing once that share reaches a tenth.
        relative: compare shares of the totals. Otherwise, where the model fits one set less well
            than the other, every weight seems to matter more to it.

    Returns:
        The unlearned model. Costs one pass over all training data with gradients, no training.

    Raises:
        ValueError: if a number is outside its range, an option is none of its values, no weight
            changed, or model and split do not fit together.

    Reference: Foster, Schoepf and Brintrup, 2024, "Fast Machine Unlearning without Retraining
    through Selective Synaptic Dampening", arXiv 2308.07707.
    Deviation: three defaults; ``per="batch", against="full", relative=False`` is the official code.
    It squares the mean gradient of a batch, so that importance depends on the batch size; it
    compares with all training data; and it compares totals, which shrinks most of a network that
    fits its forget set badly (wrong labels). What it calls ``lower_bound`` is ``bound`` here. The
    last batch of each role may be smaller, where its batches run on from one role to the other.
    """
    check(model, split, {"retain", "forget"}, seed=seed)
    check_selection(selection)
    check_not_negative(dampening=dampening)
    check_positive(exponent=exponent, bound=bound)
    student = models.copy(model)
    forget, others = importances(
        model,
        split,
        cross_entropy,
        of="square",
        per=per,
        against=against,
        relative=relative,
        batch_size=batch_size,
        jit_compile=jit_compile,
    )
    return dampen(
        student,
        model,
        forget,
        others,
        selection=selection,
        dampening=dampening,
        exponent=exponent,
        high=bound,
    )
