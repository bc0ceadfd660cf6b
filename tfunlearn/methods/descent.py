"""The plain student: cross-entropy on the labels that its batches hold."""

from typing import Any

import keras

from tfunlearn.losses import cross_entropy
from tfunlearn.methods.unlearner import Unlearner


class Descent(Unlearner):
    """Lowers a student's cross-entropy on the labels that the batches hold.

    Args:
        student: the model to train, in place; it gives logits.
        frozen_statistics: keep all batches in inference mode.
    """

    def __init__(self, student: keras.Model, frozen_statistics: bool) -> None:
        super().__init__(student)
        self.frozen_statistics = frozen_statistics

    def call(self, x: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Returns the student's logits by role."""
        return super().call(x, training=bool(training) and not self.frozen_statistics)

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns the cross-entropy of each example."""
        return {role: cross_entropy(y[role], logits[role]) for role in logits}
