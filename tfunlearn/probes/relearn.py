"""Relearn time: how soon a copy of a model knows the forget set again."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np

from tfunlearn import metrics, models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.data.passes import looks
from tfunlearn.methods.checks import check, check_fraction, check_positive
from tfunlearn.probes.reading import blocks, check_count
from tfunlearn.probes.relearn_result import RelearnPoint, RelearnSettings, RelearnTime

_LEARNING_RATE = 1e-3
_MAX_EPOCHS = 100


def relearn_time(
    model: keras.Model,
    split: ForgetSplit,
    *,
    target: float,
    criterion: Literal["loss", "accuracy"] = "loss",
    max_epochs: int | None = None,
    max_steps: int | None = None,
    optimizer: Any = "adam",
    learning_rate: float | None = None,
    batch_size: int = 128,
    every: int = 1,
    seed: int = 0,
    jit_compile: bool | str = "auto",
) -> RelearnTime:
    """Counts the optimizer steps on the forget set until a copy of a model knows it again.

    The copy is trained on the cross-entropy of its logits, the same for every model: neither the
    optimizer nor the loss that the model was compiled with has a part. It runs in inference mode
    throughout. So batch normalisation uses the statistics that the model has and moves none, while
    its scales and shifts train like other weights, and dropout is off. What is frozen in the model
    stays frozen, and regularisation written into its layers is added to the loss.

    A short time alone shows nothing: a random forget set is easy for a retrained model too. Set it
    beside the times of retrained models, taken with the same settings. Nor does a long one: a head
    that hides a class behind a large number takes many steps to mend, and ``linear_probe`` sees
    through it.

    Args:
        model: a built classifier with logits or a softmax; it is left as it was.
        split: the data; reads ``forget``.
        target: the level to reach: a mean cross-entropy in nats above 0, to which the loss falls,
            or an accuracy in (0, 1], to which accuracy rises.
        criterion: ``"loss"`` or ``"accuracy"`` of the forget set.
        max_epochs: passes over the forget set after which to give up; 100 by default.
        max_steps: steps after which to give up, in place of ``max_epochs``.
        optimizer: name of an optimizer, or an optimizer, which is copied and not used itself.
        learning_rate: learning rate of an optimizer given by name; 0.001 by default.
        batch_size: examples a step.
        every: steps from one measurement of the whole forget set to the next. With more than 1 the
            result is the first measured step at which the target held, up to ``every - 1`` late.
        seed: seed of the order of the batches, which is the same for every model.
        jit_compile: as in ``keras.Model.compile``.

    Returns:
        The time. Costs a pass over the forget set forwards for each measurement, besides the
        training.

    Raises:
        ValueError: if an option is out of range, both limits are given, a learning rate is given
            beside an optimizer, no weight of the model is trainable or one is not finite,
            or model and split do not fit together.
        RuntimeError: if the relearning diverged.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn import data, probes
        >>> x, y = np.eye(4, dtype="float32"), np.array([0, 1, 0, 1])
        >>> split = data.by_index(x, y, forget=[0, 1], test=(x, y))
        >>> head = keras.layers.Dense(2, kernel_initializer="zeros")
        >>> net = keras.Sequential([keras.Input((4,)), head])
        >>> options = {"target": 0.2, "optimizer": "sgd", "learning_rate": 1.0}
        >>> print(probes.relearn_time(net, split, **options))
        reached after 5 steps (5 epochs)
        >>> print(probes.relearn_time(net, split, max_steps=2, **options))
        not reached within 2 steps: loss is 0.3477, the target 0.2

    Reference: Golatkar et al., 2020, "Eternal Sunshine of the Spotless Net", arXiv 1911.04933 (its
    official code, until the loss has fallen to a threshold); Chundawat et al., 2023, "Zero-shot
    machine unlearning", arXiv 2201.05629 (until accuracy is close to the original's).
    Deviation: the forget set alone is relearned, as in the code of the ERASURE framework. The
    papers' own codes train on all training data until the forget set is known: the first on 500
    images drawn anew for each epoch, by SGD at 0.01, and counts epochs; the second by Adam at
    0.001, counts steps, at least one, and looks at held-out images of the forgotten class. Here a
    model that holds the target from the start takes 0 steps. The second and ERASURE train in
    training mode, which lets what is relearned replace the statistics of batch normalisation.
    """
    check(model, split, {"forget"}, seed=seed)
    _require_able(model)
    split.check("forget", batch_size)
    per_epoch = -(-split.size("forget") // int(batch_size))
    learner = _Learner(models.logits_model(model, seed=seed))
    fresh = _optimizer(model, optimizer, learning_rate)
    settings = RelearnSettings(
        criterion=criterion,
        target=_target(criterion, target),
        optimizer=_described(fresh),
        batch_size=int(batch_size),
        every=check_count("every", every),
        max_steps=_limit(max_epochs, max_steps, per_epoch),
        steps_per_epoch=per_epoch,
        size=split.size("forget"),
        seed=int(seed),
        split=split.fingerprint(),
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(fresh, loss, jit_compile=jit_compile)
    curve = _relearn(learner, split, settings)
    reached = _holds(settings, curve[-1])
    return RelearnTime(reached, curve[-1].steps if reached else None, tuple(curve), settings)


class _Learner(keras.Model):
    """Trains a student that runs in inference mode all the while."""

    def __init__(self, student: keras.Model) -> None:
        super().__init__(name="learner")
        self.student = student
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns the student's logits."""
        return self.student(x, training=False)


def _relearn(
    learner: _Learner, split: ForgetSplit, settings: RelearnSettings
) -> list[RelearnPoint]:
    """Trains until the target holds or the steps are used up; returns what was measured."""
    size, seed = settings.batch_size, settings.seed
    stream = batches(split.unweighted(), "forget", batch_size=size, shuffle=True, seed=seed)
    measure = _measure(learner.student, split)
    curve = [measure(0)]
    steps = 0
    with looks("never"):
        while steps < settings.max_steps and not _holds(settings, curve[-1]):
            for x, y in training.iterate(stream):
                learner.train_on_batch(np.asarray(x), np.asarray(y))
                steps += 1
                last = steps == settings.max_steps
                if last or steps % settings.every == 0:
                    curve.append(measure(steps))
                    if last or _holds(settings, curve[-1]):
                        break
    return curve


def _measure(student: keras.Model, split: ForgetSplit) -> Callable[[int], RelearnPoint]:
    """Returns a function of the steps taken that measures the student on the forget set."""
    labels = split.labels("forget")
    kept = None if split.source("forget").is_stream else list(blocks(split, "forget"))

    def measure(steps: int) -> RelearnPoint:
        parts: Sequence[np.ndarray] | Any = blocks(split, "forget") if kept is None else kept
        logits = np.concatenate([student.predict_on_batch(x) for x in parts]).astype("float64")
        if steps and not np.isfinite(logits).all():
            raise RuntimeError(
                f"relearning diverged: logits are not finite after {steps} steps. Expected: finite "
                "ones; lower the learning rate."
            )
        loss = float(metrics.cross_entropy(labels, logits).mean())
        return RelearnPoint(steps, loss, metrics.accuracy(labels, logits))

    return measure


def _holds(settings: RelearnSettings, point: RelearnPoint) -> bool:
    """Tells whether the target is reached."""
    if settings.criterion == "loss":
        return point.loss <= settings.target
    return point.accuracy >= settings.target


def _target(criterion: str, target: float) -> float:
    """Returns a target that fits its criterion."""
    if criterion not in ("loss", "accuracy"):
        raise ValueError(f"criterion: expected 'loss' or 'accuracy'. Received: {criterion!r}.")
    (check_positive if criterion == "loss" else check_fraction)(target=target)
    return float(target)


def _limit(max_epochs: int | None, max_steps: int | None, per_epoch: int) -> int:
    """Returns the steps after which to give up."""
    if max_epochs is not None and max_steps is not None:
        raise ValueError(
            "max_steps: expected a limit in epochs or in steps. "
            f"Received both: max_epochs={max_epochs!r}, max_steps={max_steps!r}."
        )
    if max_steps is not None:
        return check_count("max_steps", max_steps)
    return per_epoch * check_count("max_epochs", _MAX_EPOCHS if max_epochs is None else max_epochs)


def _optimizer(
    model: keras.Model, optimizer: Any, learning_rate: float | None
) -> keras.optimizers.Optimizer:
    """Returns a fresh optimizer."""
    if optimizer is None:
        raise ValueError(
            "optimizer: every model must relearn with the same one, so none is taken from the "
            "model. Expected: a name or an optimizer. Received: None."
        )
    if not isinstance(optimizer, str):
        return training.optimizer_like(model, optimizer=optimizer, learning_rate=learning_rate)
    rate = _LEARNING_RATE if learning_rate is None else learning_rate
    check_positive(learning_rate=rate)
    named = keras.optimizers.get(optimizer)
    named.learning_rate = float(rate)
    return named


def _described(optimizer: keras.optimizers.Optimizer) -> str:
    """Returns an optimizer's class and options as JSON."""
    written = keras.optimizers.serialize(optimizer)
    options = {key: value for key, value in written["config"].items() if key != "name"}
    return json.dumps({"class_name": written["class_name"], **options}, sort_keys=True)


def _require_able(model: keras.Model) -> None:
    """Raises if a model has nothing to relearn with, or is broken already."""
    for weight in model.weights:
        values = keras.ops.convert_to_numpy(weight)
        if not np.isfinite(values).all():
            raise ValueError(
                "model: its weights must be finite. Expected: no NaN and no infinity. "
                f"Received: some in {weight.path!r}."
            )
    if not model.trainable_variables:
        raise ValueError(
            "model: it must be able to learn. Expected: at least one trainable weight. "
            "Received: a model whose weights are all frozen."
        )
