"""Gradients of a loss with respect to a model's weights, summed over data; nothing is changed."""

from tfunlearn.gradients.sums import gradient_sum, per_example

__all__ = ["gradient_sum", "per_example"]
