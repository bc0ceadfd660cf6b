"""Dampening without labels: importance from the size of the outputs alone."""

from typing import Any, Literal

import keras
from keras import ops

from tfunlearn import models
from tfunlearn.data import ForgetSplit
from tfunlearn.methods.checks import check, check_not_negative, check_positive
from tfunlearn.methods.importance import check_selection, dampen, importances


def lfssd(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    batch_size: int = 128,
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    selection: float = 4.0,
    dampening: float = 1.0,
    exponent: float = 1.0,
    bound: float = 1.0,
    per: Literal["batch", "example"] = "example",
    against: Literal["retain", "full"] = "retain",
    relative: bool = True,
) -> keras.Model:
    """Shrinks the weights that move the outputs of the forget set more than those of the rest.

    As ``ssd``, with another importance: the mean absolute gradient of the squared norm of the
    logits. No label is read. It works for classes: among examples drawn at random that norm is
    moved by the same weights.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain`` and ``forget``, without their labels.
        seed: without effect: nothing is drawn.
        batch_size: examples a batch; part of the definition with ``per="batch"``.
        jit_compile: True for XLA; ``"auto"`` leaves that to JAX alone.
        verbose: without effect: there is no progress to show.
        selection: threshold of the ratio of importances (alpha), at least 0; infinity selects
            nothing, any other number also what the others do not use at all.
        dampening: strength (lambda), at least 0; lower shrinks more.
        exponent: power of the factor, above 0.
        bound: the largest factor, above 0; 1 so that no weight grows.
        per: mean over the gradients of single examples, or over those of batch means.
        against: what the forget set is compared with: the retain set, or all training data.
        relative: compare shares of the totals.

    Returns:
        The unlearned model. Costs one pass over all training data with gradients, no training.

    Raises:
        ValueError: if a number is outside its range, an option is none of its values, no weight
            changed, or model and split do not fit together.

    Reference: Foster et al., 2024, "Loss-Free Machine Unlearning", ICLR Tiny Papers,
    arXiv 2402.19308.
    Deviation: as in ``ssd``; ``per="batch", against="full", relative=False`` is the official code,
    with the ``selection`` of 10 that it has for ``ssd``. The default is lower, because these
    gradients are not squared.
    """
    check(model, split, {"retain", "forget"}, seed=seed)
    check_selection(selection)
    check_not_negative(dampening=dampening)
    check_positive(exponent=exponent, bound=bound)
    student = models.copy(model)
    forget, others = importances(
        model,
        split,
        squared_norm,
        of="abs",
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


def squared_norm(y: Any, logits: Any) -> Any:
    """Returns the squared norm of each row of logits, ``(batch,)``; labels are not read."""
    return ops.sum(ops.square(logits), axis=-1)
