"""FCS: forget, contrast, strengthen; the first place of the NeurIPS 2023 competition."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfunlearn import training
from tfunlearn.data import ForgetSplit, batches, pairs
from tfunlearn.losses import cross_entropy, kl_divergence
from tfunlearn.methods.checks import check, check_not_negative, check_positive
from tfunlearn.methods.rates import adam_unless_given, constant_rate, rate_of
from tfunlearn.methods.unlearner import Unlearner
from tfunlearn.models import logits_model


class FCS(Unlearner):
    """Trains a student by what each batch holds: forget alone, both roles, or retain alone.

    Per forget example alone the divergence of its prediction from the uniform one,
    ``KL(uniform || softmax(f(x)))``; beside a retain batch R the mean over R of
    ``-log softmax_R(f(x) . f(R) / T)``, which is least where it is equally near to all of R; per
    retain example alone the cross-entropy. ``f`` are logits, and none flows back through ``f(R)``.

    Args:
        student: the model to train, in place; it gives logits.
        temperature: T of the contrast, positive.
        name: name of the model.

    Raises:
        ValueError: if the temperature is not positive.

    Example:
        >>> from tfunlearn import methods, models
        >>> fcs = methods.FCS(models.mnist_dense(4, seed=0))
        >>> fcs.compile("sgd")  # then fcs.fit(data.pairs(split)), for the contrast

    Reference: as ``fcs``.
    Deviation: as ``fcs``.
    """

    def __init__(
        self, student: keras.Model, *, temperature: float = 1.15, name: str | None = None
    ) -> None:
        check_positive(temperature=temperature)
        super().__init__(student, name=name)
        self._temperature = temperature

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns the term of the roles that are there."""
        if "forget" not in logits:
            return {role: cross_entropy(y[role], logits[role]) for role in logits}
        forget = logits["forget"]
        if "retain" not in logits:
            return {"forget": kl_divergence(ops.zeros_like(forget), forget)}
        others = _of_all_replicas(ops.stop_gradient(logits["retain"]))
        nearness = ops.matmul(forget, ops.transpose(others)) / self._temperature
        return {"forget": -ops.mean(ops.log_softmax(nearness, axis=-1), axis=-1)}


def fcs(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 8,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
    uniform_scale: float = 1.25,
    contrast_scale: float = 0.075,
    temperature: float = 1.15,
) -> keras.Model:
    """Evens out the forget set once, then pulls it away from the retain set and trains on that.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget`` and ``retain``.
        seed: seed of the dropout masks and the batch orders.
        epochs: epochs, each of a contrast pass over the forget set beside batches of the retain
            set, and a pass over the retain set. Before the first one comes a pass over the forget
            set alone.
        batch_size: examples of each role in a batch.
        callbacks: Keras callbacks for the training; their model is an ``FCS``.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer with a constant learning rate; by default Adam, whatever the model was
            trained with. Each of the three kinds of passes has a fresh one.
        learning_rate: learning rate of the default optimizer in the passes over the retain set; by
            default 3e-3.
        uniform_scale: learning rate of the first pass, as a multiple of that.
        contrast_scale: learning rate of the contrast passes, likewise; from there it falls along
            a half cosine, towards 0 after the last epoch.
        temperature: T of the contrast, positive.

    Returns:
        The unlearned model. Costs ``epochs`` passes over retain and ``2 epochs + 1`` passes of
        forget's size.

    Raises:
        ValueError: if an option is out of its range, the optimizer has a schedule, the original's
            logits cannot be read, or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: first place of the NeurIPS 2023 unlearning competition ("fanchuan"), "Forget,
    Contrast, Strengthen" in Cadet et al., 2024, arXiv 2410.01276.
    Deviation: Adam, where the competition's code has SGD with momentum; the three learning rates
    stand in its ratio (5e-3, 3e-4 and 4e-3 for batches of 256). The contrast's rate falls from
    epoch to epoch, towards 0; there it falls at each step, to 1e-6. No weight decay unless the
    optimizer has one; there the passes over retain have 0.01. Forget batches pass in inference
    mode.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    split = split.unweighted("forget")  # whose own labels have no part
    check_not_negative(uniform_scale=uniform_scale, contrast_scale=contrast_scale)
    student = logits_model(model, seed=seed)
    constant_rate(model, optimizer, 0.0)  # refuses a schedule
    stages = {}
    for stage, factor in (("forget", uniform_scale), ("both", contrast_scale), ("retain", 1.0)):
        stages[stage] = FCS(student, temperature=temperature)
        rule = adam_unless_given(model, optimizer, learning_rate, default=3e-3)
        stages[stage].compile(rule, jit_compile=jit_compile)
        rule.learning_rate = rate_of(rule) * factor
    streams = {
        role: batches(split, role, batch_size=batch_size, shuffle=True, seed=seed, named=True)
        for role in ("forget", "retain")
    }
    streams["both"] = pairs(split, batch_size, "forget", seed=seed)
    contrast = rate_of(stages["both"].optimizer)

    def passes(epoch: int) -> list[tuple[FCS, Any]]:
        left = 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        stages["both"].optimizer.learning_rate = contrast * left
        due = ("both", "retain") if epoch else ("forget", "both", "retain")
        return [(stages[stage], streams[stage]) for stage in due]

    last = stages["retain"]
    training.fit_passes(last, passes, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def _of_all_replicas(rows: Any) -> Any:
    """Returns the rows of all replicas under ``tf.distribute``, so that none sees fewer."""
    if keras.backend.backend() != "tensorflow":
        return rows
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return rows
    return replica.all_gather(rows, axis=0)
