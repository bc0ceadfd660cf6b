"""Descent on the retain set and, at the same time, bounded ascent on the forget set."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
from keras import ops

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, pairs
from tfunlearn.losses import cross_entropy
from tfunlearn.methods.bounds import ceiling_of
from tfunlearn.methods.checks import check
from tfunlearn.methods.unlearner import Unlearner


class NegGradPlus(Unlearner):
    """Lowers a student's cross-entropy on retain examples and raises it on forget examples.

    Args:
        student: the model to train, in place; it gives logits.
        alpha: weight of the retain set, in [0, 1]; the forget set has the rest.
        ceiling: cross-entropy above which a forget example is left alone; None for no bound.
        frozen_statistics: keep retain batches in inference mode too.
        name: name of the model.

    Example:
        >>> import keras
        >>> from tfunlearn import models
        >>> from tfunlearn.methods import NegGradPlus
        >>> both = NegGradPlus(models.mnist_dense(4, seed=0), alpha=0.9)
        >>> both.compile(keras.optimizers.SGD(0.01))  # then fit(pairs(split))

    Reference: as ``neggrad_plus``.
    Deviation: as ``neggrad_plus``.
    """

    def __init__(
        self,
        student: keras.Model,
        *,
        alpha: float = 0.95,
        ceiling: float | None = None,
        frozen_statistics: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(student, name=name)
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha: expected a weight in [0, 1]. Received: {alpha!r}.")
        self.alpha, self.ceiling, self.frozen_statistics = alpha, ceiling, frozen_statistics

    def call(self, x: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Returns the student's logits by role."""
        return super().call(x, training=bool(training) and not self.frozen_statistics)

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns ``alpha CE`` of retain and ``-(1 - alpha) min(CE, ceiling)`` of forget."""
        loss = {role: cross_entropy(y[role], logits[role]) for role in logits}
        bounded = (
            loss["forget"] if self.ceiling is None else ops.minimum(loss["forget"], self.ceiling)
        )
        return {"retain": self.alpha * loss["retain"], "forget": (self.alpha - 1) * bounded}


def neggrad_plus(
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
    alpha: float = 0.95,
    ceiling: float | Literal["chance"] | None = "chance",
    frozen_statistics: bool = True,
) -> keras.Model:
    """Lowers the loss on the retain set while raising it, up to a ceiling, on the forget set.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget`` and ``retain``.
        seed: seed of the batch order and the dropout masks.
        epochs: passes over the retain set; the forget set comes round as often as that takes.
        batch_size: examples of each role in a batch.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the losses on retain and forget, as the original's
            ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default 0.3 times
            its own.
        alpha: weight of the retain set, in [0, 1]; the forget set has the rest.
        ceiling: cross-entropy above which a forget example is pushed no further: a positive
            number, ``"chance"`` for that of a guess (the logarithm of the number of classes), or
            None for no bound.
        frozen_statistics: run retain batches in inference mode too: batch statistics stay as they
            are, and there is no dropout. If False, statistics come from the retain set alone.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set, and as many batches of
        the forget set.

    Raises:
        ValueError: if there is no optimizer, ``alpha`` or the ceiling is none of its values, or
            model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Kurmanji et al., 2023, "Towards Unbounded Machine Unlearning", arXiv 2302.09880
    (NegGrad+).
    Deviation: the forget loss is bounded, since ascent on cross-entropy has no floor
    (``ceiling=None`` for none); the learning rate is 0.3 times the original's rather than 0.01.
    All batches run in inference mode, as in the two small-scale notebooks of the paper's code; its
    other experiments run both roles in training mode, so that forget batches move the batch
    statistics too. With ``frozen_statistics=False`` retain batches alone do. On a network that has
    memorised the forget set this loss has almost no gradient: nothing may happen for long.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    student = models.logits_model(model, seed=seed)
    both = NegGradPlus(
        student,
        alpha=alpha,
        ceiling=ceiling_of(ceiling, models.num_classes(model)),
        frozen_statistics=frozen_statistics,
    )
    optimizer = training.optimizer_like(
        model, optimizer=optimizer, learning_rate=learning_rate, scale=0.3
    )
    both.compile(optimizer, jit_compile=jit_compile)
    stream = pairs(split, batch_size, "retain", seed=seed)
    training.fit(both, stream, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)
