"""Forgetting by taking back what the model is sensitive to in the examples to forget."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import ops

from tfunlearn import gradients, models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.bounds import check_level, stopping
from tfunlearn.methods.cf_k import freeze_others, last_layers
from tfunlearn.methods.checks import check
from tfunlearn.methods.unlearner import Unlearner
from tfunlearn.models.precision import widened


class MUMis(Unlearner):
    """Lowers the sensitivity of a student's true logit on forget examples, and raises the others'.

    Args:
        student: the model to train, in place; it gives logits.
        others: ``"all"`` other classes on average, or ``"one"`` of them in each batch.
        seed: seed of the draws.
        name: name of the model.

    Raises:
        ValueError: if ``others`` is neither; at the call, if the inputs are whole numbers.

    Example:
        >>> import keras
        >>> from tfunlearn import models
        >>> from tfunlearn.methods import MUMis
        >>> calm = MUMis(models.mnist_dense(4, seed=0), seed=0)
        >>> calm.compile(keras.optimizers.SGD(1e-4))  # fit(batches(split, "forget", named=True))

    Reference: as ``mu_mis``.
    Deviation: as ``mu_mis``.
    """

    def __init__(
        self,
        student: keras.Model,
        *,
        others: Literal["all", "one"] = "all",
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(student, name=name)
        if others not in ("all", "one"):
            raise ValueError(f"others: expected 'all' or 'one'. Received: {others!r}.")
        self.others = others
        self.seed_generator = keras.random.SeedGenerator(seed)

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns ``||grad_x f_y||^2 - ||grad_x f_c||^2`` of each example, for c other than y."""
        true = true_class(y["forget"], logits["forget"])
        high = self.sensitivity(x["forget"], true)
        low = self.sensitivity(x["forget"], self.other_classes(true))
        nothing = 0.0 * ops.sum(logits["forget"], axis=-1)  # so that biases have a gradient, zero
        return {"forget": high - low + nothing}

    def other_classes(self, true: Any) -> Any:
        """Draws weights of the other classes whose sensitivity is on average theirs.

        Squared and averaged over random signs, a signed sum of gradients is the sum of the squares.

        Args:
            true: one-hot true classes ``(batch, classes)``.
        """
        classes = true.shape[-1]
        if self.others == "one":
            place = keras.random.randint((), 1, classes, seed=self.seed_generator)
            return ops.roll(true, place, axis=-1)
        signs = 2 * keras.random.randint((classes,), 0, 2, seed=self.seed_generator) - 1
        return (1 - true) * ops.cast(signs, true.dtype) / (classes - 1) ** 0.5

    def sensitivity(self, x: Any, weights: Any) -> Any:
        """Returns the squared norm of the gradient of each example's weighted sum of logits.

        Args:
            x: inputs; whole numbers count as floats where the student takes those.
            weights: weights of the logits, ``(batch, classes)``.
        """

        def score(x: Any) -> Any:
            return ops.sum(widened(self.student(x, training=False)) * weights, axis=-1)

        slopes = gradients.input_gradients(score, gradients.as_floats(self.student, x))
        return ops.sum(ops.square(slopes), axis=tuple(range(1, len(slopes.shape))))


def true_class(y: Any, logits: Any) -> Any:
    """Returns labels ``(batch,)`` or ``(batch, 1)`` one-hot in the form of the logits."""
    labels = ops.cast(ops.reshape(y, (-1,)), "int32")
    return ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)


def mu_mis(
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
    others: Literal["all", "one"] = "all",
    k: int | None = 1,
    stop_accuracy: float | Literal["auto"] | None = "auto",
) -> keras.Model:
    """Makes the true logit of the forget set less sensitive to its inputs than the others.

    The loss is the mean of ``||grad_x f_y(x)||^2 - ||grad_x f_c(x)||^2``, where f are logits, y is
    the true class and c are the others. It has no floor: without a stop it ruins the model. The
    model runs in inference mode.

    Args:
        model: the original, which takes floating point inputs; it is left as it was.
        split: the data; reads ``forget``.
        seed: seed of the batch order and of the draws.
        epochs: passes over the forget set, at most.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        optimizer: optimizer; by default SGD without momentum.
        learning_rate: learning rate of the default optimizer; by default 0.5 over the original's
            mean ``||grad_x f_y(x)||^2``, which evens out the scale of the inputs.
        others: compare with ``"all"`` other classes on average, or with ``"one"`` of them, another
            in each batch.
        k: how many layers with kernels train, from the last; None for the whole network.
        stop_accuracy: forget accuracy in [0, 1] at which to stop, exactly there rather than at the
            end of the epoch; ``"auto"`` for chance where whole classes are forgotten, and
            otherwise for 0.05 below the original's; None to train for all epochs.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the forget set, each with two gradients
        of inputs that are differentiated once more, and two forward passes.

    Raises:
        ValueError: if both an optimizer and a learning rate are given, ``others``, ``k`` or the
            level is none of its values, the model takes whole numbers, or model and split do not
            fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Cheng et al., 2024, "Remaining-data-free Machine Unlearning by Suppressing Sample
    Contribution", arXiv 2402.15109.
    Deviation: by default the last layer alone trains, since small convolutional networks lost what
    was to stay before they forgot when all of them did (``k=None``), and all other classes count,
    by random signs, rather than one drawn at random (``others="one"``; the same for a batch). The
    stop is by forget accuracy. Batch normalisation is frozen. In mixed float16 the default
    optimizer's loss scale starts at 1 rather than at Keras' 32,768, at which the gradient of a
    gradient overflows for many steps.
    """
    check(model, split, {"forget"}, seed=seed)
    split = split.unweighted()
    training.check_rate(learning_rate)
    check_level(stop_accuracy)
    student = models.logits_model(model, seed=seed)
    if k is not None:
        freeze_others(student, last_layers(student, k))
    calm = MUMis(student, others=others, seed=seed)
    options = {"batch_size": batch_size, "named": True, "seed": seed}
    still, stream = (batches(split, "forget", shuffle=moved, **options) for moved in (False, True))
    if optimizer is None:
        rate = 0.5 / _mean_sensitivity(calm, still) if learning_rate is None else learning_rate
        optimizer, learning_rate = keras.optimizers.SGD(rate), None
        if student.dtype_policy.name == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
    optimizer = training.optimizer_like(model, optimizer=optimizer, learning_rate=learning_rate)
    calm.compile(optimizer, jit_compile=jit_compile)
    rules = stopping(stop_accuracy, split, calm, still, models.num_classes(model))
    training.fit(calm, stream, epochs=epochs, callbacks=[*rules, *callbacks], verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def _mean_sensitivity(calm: MUMis, stream: Any) -> float:
    """Returns the mean sensitivity of the true logit on the forget set, positive."""
    total, count = 0.0, 0
    for x, y in training.iterate(stream):
        inputs = ops.convert_to_tensor(x["forget"])
        true = true_class(y["forget"], widened(calm.student(inputs[:1], training=False)))
        total += float(ops.convert_to_numpy(ops.sum(calm.sensitivity(inputs, true))))
        count += len(inputs)
    if not total > 0:
        raise ValueError(
            "model: its logits do not depend on the inputs to forget. Expected: gradients with "
            "respect to inputs that are not all zero. Received: zero."
        )
    return total / count
