"""Gradients of a loss with respect to a model's weights or inputs; nothing is changed."""

from tfunlearn.gradients.inputs import as_floats, input_gradients
from tfunlearn.gradients.sums import gradient_sum, gradient_sums, per_example

__all__ = ["as_floats", "gradient_sum", "gradient_sums", "input_gradients", "per_example"]
