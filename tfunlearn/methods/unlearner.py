"""Training a student by terms of its own for each role: the one place that computes a loss."""

from collections.abc import Mapping
from typing import Any

import keras

from tfunlearn.models.precision import widened

ROLES = ("forget", "retain", "validation")


class Unlearner(keras.Model):
    """Trains a student on batches ``{role: x}, {role: y}`` by a loss for each role.

    A subclass writes ``terms``. Batches come from ``data.pairs``, or from ``data.batches(...,
    named=True)`` for one role alone; one unlearner takes both. Only the student is trained.
    Batches of ``retain`` and ``validation`` pass in training mode, those of ``forget`` in
    inference mode, so that what is to be forgotten moves no batch statistics.

    Under mixed precision logits reach the terms in float32, the student's and the teachers', and
    the unlearner has the student's policy, so that Keras scales the loss of a float16 student.

    Args:
        student: the model to train, in place; it gives logits (see ``models.logits_model``).
        teachers: models that the terms may look at, by name; each is frozen and runs in inference
            mode through ``self.teach(name, x)``. Give copies.
        name: name of the model.

    Attributes:
        student: the student.
        logs_are_metrics: the logs of a step are results of metrics and nothing else; a subclass
            that writes a ``compute_metrics`` with other logs sets it to False.

    Raises:
        ValueError: at the call, if a batch is not a dict of known roles.

    Example:
        >>> import keras
        >>> from tfunlearn import losses, models
        >>> from tfunlearn.methods import Unlearner
        >>> class Descent(Unlearner):
        ...     def terms(self, x, y, logits):
        ...         return {"retain": losses.cross_entropy(y["retain"], logits["retain"])}
        >>> unlearner = Descent(models.mnist_dense(4, seed=0))
        >>> unlearner.compile(keras.optimizers.SGD(0.1))  # then unlearner.fit(pairs(split))

    Reference: the ``compute_loss`` hook of Keras 3.
    Deviation: none known.
    """

    logs_are_metrics = True

    def __init__(
        self,
        student: keras.Model,
        teachers: Mapping[str, keras.Model] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=student.dtype_policy)
        self.student = student
        self._teachers = dict(teachers or {})
        for teacher in self._teachers.values():
            teacher.trainable = False
        self._reduce = _Given(name="mean")
        self._means = {role: keras.metrics.Mean(name=f"{role}_loss") for role in ROLES}
        self._rights = {role: keras.metrics.Mean(name=f"{role}_accuracy") for role in ROLES}
        self.built = True

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns what to minimise: for each role a tensor ``(batch,)``, one term per example.

        Where batches hold weights (see ``ForgetSplit.weighted``), they multiply the terms. Of a
        pair of two tensors they multiply the first, which is the loss on the example's own label,
        and the second, such as a distance to a teacher, is added as it is.

        Args:
            x: inputs by role, of the roles that the batch holds.
            y: integer labels by role.
            logits: the student's logits by role, in float32 at least.
        """
        raise NotImplementedError(f"{type(self).__name__} does not write terms(x, y, logits).")

    def teach(self, name: str, x: Any) -> Any:
        """Returns a teacher's logits, without gradient and in inference mode."""
        return keras.ops.stop_gradient(widened(self._teachers[name](x, training=False)))

    def call(self, x: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Returns the student's logits by role."""
        if not isinstance(x, dict) or not set(x) <= set(ROLES) or not x:
            raise ValueError(
                "x: expected batches by role, such as data.pairs(split) gives. "
                f"Expected: a dict with some of {ROLES}. Received: {x!r}."
            )
        return {
            role: widened(self.student(part, training=bool(training) and role != "forget"))
            for role, part in x.items()
        }

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the sum over the roles of the mean of each role's terms, and regularisation.

        As in Keras, weights multiply the terms and a mean is over the examples, not the weights.
        """
        losses = []
        for role, parts in self.terms(x, y, y_pred).items():
            term = _weighed(role, parts, (sample_weight or {}).get(role))
            self._means[role].update_state(term)
            losses.append(self._reduce(term, term))
        if self.losses:  # regularisation, which Keras adds up itself
            losses.append(super().compute_loss(x, y, y_pred, None, training=training))
        return sum(losses)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Returns the loss, and loss and accuracy of each role in the batch."""
        for role, logits in y_pred.items():
            labels = keras.ops.cast(keras.ops.reshape(y[role], (-1,)), "int32")
            right = keras.ops.equal(keras.ops.cast(keras.ops.argmax(logits, -1), "int32"), labels)
            self._rights[role].update_state(keras.ops.cast(right, "float32"))
        logs = self.get_metrics_result()
        return {k: v for k, v in logs.items() if k == "loss" or k.split("_")[0] in y_pred}


def _weighed(role: str, parts: Any, weights: Any) -> Any:
    """Returns a role's terms under weights, or as they are where there are none."""
    parts = parts if isinstance(parts, tuple) else (parts,)
    for part in parts:
        if len(part.shape) != 1:
            raise ValueError(
                f"terms: expected one number per example of {role!r}, shape (batch,). "
                f"Received shape {tuple(part.shape)}."
            )
    first, *rest = parts
    if weights is not None:
        first = first * keras.ops.cast(weights, first.dtype)
    return sum(rest, start=first)


@keras.saving.register_keras_serializable(package="tfunlearn")
class _Given(keras.losses.Loss):
    """Reduces terms that are given as they are."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the terms."""
        return y_pred
