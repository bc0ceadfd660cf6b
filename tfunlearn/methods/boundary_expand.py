"""Boundary expand: the forget set moves to a class of its own, which is then taken away."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.losses import cross_entropy
from tfunlearn.methods.boundary_shrink import train_last
from tfunlearn.methods.bounds import stopping
from tfunlearn.methods.checks import check
from tfunlearn.methods.unlearner import Unlearner
from tfunlearn.models.copying import example_batch


class BoundaryExpand(Unlearner):
    """Trains a student, widened by a logit, to put forget examples into that class.

    Accuracy is measured without the extra logit.

    Args:
        student: the model to train, in place, with a Dense head of logits; from here on it gives
            one logit more, whose weights belong to this object.
        seed: seed of the extra logit's weights.

    Attributes:
        shadow: the Dense layer of the extra logit.

    Raises:
        ValueError: if the student has no Dense head.
    """

    def __init__(self, student: keras.Model, *, seed: int = 0) -> None:
        head = _head(student)
        super().__init__(student)
        start = keras.initializers.GlorotUniform(seed=seed)
        self.shadow = keras.layers.Dense(
            1, kernel_initializer=start, dtype=head.dtype_policy, name="shadow"
        )
        self.shadow.build((None, head.kernel.shape[0]))
        shadow, narrow = self.shadow, head.call
        head.call = lambda inputs, **_: ops.concatenate([narrow(inputs), shadow(inputs)], -1)

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns the cross-entropy of each example with the extra class."""
        extra = logits["forget"].shape[-1] - 1
        return {"forget": cross_entropy(ops.full_like(y["forget"], extra), logits["forget"])}

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Returns the logs, with the accuracy that remains once the extra logit is dropped."""
        narrow = {role: logits[:, :-1] for role, logits in y_pred.items()}
        return super().compute_metrics(x, y, narrow, sample_weight)


def boundary_expand(
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
    k: int | None = 2,
    stop_accuracy: float | Literal["auto"] | None = "auto",
) -> keras.Model:
    """Trains the forget set into an extra class, and then drops that class.

    The head gets one more logit with fresh weights (Glorot uniform, bias 0). The loss is the
    cross-entropy of the forget set with this class. The model runs in inference mode.

    Args:
        model: the original, with a Dense layer of class scores at its end; it is left as it was.
        split: the data, whose forget set holds whole classes; reads ``forget``.
        seed: seed of the extra logit's weights and of the batch order.
        epochs: passes over the forget set, at most.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training; their model is the widened one, of which
            accuracy counts the classes of the original alone.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default a tenth of
            its own.
        k: how many layers with kernels train, from the last, or all where there are fewer; None
            for the whole network.
        stop_accuracy: forget accuracy in [0, 1], without the extra class, at which to stop,
            exactly there rather than at the end of the epoch; ``"auto"`` for chance; None to train
            for all epochs.

    Returns:
        The unlearned model, with the classes of the original. Costs ``epochs`` passes over the
        forget set, and as many without gradient for the stop.

    Raises:
        ValueError: if there is no optimizer, the head is not Dense, ``k`` or the level is out of
            range,
            the forget set leaves a part of its classes, or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Chen et al., 2023, "Boundary Unlearning: Rapid Forgetting of Deep Networks via
    Shifting the Decision Boundary", arXiv 2303.11570 (boundary expanding).
    Deviation: the extra logit is dropped at the end, as in the paper; the official code keeps it.
    The training stops at a level (``stop_accuracy=None`` for no stop; the paper trains for 10
    epochs). By default the last two layers alone train, since small networks lost more of what was
    to stay when all did (``k=None``). The learning rate follows the original's.
    """
    check(model, split, {"forget"}, seed=seed, whole_classes=True)
    split = split.unweighted()
    optimizer = training.optimizer_like(
        model, optimizer=optimizer, learning_rate=learning_rate, scale=0.1
    )
    student = models.logits_model(model, seed=seed)
    train_last(student, k)
    expansion = BoundaryExpand(student, seed=seed)
    expansion.compile(optimizer, jit_compile=jit_compile)
    options = {"batch_size": batch_size, "named": True, "seed": seed}
    still, stream = (batches(split, "forget", shuffle=moved, **options) for moved in (False, True))
    rules = stopping(stop_accuracy, split, expansion, still, models.num_classes(model))
    training.fit(expansion, stream, epochs=epochs, callbacks=[*rules, *callbacks], verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def _head(student: keras.Model) -> keras.layers.Dense:
    """Returns the Dense layer whose output is the model's, or raises."""
    dense = [x for x in models.iter_layers(student) if isinstance(x, keras.layers.Dense)]
    if dense and _output_of(dense[-1], student):
        return dense[-1]
    received = f"{dense[-1].name!r} with more after it" if dense else "no Dense layer"
    raise ValueError(
        "model: its head cannot be widened by a class. Expected: a Dense layer of class scores at "
        f"the end, followed by nothing but a softmax. Received: {received}."
    )


def _output_of(layer: keras.layers.Dense, student: keras.Model) -> bool:
    """Tells whether what a layer gives is what the model gives."""
    call, seen = layer.call, []

    def noting(inputs: Any, **_: Any) -> Any:
        seen.append(call(inputs))
        return seen[-1]

    layer.call = noting
    given = ops.convert_to_numpy(student(example_batch(student), training=False))
    layer.call = call
    found = ops.convert_to_numpy(seen[0]) if len(seen) == 1 else np.zeros(0)
    return found.shape == given.shape and np.allclose(found, given, atol=1e-6)
