"""Forgetting by gradient ascent on the forget set, with a bound and a stop."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.losses import cross_entropy
from tfunlearn.methods.bounds import ceiling_of, stopping
from tfunlearn.methods.checks import check
from tfunlearn.methods.unlearner import Unlearner


class GradientAscent(Unlearner):
    """Raises a student's cross-entropy on forget batches, up to a ceiling.

    Args:
        student: the model to train, in place; it gives logits.
        ceiling: cross-entropy above which an example is left alone; None for no bound.
        name: name of the model.

    Example:
        >>> import keras
        >>> from tfunlearn import models
        >>> from tfunlearn.methods import GradientAscent
        >>> ascent = GradientAscent(models.mnist_dense(4, seed=0), ceiling=2.3)
        >>> ascent.compile(keras.optimizers.SGD(0.01))  # fit(batches(split, "forget", named=True))

    Reference: as ``gradient_ascent``.
    Deviation: as ``gradient_ascent``.
    """

    def __init__(
        self, student: keras.Model, *, ceiling: float | None = None, name: str | None = None
    ) -> None:
        super().__init__(student, name=name)
        self.ceiling = ceiling

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns minus the bounded cross-entropy of each forget example."""
        loss = cross_entropy(y["forget"], logits["forget"])
        return {"forget": -(loss if self.ceiling is None else ops.minimum(loss, self.ceiling))}


def gradient_ascent(
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
    ceiling: float | Literal["chance"] | None = "chance",
    stop_accuracy: float | Literal["auto"] | None = "auto",
) -> keras.Model:
    """Raises the loss on the forget set, until its accuracy has fallen to a level.

    The model runs in inference mode, so that batch statistics and dropout have no part.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget``.
        seed: seed of the batch order.
        epochs: passes over the forget set, at most.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default its
            own.
        ceiling: cross-entropy above which an example is pushed no further: a positive number,
            ``"chance"`` for that of a guess (the logarithm of the number of classes), or None for
            no bound.
        stop_accuracy: forget accuracy in [0, 1] at which to stop, exactly there rather than at the
            end of the epoch; ``"auto"`` for chance where whole classes are forgotten, and
            otherwise for 0.05 below the original's; None to train for all epochs.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the forget set, and one forward pass
        more for each.

    Raises:
        ValueError: if there is no optimizer, a bound is none of its values, or model and split do
            not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Golatkar et al., 2020, "Eternal Sunshine of the Spotless Net", arXiv 1911.04933 (as
    a baseline); Thudi et al., 2022, "Unrolling SGD", arXiv 2109.13398.
    Deviation: the loss is bounded and the training stops, since ascent on cross-entropy has no
    floor; with ``ceiling=None, stop_accuracy=None`` neither. Batch normalisation is frozen.
    """
    check(model, split, {"forget"}, seed=seed)
    split = split.unweighted()
    classes = models.num_classes(model)
    student = models.logits_model(model, seed=seed)
    ascent = GradientAscent(student, ceiling=ceiling_of(ceiling, classes))
    optimizer = training.optimizer_like(model, optimizer=optimizer, learning_rate=learning_rate)
    ascent.compile(optimizer, jit_compile=jit_compile)
    options = {"batch_size": batch_size, "named": True, "seed": seed}
    rules = stopping(stop_accuracy, split, ascent, batches(split, "forget", **options), classes)
    stream = batches(split, "forget", shuffle=True, **options)
    training.fit(ascent, stream, epochs=epochs, callbacks=[*rules, *callbacks], verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)
