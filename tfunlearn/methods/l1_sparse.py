"""Forgetting helped by sparsity: fine-tuning under an L1 penalty that fades out."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfunlearn import losses, models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.checks import check
from tfunlearn.methods.unlearner import Unlearner


class L1Sparse(Unlearner):
    """Trains a student on retain batches under ``strength`` times the L1 norm of its weights.

    Each retain example's term is its cross-entropy plus the penalty, so that their mean is
    ``CE(retain) + strength * sum |weight|`` over all trainable weights. Strength is a variable;
    ``unlearner.strength.assign(value)`` changes it between epochs.

    Args:
        student: the model to train; it gives logits (see ``models.logits_model``).
        strength: weight of the penalty (gamma), at least 0.

    Raises:
        ValueError: if the strength is negative or not finite.

    Example:
        >>> import keras
        >>> from tfunlearn import methods, models
        >>> unlearner = methods.L1Sparse(models.mnist_dense(4, seed=0), strength=1e-3)
        >>> unlearner.compile(keras.optimizers.SGD(0.1))
        >>> # then unlearner.fit(batches(split, "retain", named=True)); unlearner.student

    Reference: Jia et al., 2023, "Model Sparsity Can Simplify Machine Unlearning",
    arXiv 2304.04934, section 4.
    Deviation: none known.
    """

    def __init__(self, student: keras.Model, strength: float = 5e-4) -> None:
        super().__init__(student)
        if not np.isfinite(strength) or strength < 0:
            raise ValueError(f"strength: expected a number of at least 0. Received: {strength!r}.")
        self._held = _Held(strength)

    @property
    def strength(self) -> keras.Variable:
        """The weight of the penalty."""
        return self._held.number

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns cross-entropy plus the penalty for each retain example."""
        norms = [ops.cast(ops.sum(ops.abs(w)), "float32") for w in self.student.trainable_variables]
        wrong = losses.cross_entropy(y["retain"], logits["retain"])
        wrong = ops.cast(wrong, "float32")
        return {"retain": (wrong, ops.ones_like(wrong) * (self.strength * sum(norms)))}


class _Held(keras.metrics.Metric):
    """A number that a compiled step reads; a metric, so that it is no weight of the model."""

    def __init__(self, number: float) -> None:
        super().__init__(name="strength")
        self.number = keras.Variable(float(number), trainable=False, name="number")

    def update_state(self, *_: Any) -> None:
        """Does nothing: callbacks set the number."""

    def reset_state(self) -> None:
        """Does nothing: the number outlasts the epoch."""

    def result(self) -> Any:
        """Returns the number."""
        return ops.convert_to_tensor(self.number)


def l1_sparse(
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
    strength: float = 5e-4,
    free_epochs: int = 0,
) -> keras.Model:
    """Fine-tunes the original on the retain set under an L1 penalty that decays to none.

    In epoch t of E the penalty is ``strength * (1 - t / (E - free_epochs))`` times the L1 norm of
    all trainable weights, and none in the last ``free_epochs``.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain``.
        seed: seed of the dropout masks and the batch order.
        epochs: passes over the retain set.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training; they see an ``L1Sparse``.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default the
            model's own.
        strength: weight of the penalty at the start (gamma), at least 0; 0 is fine-tuning.
        free_epochs: last epochs without penalty, fewer than ``epochs``.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set.

    Raises:
        ValueError: if a number is outside its range, there is no optimizer, or model and split do
            not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Jia et al., 2023, "Model Sparsity Can Simplify Machine Unlearning",
    arXiv 2304.04934, section 4, the decreasing schedule.
    Deviation: the loss is cross-entropy on the logits, whatever the model was compiled with. The
    learning rate is the original's own rather than 0.01, and the strength fits small networks:
    the official code's default of 0.2 shrinks any network to nothing.
    """
    check(model, split, {"retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    training.check_epochs(epochs)
    if not isinstance(free_epochs, int | np.integer) or not 0 <= free_epochs < epochs:
        raise ValueError(
            f"free_epochs: expected a whole number from 0 to {epochs - 1}. "
            f"Received: {free_epochs!r}."
        )
    optimizer = training.optimizer_like(model, optimizer=optimizer, learning_rate=learning_rate)
    unlearner = L1Sparse(models.logits_model(model, seed=seed), strength)
    unlearner.compile(optimizer, jit_compile=jit_compile)

    def fade(epoch: int, logs: Any = None) -> None:
        unlearner.strength.assign(strength * max(0.0, 1 - epoch / (epochs - free_epochs)))

    fading = keras.callbacks.LambdaCallback(on_epoch_begin=fade)
    stream = batches(split, "retain", batch_size=batch_size, shuffle=True, seed=seed, named=True)
    own = [fading, *callbacks]
    training.fit(unlearner, stream, epochs=epochs, callbacks=own, verbose=verbose)
    return training.finish(training.adopt(model, unlearner.student, seed=seed), model)
