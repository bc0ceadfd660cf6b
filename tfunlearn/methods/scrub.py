"""SCRUB: away from a teacher on what is forgotten, close to it on what stays."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfunlearn import training
from tfunlearn.callbacks import Rewind
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.losses import cross_entropy, kl_divergence
from tfunlearn.methods.checks import check, check_count, check_not_negative, check_positive
from tfunlearn.methods.rates import constant_rate
from tfunlearn.methods.unlearner import Unlearner
from tfunlearn.models import logits_model

SCALE = 0.1


class SCRUB(Unlearner):
    """Trains a copy of a model away from it on forget batches and close to it on retain batches.

    Per example ``-KD`` on forget and ``gamma CE + alpha KD`` on retain, where
    ``KD = T^2 KL(softmax(teacher / T) || softmax(student / T))``.

    Args:
        model: the original; a copy of it is the teacher, another one the student.
        classification: weight of the cross-entropy on retain (gamma).
        distillation: weight of the distance to the teacher on retain (alpha).
        temperature: T, positive.
        bounded: leave a forget example alone once it is as far from the teacher as a uniform
            prediction is, in the same KD; False for ascent without end, as published.
        seed: seed of the student's dropout masks.
        name: name of the model.

    Attributes:
        student: the model that is trained; it gives logits.

    Raises:
        ValueError: if the temperature is not positive, a weight is negative, or the model's logits
            cannot be read.

    Example:
        >>> from tfunlearn import methods, models
        >>> scrub = methods.SCRUB(models.mnist_dense(4, seed=0), temperature=2.0)
        >>> scrub.compile("sgd")  # then scrub.fit(data.pairs(split)), and scrub.student
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        classification: float = 1.0,
        distillation: float = 0.5,
        temperature: float = 4.0,
        bounded: bool = True,
        seed: int | None = None,
        name: str | None = None,
    ) -> None:
        check_positive(temperature=temperature)
        check_not_negative(classification=classification, distillation=distillation)
        teachers = {"original": logits_model(model)}
        super().__init__(logits_model(model, seed=seed), teachers, name=name)
        self._classification, self._distillation = classification, distillation
        self._temperature, self._bounded = temperature, bounded

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns ``-KD`` of the forget examples and ``gamma CE + alpha KD`` of the others."""
        terms = {}
        for role in logits:
            taught = self.teach("original", x[role])
            distance = kl_divergence(taught, logits[role], self._temperature)
            if role == "forget":
                far = kl_divergence(taught, ops.zeros_like(taught), self._temperature)
                terms[role] = -(ops.minimum(distance, far) if self._bounded else distance)
            else:
                known = cross_entropy(y[role], logits[role])
                terms[role] = self._classification * known, self._distillation * distance
        return terms


def scrub(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 6,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
    forget_epochs: int = 3,
    classification: float = 1.0,
    distillation: float = 0.5,
    temperature: float = 4.0,
    bounded: bool = True,
    forget_batch_size: int = 16,
    decay_epochs: Collection[int] = (3,),
    decay_rate: float = 0.3,
    rewind: bool = False,
) -> keras.Model:
    """Drives the model away from the original on the forget set, and holds it on the retain set.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget`` and ``retain``, with ``rewind`` also ``validation``.
        seed: seed of the dropout masks and the batch orders.
        epochs: epochs; each ends with a pass over the retain set.
        batch_size: examples a batch of the retain set.
        callbacks: Keras callbacks for the training; their model is a ``SCRUB``.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of the default optimizer; by default 0.1 of the model's own.
        forget_epochs: the first epochs, which begin with a pass over the forget set (msteps).
        classification: weight of the cross-entropy on the retain set (gamma).
        distillation: weight of the distance to the original on the retain set (alpha).
        temperature: T of that distance, positive.
        bounded: leave a forget example alone once it is as far from the original as a uniform
            prediction is.
        forget_batch_size: examples a batch of the forget set.
        decay_epochs: before these epochs, from 0, the learning rate is multiplied by
            ``decay_rate``; ``()`` for an optimizer with a schedule of its own.
        decay_rate: see there.
        rewind: go back at the end to the epoch whose error on the forget set is closest to the
            final model's error on the validation examples of the same classes (SCRUB+R); needs
            ``validation``. See ``callbacks.Rewind``.

    Returns:
        The unlearned model. Costs ``epochs`` passes over retain and ``forget_epochs`` over forget,
        each with a forward pass of the original besides.

    Raises:
        ValueError: if an option is out of its range, the original's logits cannot be read, there
            is no optimizer, model and split do not fit together, or ``rewind`` lacks a validation
            set with the classes of the forget set.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Kurmanji et al., 2023, "Towards Unbounded Machine Unlearning", arXiv 2302.09880,
    section 3; hyper-parameters of the authors' notebook.
    Deviation: as published with ``bounded=False``, whose ascent has no end: it took a small net
    to chance at rates at which the bounded one forgets. The notebook trains 5 epochs by SGD with
    5e-4 and divides the rate by 10 (``epochs=5, decay_epochs=(3, 5, 9), decay_rate=0.1``); here
    the rate follows the original's. Forget batches pass in inference mode, so that batch
    normalisation sees the retain set alone. As published, the first forget pass starts where the
    gradient is 0: without dropout or batch normalisation it moves little. Rewind chooses among the
    states after an epoch; the notebook also counts the original, which it has not saved.
    """
    check(model, split, {"forget", "retain"} | ({"validation"} if rewind else set()), seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    split = split.unweighted("forget")  # whose own labels have no part
    check_count(forget_batch_size=forget_batch_size)
    check_not_negative(forget_epochs=forget_epochs, decay_rate=decay_rate)
    _check_decay(decay_epochs)
    unlearner = SCRUB(
        model,
        classification=classification,
        distillation=distillation,
        temperature=temperature,
        bounded=bounded,
        seed=seed,
    )
    rate = {"optimizer": optimizer, "learning_rate": learning_rate, "scale": SCALE}
    if decay_epochs:
        rate["learning_rate"] = constant_rate(model, **rate)
    unlearner.compile(training.optimizer_like(model, **rate), jit_compile=jit_compile)
    streams = {
        role: batches(split, role, batch_size=size, shuffle=True, seed=seed, named=True)
        for role, size in (("forget", forget_batch_size), ("retain", batch_size))
    }
    own = [Rewind(split, batch_size=batch_size)] if rewind else []
    if decay_epochs:
        own.append(keras.callbacks.LearningRateScheduler(_steps(decay_epochs, decay_rate)))
    training.fit_passes(
        unlearner,
        lambda epoch: list(streams.values()) if epoch < forget_epochs else [streams["retain"]],
        epochs=epochs,
        callbacks=[*own, *callbacks],
        verbose=verbose,
    )
    return training.finish(training.adopt(model, unlearner.student, seed=seed), model)


def _check_decay(epochs: Collection[int]) -> None:
    """Raises unless the epochs of a decay are whole numbers from 0."""
    if np.ndim(epochs) != 1 or not all(
        isinstance(epoch, int | np.integer) and epoch >= 0 for epoch in epochs
    ):
        raise ValueError(
            "decay_epochs: expected a sequence of whole numbers of at least 0, such as (3,). "
            f"Received: {epochs!r}."
        )


def _steps(epochs: Collection[int], factor: float) -> Callable[[int, float], float]:
    """Returns a schedule that multiplies the learning rate before some epochs."""
    return lambda epoch, rate: rate * factor if epoch in epochs else rate
