"""KDE: draw the first and the last layer anew, and distil the original into what is left."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.losses import cross_entropy, kl_divergence, soft_cross_entropy
from tfunlearn.methods.cf_k import draw_anew, first_layer, last_layers
from tfunlearn.methods.checks import check, check_count, check_not_negative, check_positive
from tfunlearn.methods.rates import constant_rate, half_cosine, rate_of
from tfunlearn.methods.unlearner import Unlearner


class KDE(Unlearner):
    """Trains a student to agree with a teacher, on retain batches also to be right.

    With t and s the predictions of teacher and student at temperature T, per validation example
    ``KL(t || s)``, and per retain example ``CE + H(t, s) + KL(t || s)``, where CE is taken at
    temperature 1 and H is the cross-entropy under the teacher's predictions. H and KL differ by the
    teacher's entropy, and so have one gradient.

    Args:
        student: the model to train, in place; it gives logits (see ``models.logits_model``).
        teacher: a copy of the original that gives logits; it is frozen.
        temperature: T, positive.
        name: name of the model.

    Raises:
        ValueError: if the temperature is not positive.

    Example:
        >>> from tfunlearn import methods, models
        >>> net = models.mnist_dense(4, seed=0)
        >>> kde = methods.KDE(models.reinitialized(net, seed=1), models.copy(net))
        >>> kde.compile("sgd")  # then kde.fit(data.batches(split, "validation", named=True))

    Reference: as ``kde``.
    Deviation: as ``kde``.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        *,
        temperature: float = 5.0,
        name: str | None = None,
    ) -> None:
        check_positive(temperature=temperature)
        super().__init__(student, {"original": teacher}, name=name)
        self._temperature = temperature

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns the distance to the teacher, and of retain examples that to their labels too."""
        terms = {}
        for role in logits:
            taught = self.teach("original", x[role]) / self._temperature
            given = logits[role] / self._temperature
            distance = kl_divergence(taught, given)
            if role == "retain":
                distance += soft_cross_entropy(ops.softmax(taught), given)
                terms[role] = cross_entropy(y[role], logits[role]), distance
            else:
                terms[role] = distance
        return terms


def kde(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 3,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
    warmup_epochs: int = 3,
    warmup_scale: float = 0.9,
    temperature: float = 5.0,
) -> keras.Model:
    """Draws first and last layer anew, and learns the original's answers on images new to it.

    Passes over the validation set teach what the original answers there, where it cannot tell what
    it remembers. Passes over the retain set follow, under labels and answers together.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain``, and of ``validation`` the inputs alone. They are trained
            on, so what is measured on them afterwards is not held out.
        seed: seed of the fresh weights, the dropout masks and the batch orders.
        epochs: passes over the retain set. Before the first one come those over the validation set.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training; they see a ``KDE``, and epochs, not batches.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer with a constant learning rate, a fresh one for either kind of passes;
            by default one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default the model's
            own. In the passes over the retain set it falls from epoch to epoch along a half cosine.
        warmup_epochs: passes over the validation set, at least 1.
        warmup_scale: learning rate of these, as a multiple of that of the others, at least 0.
        temperature: T of the distances to the original's answers, positive.

    Returns:
        The unlearned model. Costs ``warmup_epochs`` passes over the validation set and ``epochs``
        over the retain set, each with a forward pass of the original besides.

    Raises:
        ValueError: if a number is outside its range, there is no validation set, no optimizer or no
            layer with a kernel that is not frozen, the original's logits cannot be read, or model
            and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: sixth place of the NeurIPS 2023 unlearning competition, "KDE" in Cadet et al., 2024,
    arXiv 2410.01276, and the code of that paper.
    Deviation: optimizer and learning rate are the original's own rather than SGD at 0.0009 and
    0.001; the ratio of the two rates is kept. That code draws ``conv1`` and ``fc`` of a ResNet
    anew; here it is the layer with a kernel that runs first and the one that runs last; weights
    that are frozen have no part. As there, the distances have no factor T^2.
    """
    check(model, split, {"retain", "validation"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    training.check_epochs(epochs)
    check_count(warmup_epochs=warmup_epochs)
    check_not_negative(warmup_scale=warmup_scale)
    rate = constant_rate(model, optimizer, learning_rate)
    student, teacher = models.logits_model(model, seed=seed), models.logits_model(model)
    draw_anew(student, model, [first_layer(student), *last_layers(student, 1)], seed)
    stages, streams = {}, {}
    for role, scale in (("validation", warmup_scale), ("retain", 1.0)):
        rule = training.optimizer_like(model, optimizer=optimizer, learning_rate=rate)
        rule.learning_rate = rate_of(rule) * scale
        stages[role] = KDE(student, teacher, temperature=temperature)
        stages[role].compile(rule, jit_compile=jit_compile)
        streams[role] = batches(
            split, role, batch_size=batch_size, shuffle=True, seed=seed, named=True
        )

    def passes(epoch: int) -> list[tuple[KDE, Any]]:
        due = ["retain"] if epoch else [*["validation"] * warmup_epochs, "retain"]
        return [(stages[role], streams[role]) for role in due]

    own = [half_cosine(epochs), *callbacks]
    last = stages["retain"]
    training.fit_passes(last, passes, epochs=epochs, callbacks=own, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)
