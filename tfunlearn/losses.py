"""Losses for unlearning, as stock Keras losses."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="tfunlearn")
class WeightedSparseCategoricalCrossentropy(keras.losses.Loss):
    """Cross-entropy in which each example counts as its class does.

    The loss is ``-(1/N) sum_i w[y_i] log p_i[y_i]`` over N examples: a weighted sum divided by the
    number of examples, not by the sum of the weights.

    Args:
        class_weights: one non-negative weight per class, not all zero.
        from_logits: whether predictions are logits rather than probabilities.
        reduction: as in ``keras.losses.Loss``.
        name: name of the loss.
        dtype: data type of the computation, as in ``keras.losses.Loss``.

    Raises:
        ValueError: if the weights are negative, not finite, all zero or fewer than two; at the
            call, if labels are neither ``(batch,)`` nor ``(batch, 1)``, or classes do not match
            the weights.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.losses import WeightedSparseCategoricalCrossentropy
        >>> loss = WeightedSparseCategoricalCrossentropy([1.0, 0.5])
        >>> p = np.array([[0.5, 0.5], [0.25, 0.75]], "float32")
        >>> round(float(loss(np.array([0, 1]), p)), 4)  # (ln 2 + 0.5 ln 4/3) / 2
        0.4185

    Reference: the loss stated by the "vision confuser" notebook.
    Deviation: none known. The notebook's code differs from its own formula: labels of shape
    ``(batch, 1)`` there give ``mean(cross-entropy) * mean(weight)``; here they do not.
    """

    def __init__(
        self,
        class_weights: Sequence[float] | np.ndarray,
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "weighted_sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.class_weights = _check_weights(class_weights)
        self.from_logits = bool(from_logits)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the weighted cross-entropy of each example, shape ``(batch,)``."""
        return weighted_sparse_categorical_crossentropy(
            y_true, y_pred, self.class_weights, from_logits=self.from_logits
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the loss."""
        own = {"class_weights": list(self.class_weights), "from_logits": self.from_logits}
        return {**super().get_config(), **own}


def weighted_sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    class_weights: Sequence[float] | np.ndarray,
    *,
    from_logits: bool = False,
) -> Any:
    """Returns ``-w[y] log p[y]`` for each example.

    Args:
        y_true: integer labels ``(batch,)`` or ``(batch, 1)``.
        y_pred: probabilities or logits ``(batch, classes)``.
        class_weights: one weight per class.
        from_logits: whether predictions are logits.

    Returns:
        A float tensor ``(batch,)``.

    Raises:
        ValueError: if labels have another shape, or there is not one weight per class.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = _flat_labels(y_true, y_pred)
    weights = ops.convert_to_tensor(np.asarray(class_weights, "float32"), dtype=y_pred.dtype)
    if y_pred.shape[-1] != weights.shape[0]:
        raise ValueError(
            "class_weights: expected one weight per class of y_pred. "
            f"Expected: {y_pred.shape[-1]}. Received: {weights.shape[0]}."
        )
    losses = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits)
    return losses * ops.take(weights, y_true)


def cross_entropy(y_true: Any, logits: Any) -> Any:
    """Returns ``-log softmax(logits)[y]`` for each example.

    Args:
        y_true: integer labels ``(batch,)`` or ``(batch, 1)``.
        logits: logits ``(batch, classes)``.

    Returns:
        A float tensor ``(batch,)``.

    Raises:
        ValueError: if labels have another shape.
    """
    logits = ops.convert_to_tensor(logits)
    labels = _flat_labels(y_true, logits)
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def kl_divergence(target_logits: Any, logits: Any, temperature: float = 1.0) -> Any:
    """Returns ``T^2 KL(softmax(target / T) || softmax(logits / T))`` for each example.

    The divergence that distillation minimises over ``logits``; no gradient flows into the target.

    Args:
        target_logits: logits of the teacher, ``(batch, classes)``.
        logits: logits of the student, ``(batch, classes)``.
        temperature: T, positive; above 1 it evens out both distributions.

    Returns:
        A float tensor ``(batch,)``, at least 0 up to rounding.

    Reference: Hinton et al., 2015, "Distilling the Knowledge in a Neural Network",
    arXiv 1503.02531, section 2.
    Deviation: none known.
    """
    target = ops.stop_gradient(ops.convert_to_tensor(target_logits))
    target = ops.log_softmax(target / temperature)
    given = ops.log_softmax(logits / temperature)
    return temperature**2 * ops.sum(ops.exp(target) * (target - given), axis=-1)


def soft_cross_entropy(target: Any, logits: Any) -> Any:
    """Returns ``-sum_c target[c] log softmax(logits)[c]`` for each example.

    Args:
        target: probabilities ``(batch, classes)``; no gradient flows into them.
        logits: logits ``(batch, classes)``.

    Returns:
        A float tensor ``(batch,)``.
    """
    target = ops.stop_gradient(ops.convert_to_tensor(target))
    return -ops.sum(target * ops.log_softmax(logits), axis=-1)


def _flat_labels(y_true: Any, y_pred: Any) -> Any:
    """Returns labels as int32 ``(batch,)``, or raises where a broadcast would follow."""
    y_true = ops.convert_to_tensor(y_true)
    if len(y_pred.shape) != 2:
        raise ValueError(
            f"y_pred: expected shape (batch, classes). Received shape {tuple(y_pred.shape)}."
        )
    if len(y_true.shape) == 2 and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if len(y_true.shape) != 1:
        raise ValueError(
            "y_true: expected integer labels of shape (batch,) or (batch, 1). "
            f"Received shape {tuple(y_true.shape)}."
        )
    return ops.cast(y_true, "int32")


def _check_weights(class_weights: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """Returns the weights as floats, checked."""
    weights = np.asarray(class_weights, "float64")
    if weights.ndim != 1 or len(weights) < 2:
        raise ValueError(
            "class_weights: expected one weight for each of at least two classes. "
            f"Received shape {weights.shape}."
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError(
            "class_weights: expected finite weights of at least 0, not all 0. "
            f"Received: {weights.tolist()}."
        )
    return tuple(float(weight) for weight in weights)


@keras.saving.register_keras_serializable(package="tfunlearn")
class OnLabels(keras.losses.Loss):
    """Applies a loss to class ids in the form that it takes, such as one-hot rows.

    So a model that was trained on one-hot labels is trained here by its own loss. Everything else
    is the inner loss's: its reduction, its masks and its weights.

    Args:
        loss: the inner loss: a ``keras.losses.Loss``, a name, a config, or a function.
        form: what it takes: ``"ids"`` of shape ``(batch,)``, a ``"column"`` of ids ``(batch, 1)``,
            or ``"one_hot"`` rows ``(batch, classes)``.
        name: name of the loss; by default the inner one's.

    Attributes:
        inner: the inner loss as it was given.
        form: what it takes.

    Raises:
        ValueError: if the form is none of these.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from tfunlearn.losses import OnLabels
        >>> loss = OnLabels(keras.losses.CategoricalHinge(), "one_hot")
        >>> p = np.array([[0.75, 0.25], [0.5, 0.5]], "float32")
        >>> float(loss(np.array([0, 1]), p)), float(loss.inner(np.eye(2, dtype="float32"), p))
        (0.75, 0.75)
    """

    FORMS = ("ids", "column", "one_hot")

    def __init__(self, loss: Any, form: str, name: str | None = None) -> None:
        if form not in self.FORMS:
            raise ValueError(f"form: expected one of {self.FORMS}. Received: {form!r}.")
        self.inner, self.form = keras.losses.get(loss), form
        own = isinstance(self.inner, keras.losses.Loss)
        applied = self.inner if own else _ByFunction(self.inner)
        super().__init__(
            name=name or applied.name, reduction=applied.reduction, dtype=applied.dtype
        )
        self._apply = applied

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Returns the inner loss of class ids ``(batch,)`` or ``(batch, 1)``, reduced."""
        labels = self.formed(self.form, y_true, y_pred.shape[-1])
        return self._apply(labels, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the inner loss of each example, where it has one."""
        return self._apply.call(self.formed(self.form, y_true, y_pred.shape[-1]), y_pred)

    @staticmethod
    def formed(form: str, ids: Any, classes: int) -> Any:
        """Returns class ids in a form.

        Args:
            form: as above.
            ids: integers ``(batch,)`` or ``(batch, 1)``.
            classes: how many classes there are.
        """
        ids = ops.reshape(ops.cast(ops.convert_to_tensor(ids), "int32"), (-1,))
        if form == "one_hot":
            return ops.one_hot(ids, classes, dtype=keras.backend.floatx())
        return ops.expand_dims(ids, -1) if form == "column" else ids

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the loss."""
        inner = keras.saving.serialize_keras_object(self.inner)
        return {"loss": inner, "form": self.form, "name": self.name}


@keras.saving.register_keras_serializable(package="tfunlearn")
class _ByFunction(keras.losses.Loss):
    """A loss by a function of labels and predictions, as Keras makes one of a function."""

    def __init__(self, function: Any) -> None:
        super().__init__(name=getattr(function, "__name__", type(function).__name__))
        self._function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns what the function gives."""
        return self._function(y_true, y_pred)
