"""Metrics: arrays in, numbers out."""

from tfunlearn.metrics.functional import (
    accuracy,
    cross_entropy,
    forgetting_effectiveness,
    performance_drop,
    utility_preservation,
)

__all__ = [
    "accuracy",
    "cross_entropy",
    "forgetting_effectiveness",
    "performance_drop",
    "utility_preservation",
]
