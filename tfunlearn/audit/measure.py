"""What is kept of one model's outputs: a number or a histogram per role, not the outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np

from tfunlearn import metrics
from tfunlearn.audit.outputs import Reader
from tfunlearn.data import ForgetSplit
from tfunlearn.report.parts import HISTOGRAM_EDGES

__all__ = [
    "Measured",
    "collapsed",
    "finite_logits",
    "histogram",
    "measure",
    "measured",
    "near_chance",
]

FELL = 0.1  # accuracy on retain below the original's, from which on a model has collapsed


@dataclass(frozen=True)
class Measured:
    """One model on one role.

    Attributes:
        accuracy: Fraction of right answers.
        recalls: The same by class, float64 of shape (C,); NaN for a class that does not occur.
        losses: Cross-entropy per example in nats, float64 of shape (N,).
        predicted: How often each class was answered, int64 of shape (C,).
    """

    accuracy: float
    recalls: np.ndarray
    losses: np.ndarray
    predicted: np.ndarray

    @property
    def balanced(self) -> float:
        """Mean of the recalls over the classes that occur."""
        return float(np.nanmean(self.recalls))

    @property
    def worst_class(self) -> int:
        """The class with the lowest recall, of those that occur."""
        return int(np.nanargmin(self.recalls))


def measure(model: keras.Model, split: ForgetSplit, reader: Reader) -> dict[str, Measured]:
    """Runs a model once over every role and returns what the audit needs of it.

    Returns:
        Role to what was measured; a role on which some logit is not finite is absent, and all
        roles are if some weight is not finite.

    Raises:
        ValueError: If the model's logits cannot be read.
    """
    return {
        role: measured(split.labels(role), scores) for role, scores in finite_logits(model, reader)
    }


def finite_logits(model: keras.Model, reader: Reader) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each role with a model's logits on it, float64 of shape (N, C), where all are finite.

    Raises:
        ValueError: If the model's logits cannot be read.
    """
    if all(np.isfinite(weight).all() for weight in model.get_weights()):
        for role, scores in reader.read(model):
            if np.isfinite(scores).all():
                yield role, scores


def measured(labels: np.ndarray, logits: np.ndarray) -> Measured:
    """Returns what the audit needs of one model's logits on one role.

    Args:
        labels: Class numbers, integers of shape (N,).
        logits: Scores before the softmax, shape (N, C), finite.

    Example:
        >>> measured(np.array([0, 1]), np.array([[9.0, 0.0], [9.0, 0.0]])).predicted
        array([2, 0])
    """
    return Measured(
        accuracy=metrics.accuracy(labels, logits),
        recalls=metrics.class_recalls(labels, logits),
        losses=metrics.cross_entropy(labels, logits),
        predicted=np.bincount(logits.argmax(axis=1), minlength=logits.shape[1]),
    )


def histogram(losses: np.ndarray) -> tuple[int, ...]:
    """Counts losses in the report's bins; what lies outside goes into the first or last bin.

    Example:
        >>> import numpy as np
        >>> counts = histogram(np.array([0.0, 1.0, 1e9]))
        >>> counts[0], sum(counts), counts[-1]
        (1, 3, 1)
    """
    inner = np.digitize(losses, HISTOGRAM_EDGES[1:-1])
    return tuple(int(count) for count in np.bincount(inner, minlength=len(HISTOGRAM_EDGES) - 1))


def near_chance(retain: Measured, retain_classes: int) -> str | None:
    """Returns what shows that a model knows next to nothing of the retain set, or None.

    Args:
        retain: The model on the retain role.
        retain_classes: How many classes occur there; where it is one, one answer is right.

    Returns:
        A phrase for the notes: accuracy within chance (at most 1.5 / C, for two classes 0.55), or
        the same class answered every time.
    """
    classes = len(retain.predicted)
    if retain_classes > 1 and np.count_nonzero(retain.predicted) == 1:
        return f"it answers class {int(retain.predicted.argmax())} to every retain example"
    limit = min(1.5 / classes, 0.55)
    if retain_classes > 1 and retain.accuracy <= limit:
        return f"its retain accuracy {retain.accuracy:.3f} is within chance (at most {limit:.3f})"
    return None


def collapsed(retain: Measured, retain_classes: int, original: Measured | None) -> str | None:
    """Returns what shows that a model has lost the retain set, which the original knew, or None.

    Collapse is against the original: a model that is near chance now has collapsed if its accuracy
    there, plain or as the mean over the classes, is at least 0.1 below the original's. One that was
    as poor before has not.

    Args:
        retain: The model on the retain role.
        retain_classes: How many classes occur there.
        original: The original on the retain role, or None where it is not known.

    Returns:
        A phrase for the notes.
    """
    reason = near_chance(retain, retain_classes)
    if reason is None or original is None:
        return None
    falls = original.accuracy - retain.accuracy, original.balanced - retain.balanced
    if max(falls) < FELL:
        return None
    return f"{reason}, and the original's accuracy there is {original.accuracy:.3f}"
