"""Forgetting towards the original's own answers with the true class taken out."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.losses import kl_divergence
from tfunlearn.methods.bounds import stopping
from tfunlearn.methods.checks import check
from tfunlearn.methods.unlearner import Unlearner

_OUT = -1e4  # a logit whose probability is zero in float32, and finite in float16


class DELETE(Unlearner):
    """Teaches a student a teacher's answers on forget examples, without the true class.

    Args:
        student: the model to train, in place; it gives logits.
        teacher: a copy of the original; it gives logits.
        name: name of the model.

    Example:
        >>> import keras
        >>> from tfunlearn import models
        >>> from tfunlearn.methods import DELETE
        >>> net = models.mnist_dense(4, seed=0)
        >>> distillation = DELETE(models.copy(net), models.copy(net))
        >>> distillation.compile(keras.optimizers.SGD(0.01))

    Reference: as ``delete``.
    Deviation: as ``delete``.
    """

    def __init__(
        self, student: keras.Model, teacher: keras.Model, *, name: str | None = None
    ) -> None:
        super().__init__(student, {"original": teacher}, name=name)

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns the divergence of each forget example from its target."""
        target = without_true_class(self.teach("original", x["forget"]), y["forget"])
        return {"forget": kl_divergence(target, logits["forget"])}


def without_true_class(logits: Any, y: Any) -> Any:
    """Returns logits in which the probability of the true class is zero.

    Args:
        logits: logits ``(batch, classes)``.
        y: integer labels ``(batch,)`` or ``(batch, 1)``.
    """
    labels = ops.cast(ops.reshape(y, (-1,)), "int32")
    true = ops.one_hot(labels, logits.shape[-1], dtype="bool")
    return ops.where(true, ops.cast(_OUT, logits.dtype), logits)


def delete(
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
    stop_accuracy: float | Literal["auto"] | None = "auto",
) -> keras.Model:
    """Trains the forget set towards the original's answers with the true class taken out.

    The target of each example is the original's softmax with the true class at zero and the rest
    scaled up to one. The model runs in inference mode.

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
        learning_rate: learning rate of an optimizer like the model's own; by default a tenth of
            its own.
        stop_accuracy: forget accuracy in [0, 1] at which to stop, exactly there rather than at the
            end of the epoch; ``"auto"`` for chance where whole classes are forgotten, and
            otherwise for 0.05 below the original's; None to train for all epochs.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the forget set, and two forward passes
        more for each.

    Raises:
        ValueError: if there is no optimizer, the level is not in [0, 1], or model and split do not
            fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Zhou et al., 2025, "Decoupled Distillation to Erase", arXiv 2503.23751.
    Deviation: the training stops at a level, since no answer of the original's is right for it and
    random examples cannot be told from those that stay (``stop_accuracy=None`` for no stop). Batch
    normalisation is frozen, as the official code does by option alone. The learning rate follows
    the original's, where the official code has one for each network.
    """
    check(model, split, {"forget"}, seed=seed)
    split = split.unweighted()
    student = models.logits_model(model, seed=seed)
    distillation = DELETE(student, models.logits_model(model, seed=seed))
    optimizer = training.optimizer_like(
        model, optimizer=optimizer, learning_rate=learning_rate, scale=0.1
    )
    distillation.compile(optimizer, jit_compile=jit_compile)
    options = {"batch_size": batch_size, "named": True, "seed": seed}
    still, stream = (batches(split, "forget", shuffle=moved, **options) for moved in (False, True))
    rules = stopping(stop_accuracy, split, distillation, still, models.num_classes(model))
    training.fit(
        distillation, stream, epochs=epochs, callbacks=[*rules, *callbacks], verbose=verbose
    )
    return training.finish(training.adopt(model, student, seed=seed), model)
