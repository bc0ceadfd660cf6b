"""Running twins of the metrics, for `model.compile(metrics=[...])`.

Each is the weighted mean over all examples seen since the last reset, and equals the NumPy
function of the same name up to the rounding of float32. They take logits: compile them on a
model whose last activation is linear (`models.logits_model` takes a softmax off).

A compiled step cannot raise an error. Where the NumPy function refuses a batch's numbers, because
they look like probabilities or a label is no class, the twin's result is NaN until its next reset.
"""

from typing import Any

import keras
from keras import ops

from tfunlearn.metrics.arrays import ROUNDING

__all__ = [
    "Entropy",
    "Margin",
    "PredictionAgreement",
    "ReferenceKLDivergence",
    "UnlearningAccuracy",
]


class _MeanOverExamples(keras.metrics.MeanMetricWrapper):
    """The weighted mean of a function of (y_true, logits) over examples."""

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the metric."""
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="tfunlearn")
class Margin(_MeanOverExamples):
    """Mean margin of the label's logit over the others': `metrics.margins`.

    Args:
        clip: Largest absolute margin of an example, above 0; None takes margins as they are.
        name: Name in the logs.
        dtype: Data type of the result, as in `keras.metrics.Metric`.

    The update takes labels, integers of shape (batch,) or (batch, 1), and logits of shape
    (batch, C); sample weights have shape (batch,).

    Raises:
        ValueError: If `clip` is not above 0; at the update, if labels or logits have another shape.

    Example:
        >>> metric = Margin()
        >>> metric.update_state([0, 1], [[2.0, 0.0], [2.0, 0.0]], sample_weight=[3, 1])
        >>> float(metric.result())
        1.0
    """

    def __init__(self, clip: float | None = None, name: str = "margin", dtype: Any = None) -> None:
        if clip is not None and not clip > 0:
            raise ValueError(
                f"clip must leave a range of margins. Expected a number above 0. Received {clip}."
            )
        super().__init__(_margins, name=name, dtype=dtype, clip=clip)
        self.clip = clip

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the metric."""
        return {**super().get_config(), "clip": self.clip}


@keras.saving.register_keras_serializable(package="tfunlearn")
class Entropy(_MeanOverExamples):
    """Mean entropy of the predictions in nats: `metrics.entropy`. The labels are not read.

    Args:
        name: Name in the logs.
        dtype: Data type of the result, as in `keras.metrics.Metric`.

    The update takes logits of shape (batch, C); sample weights have shape (batch,).

    Raises:
        ValueError: At the update, if the logits have another shape.

    Example:
        >>> metric = Entropy()
        >>> metric.update_state([0, 0], [[0.0, 0.0], [99.0, 0.0]])
        >>> round(float(metric.result()), 4)
        0.3466
    """

    def __init__(self, name: str = "entropy", dtype: Any = None) -> None:
        super().__init__(_entropies, name=name, dtype=dtype)


@keras.saving.register_keras_serializable(package="tfunlearn")
class UnlearningAccuracy(_MeanOverExamples):
    """Share of examples that are not predicted as labelled: `metrics.unlearning_accuracy`.

    Meant for the forget set, say as validation data of a `fit`. Probabilities do as well as logits.

    Args:
        name: Name in the logs.
        dtype: Data type of the result, as in `keras.metrics.Metric`.

    The update takes labels, integers of shape (batch,) or (batch, 1), and scores of shape
    (batch, C); sample weights have shape (batch,).

    Raises:
        ValueError: At the update, if labels or scores have another shape.

    Example:
        >>> metric = UnlearningAccuracy()
        >>> metric.update_state([0, 1], [[2.0, 0.0], [2.0, 0.0]])
        >>> float(metric.result())
        0.5
    """

    def __init__(self, name: str = "unlearning_accuracy", dtype: Any = None) -> None:
        super().__init__(_wrong, name=name, dtype=dtype)


@keras.saving.register_keras_serializable(package="tfunlearn")
class PredictionAgreement(_MeanOverExamples):
    """Share of examples predicted as a reference predicts them: `metrics.prediction_agreement`.

    Args:
        name: Name in the logs.
        dtype: Data type of the result, as in `keras.metrics.Metric`.

    The update takes the reference's scores as `y_true` and the model's, both of shape (batch, C);
    sample weights have shape (batch,). Probabilities do as well as logits.

    Raises:
        ValueError: At the update, if the scores are not of one shape (batch, C).

    Example:
        >>> metric = PredictionAgreement()
        >>> metric.update_state([[5.0, 1.0], [5.0, 1.0]], [[2.0, 0.0], [0.0, 2.0]])
        >>> float(metric.result())
        0.5
    """

    def __init__(self, name: str = "prediction_agreement", dtype: Any = None) -> None:
        super().__init__(_agreements, name=name, dtype=dtype)


@keras.saving.register_keras_serializable(package="tfunlearn")
class ReferenceKLDivergence(_MeanOverExamples):
    """Mean divergence KL(reference || model) in nats: `metrics.kl_divergence`.

    Unlike `keras.metrics.KLDivergence`, which takes probabilities and puts a floor under them,
    this takes the logits of both sides.

    Args:
        name: Name in the logs.
        dtype: Data type of the result, as in `keras.metrics.Metric`.

    The update takes the reference's logits as `y_true` and the model's, both of shape (batch, C);
    sample weights have shape (batch,).

    Raises:
        ValueError: At the update, if the logits are not of one shape (batch, C).

    Example:
        >>> metric = ReferenceKLDivergence()
        >>> metric.update_state([[0.0, 0.0]], [[2000.0, 0.0]])
        >>> round(float(metric.result()), 3)
        999.307
    """

    def __init__(self, name: str = "reference_kl_divergence", dtype: Any = None) -> None:
        super().__init__(_divergences, name=name, dtype=dtype)


def _margins(y_true: Any, y_pred: Any, clip: float | None = None) -> Any:
    logits = _scores("y_pred", y_pred)
    labels = _labels(y_true, logits)
    own = ops.cast(ops.one_hot(labels, logits.shape[-1]), "bool")
    others = ops.logsumexp(ops.where(own, float("-inf"), logits), axis=-1)
    margins = ops.sum(ops.where(own, logits, 0.0), axis=-1) - others
    margins = margins if clip is None else ops.clip(margins, -clip, clip)
    return _nan_where(_no_class(labels, logits), _nan_where(_is_probabilities(logits), margins))


def _entropies(y_true: Any, y_pred: Any) -> Any:
    logits = _scores("y_pred", y_pred)
    log_p = ops.log_softmax(logits, axis=-1)
    return _nan_where(_is_probabilities(logits), -ops.sum(ops.exp(log_p) * log_p, axis=-1))


def _wrong(y_true: Any, y_pred: Any) -> Any:
    scores = _scores("y_pred", y_pred)
    labels = _labels(y_true, scores)
    right = ops.equal(labels, ops.cast(ops.argmax(scores, axis=-1), labels.dtype))
    return _nan_where(_no_class(labels, scores), 1.0 - ops.cast(right, scores.dtype))


def _agreements(y_true: Any, y_pred: Any) -> Any:
    reference, scores = _pair(y_true, y_pred)
    same = ops.equal(ops.argmax(reference, axis=-1), ops.argmax(scores, axis=-1))
    return ops.cast(same, scores.dtype)


def _divergences(y_true: Any, y_pred: Any) -> Any:
    reference, logits = _pair(y_true, y_pred)
    log_p, log_q = (ops.log_softmax(side, axis=-1) for side in (reference, logits))
    divergences = ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
    for side in (reference, logits):
        divergences = _nan_where(_is_probabilities(side), divergences)
    return divergences


def _scores(name: str, scores: Any) -> Any:
    """Checks the shape of a batch of scores and returns it in float32 or float64."""
    scores = ops.convert_to_tensor(scores)
    if len(scores.shape) != 2:
        raise ValueError(
            f"{name} must hold a row per example and a column per class. "
            f"Expected shape (batch, C). Received {tuple(scores.shape)}."
        )
    return ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))


def _pair(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Checks a reference's and a model's batch of scores and returns them in one dtype."""
    reference, scores = _scores("y_true", y_true), _scores("y_pred", y_pred)
    if reference.shape[-1] != scores.shape[-1]:
        raise ValueError(
            "y_true must hold a reference's scores for the classes of y_pred. "
            f"Expected {scores.shape[-1]} columns. Received {reference.shape[-1]}."
        )
    return ops.cast(reference, scores.dtype), scores


def _labels(y_true: Any, scores: Any) -> Any:
    """Checks the shape of a batch of labels and returns it as int32 of shape (batch,)."""
    labels = ops.convert_to_tensor(y_true)
    if len(labels.shape) == 2 and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, axis=-1)
    if len(labels.shape) != 1:
        raise ValueError(
            "y_true must hold class numbers. Expected shape (batch,) or (batch, 1). "
            f"Received {tuple(labels.shape)} with y_pred of shape {tuple(scores.shape)}."
        )
    return ops.cast(labels, "int32")


def _no_class(labels: Any, scores: Any) -> Any:
    """Returns which labels are no column of the scores."""
    return ops.logical_or(labels < 0, labels >= scores.shape[-1])


def _is_probabilities(logits: Any) -> Any:
    """Returns whether every row is non-negative and sums to 1, as a scalar."""
    off = ops.abs(ops.sum(logits, axis=-1) - 1.0) > ROUNDING
    return ops.logical_not(ops.any(ops.logical_or(off, ops.min(logits, axis=-1) < 0)))


def _nan_where(condition: Any, values: Any) -> Any:
    return ops.where(condition, float("nan"), values)
