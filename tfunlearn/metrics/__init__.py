"""Metrics: arrays in, numbers out, NumPy float64.

`tfunlearn.metrics.keras_metrics` holds the running twins for `model.compile`. It is imported at
its first use, so that the functions here need no Keras.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from tfunlearn.metrics.accuracy import (
    accuracy,
    forgetting_effectiveness,
    performance_drop,
    utility_preservation,
)
from tfunlearn.metrics.cross_entropy import cross_entropy
from tfunlearn.metrics.divergences import (
    activation_distance,
    js_divergence,
    kl_divergence,
    prediction_agreement,
    zrf,
)
from tfunlearn.metrics.entropy import entropy, modified_entropy
from tfunlearn.metrics.gaps import average_gap, gaps, tug_of_war, unlearning_accuracy
from tfunlearn.metrics.margins import margins
from tfunlearn.metrics.recalls import balanced_accuracy, class_recalls, worst_class_recall
from tfunlearn.metrics.similarity import linear_cka

if TYPE_CHECKING:
    from tfunlearn.metrics import keras_metrics

__all__ = [
    "accuracy",
    "activation_distance",
    "average_gap",
    "balanced_accuracy",
    "class_recalls",
    "cross_entropy",
    "entropy",
    "forgetting_effectiveness",
    "gaps",
    "js_divergence",
    "keras_metrics",
    "kl_divergence",
    "linear_cka",
    "margins",
    "modified_entropy",
    "performance_drop",
    "prediction_agreement",
    "tug_of_war",
    "unlearning_accuracy",
    "utility_preservation",
    "worst_class_recall",
    "zrf",
]


def __getattr__(name: str) -> ModuleType:
    """Imports the Keras twins at their first use."""
    if name == "keras_metrics":
        return importlib.import_module("tfunlearn.metrics.keras_metrics")
    raise AttributeError(f"module 'tfunlearn.metrics' has no attribute {name!r}")
