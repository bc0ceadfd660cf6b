"""What the dampening methods share: how much each weight matters to a role, and the dampening."""

from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfunlearn import gradients, models, training
from tfunlearn.data import ForgetSplit
from tfunlearn.data.streams import batches_to_read
from tfunlearn.gradients.sums import Loss

Against = Literal["retain", "full"]
Arrays = list[np.ndarray]


def cross_entropy(y: Any, logits: Any) -> Any:
    """Returns the cross-entropy of each example, ``(batch,)``."""
    return ops.sparse_categorical_crossentropy(y, logits, from_logits=True)


def importances(
    model: keras.Model,
    split: ForgetSplit,
    loss: Loss,
    *,
    of: Literal["square", "abs"],
    per: Literal["batch", "example"],
    against: Against,
    relative: bool,
    batch_size: int,
    jit_compile: bool | str,
) -> tuple[Arrays, Arrays]:
    """Returns how much each trainable weight matters to the forget set, and to the others.

    Args:
        model: the original.
        split: the data; reads ``forget`` and ``retain``.
        loss: function of labels and logits that returns the loss of each example.
        of: the mean squared gradient, or the mean absolute gradient.
        per: of the gradient of each example, or of the mean gradient of each batch.
        against: the others are the retain set, or all training data, the forget set included.
        relative: give the others the forget set's total, so that only shares of it are compared.
        batch_size: examples a batch.
        jit_compile: as in ``gradients.gradient_sum``.

    Raises:
        ValueError: if an option is none of its values, or a role is missing.
    """
    if against not in ("retain", "full"):
        raise ValueError(f"against: expected 'retain' or 'full'. Received: {against!r}.")
    net = models.logits_reader(model)
    streams = [batches_to_read(split, role, batch_size) for role in ("forget", "retain")]
    (forget, n), (retain, m) = gradients.gradient_sums(
        net, streams, loss, of=of, per=per, jit_compile=jit_compile
    )
    ours = [part / n for part in forget]
    others = [part / m for part in retain]
    if against == "full":
        others = [(a + b) / (n + m) for a, b in zip(forget, retain, strict=True)]
    total = sum(part.sum() for part in others)
    if relative and total > 0:
        scale = sum(part.sum() for part in ours) / total
        others = [scale * part for part in others]
    return ours, others


def dampen(
    student: keras.Model,
    model: keras.Model,
    forget: Arrays,
    others: Arrays,
    *,
    selection: float,
    dampening: float,
    exponent: float = 1.0,
    low: float = 0.0,
    high: float = 1.0,
    option: str = "selection",
) -> keras.Model:
    """Shrinks the weights of a copy that matter more to the forget set, and returns it.

    Args:
        student: a copy of the original, changed in place. It is made before the importances are
            computed, as it fails where a model cannot be copied.
        model: the original; it is left as it was.
        forget: importance of each trainable weight to the forget set (I_f).
        others: its importance to what it is compared with (I).
        selection: weights with ``I_f > selection * I`` are shrunk.
        dampening: their factor is ``(dampening * I / I_f) ** exponent``.
        exponent: see there.
        low: the factor is at least this.
        high: the factor is at most this.
        option: the option that the threshold comes from, for the message.

    Raises:
        ValueError: if no weight changed.
    """
    moved = False
    for weight, own, other in zip(student.trainable_variables, forget, others, strict=True):
        before = ops.convert_to_numpy(weight)
        with np.errstate(invalid="ignore"):  # infinity times 0: not selected
            chosen = own > np.multiply(selection, other)
        share = np.divide(dampening * other, own, out=np.ones_like(own), where=chosen) ** exponent
        factor = np.where(chosen, np.clip(share, low, high), 1.0)
        after = (before * factor).astype(before.dtype)
        moved |= not np.array_equal(before, after)
        weight.assign(after)
    if not moved:
        largest = float(max(ratios(forget, others), default=0.0))
        factors = f"dampening={dampening!r}, exponent={exponent!r}, factors {low:g} to {high:g}"
        if largest > selection:
            raise ValueError(
                "dampening: it changed no weight. Expected: factors below 1, by a lower "
                f"dampening. Received: {factors}."
            )
        raise ValueError(
            f"{option}: the dampening changed no weight. Expected: a lower {option}, so that the "
            f"threshold is below the largest ratio of importances, {largest:.3g} (near 1 the "
            "forget set differs little from the rest). Received: a threshold of "
            f"{selection:.3g}, {factors}."
        )
    return training.finish(student, model)


def check_selection(selection: float) -> None:
    """Raises unless a threshold is a number of at least 0; infinity is one, NaN is none."""
    if not selection >= 0:
        raise ValueError(f"selection: expected a number of at least 0. Received: {selection!r}.")


def ratios(forget: Arrays, others: Arrays) -> np.ndarray:
    """Returns the finite ratios of the importances of all weights, as one flat array."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.concatenate([(a / b).ravel() for a, b in zip(forget, others, strict=True)])
    return found[np.isfinite(found)]
