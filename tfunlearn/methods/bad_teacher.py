"""Bad teacher: learn what is to be forgotten from a teacher that knows nothing."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np

from tfunlearn import training
from tfunlearn.data import ForgetSplit, pairs
from tfunlearn.losses import kl_divergence
from tfunlearn.methods.checks import check, check_fraction, check_positive
from tfunlearn.methods.rates import adam_unless_given
from tfunlearn.methods.unlearner import Unlearner
from tfunlearn.models import logits_model, num_classes, reinitialized


class BadTeacher(Unlearner):
    """Trains a copy of a model to agree with it on retain, and with a random model on forget.

    Per example ``T^2 KL(softmax(teacher / T) || softmax(student / T))``, times the share of the
    role.

    Args:
        model: the original: the competent teacher, and where the student starts.
        forget_share: weight of the forget examples, in (0, 1]; the others have the rest.
        temperature: T, positive.
        reduction: ``"batch"`` for this divergence; ``"elements"`` for what the authors' code
            computes, which has no T^2 and is divided by the number of classes.
        frozen_statistics: run retain batches in inference mode too: batch statistics stay as they
            are, and there is no dropout.
        seed: seed of the incompetent teacher's weights and of the student's dropout masks.
        name: name of the model.

    Attributes:
        student: the model that is trained; it gives logits.

    Raises:
        ValueError: if an option is out of its range, or the model's logits cannot be read.

    Example:
        >>> from tfunlearn import methods, models
        >>> bad = methods.BadTeacher(models.mnist_dense(4, seed=0), seed=1)
        >>> bad.compile("adam")  # then bad.fit(data.pairs(split)), and bad.student
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        forget_share: float = 0.5,
        temperature: float = 1.0,
        reduction: Literal["batch", "elements"] = "batch",
        frozen_statistics: bool = True,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        check_positive(temperature=temperature)
        check_fraction(forget_share=forget_share)
        if reduction not in ("batch", "elements"):
            raise ValueError(f"reduction: expected 'batch' or 'elements'. Received: {reduction!r}.")
        ignorant = logits_model(reinitialized(model, seed=seed))
        teachers = {"forget": ignorant, "retain": logits_model(model)}
        super().__init__(logits_model(model, seed=seed), teachers, name=name)
        whole = 1.0 if reduction == "batch" else num_classes(model) * temperature**2
        self._weights = {"forget": forget_share / whole, "retain": (1 - forget_share) / whole}
        self._temperature, self._frozen = temperature, frozen_statistics

    def call(self, x: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Returns the student's logits by role."""
        return super().call(x, training=bool(training) and not self._frozen)

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns the weighted distance to each role's own teacher."""
        return {
            role: self._weights[role]
            * kl_divergence(self.teach(role, x[role]), logits[role], self._temperature)
            for role in logits
        }


def bad_teacher(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 5,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    optimizer: Any = None,
    learning_rate: float | None = None,
    temperature: float = 1.0,
    retain_fraction: float = 0.3,
    reduction: Literal["batch", "elements"] = "batch",
    frozen_statistics: bool = True,
) -> keras.Model:
    """Teaches the forget set anew by a model with random weights, and the rest by the original.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget`` and ``retain``.
        seed: seed of the random teacher, the sample of the retain set, the dropout masks and the
            batch orders.
        epochs: passes over the forget set or the sample of the retain set, whichever is larger.
        batch_size: examples of each of the two in a batch.
        callbacks: Keras callbacks for the training; their model is a ``BadTeacher``.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        optimizer: optimizer; by default Adam, whatever the model was trained with.
        learning_rate: learning rate of the default optimizer; by default 1e-3.
        temperature: T of both distances, positive.
        retain_fraction: share of the retain set that is used, in (0, 1].
        reduction: ``"batch"`` or ``"elements"``; see ``BadTeacher``.
        frozen_statistics: run retain examples in inference mode too, as forget examples are; if
            False, batch statistics come from the sample of the retain set alone.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the larger of the forget set and 0.3 of
        the retain set, with as many examples of the other and a teacher's forward pass for each.

    Raises:
        ValueError: if an option is out of its range, the original's logits cannot be read, or
            model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Chundawat et al., 2023, "Can Bad Teaching Induce Forgetting? Unlearning in Deep
    Networks using an Incompetent Teacher", arXiv 2205.08096, section 3.
    Deviation: each batch holds as many examples of either kind, weighted by their share of the
    union, where the paper shuffles the union; the expected gradient is the same. The default is
    the paper's divergence; the authors' code averages over classes too and leaves out T^2
    (``reduction="elements"``), a gradient 10 times smaller for 10 classes. There are 5 epochs,
    where that code has 10. Adam's 1e-3 stands between the 1e-2 of that code and the 1e-4 of its
    reuse by others. All examples pass in inference mode: with batch statistics on retain alone, a
    net agrees with either teacher in its own mode and with neither where it is used. Weights that
    are frozen in the original are the random teacher's too.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.unweighted()
    check_fraction(retain_fraction=retain_fraction)
    split = split.subset("retain", _sample(split.size("retain"), retain_fraction, seed))
    sizes = {role: split.size(role) for role in ("forget", "retain")}
    unlearner = BadTeacher(
        model,
        forget_share=sizes["forget"] / sum(sizes.values()),
        temperature=temperature,
        reduction=reduction,
        frozen_statistics=frozen_statistics,
        seed=seed,
    )
    rule = adam_unless_given(model, optimizer, learning_rate)
    unlearner.compile(rule, jit_compile=jit_compile)
    stream = pairs(split, batch_size, max(sizes, key=sizes.get), seed=seed)
    training.fit(unlearner, stream, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, unlearner.student, seed=seed), model)


def _sample(size: int, fraction: float, seed: int) -> np.ndarray:
    """Returns positions of a share of ``size`` examples, at least one."""
    return np.random.default_rng([seed, 1]).permutation(size)[: max(1, round(fraction * size))]
