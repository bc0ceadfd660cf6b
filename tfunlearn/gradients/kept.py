"""The gradients of a training step, kept instead of applied."""

from typing import Any

import keras
from keras import ops


class KeptGradients(keras.optimizers.Optimizer):
    """Keeps gradients where another optimizer would apply them.

    For updates that are no single gradient step: compile a model with it, call ``train_on_batch``,
    read ``values()``. No weight changes but the statistics of batch normalisation.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn.gradients.kept import KeptGradients
        >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> kept = KeptGradients()
        >>> net.compile(kept, "mse")
        >>> _ = net.train_on_batch(np.ones((1, 2)), net(np.ones((1, 2))) - 0.5)
        >>> [keras.ops.convert_to_numpy(slopes).round(4).tolist() for slopes in kept.values()]
        [[[1.0], [1.0]]]
    """

    def __init__(self) -> None:
        super().__init__(learning_rate=1.0, name="kept_gradients")
        self._kept: list[keras.Variable] = []

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes room for the gradients of some variables."""
        if self.built:
            return
        super().build(variables)
        self._kept = [self.add_variable_from_reference(v, name="gradient") for v in variables]

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Keeps the gradient of one variable, summed over replicas."""
        self.assign(self._kept[self._get_variable_index(variable)], gradient)

    def clear(self) -> None:
        """Sets what is kept to zero; a step whose gradients overflow in float16 keeps none."""
        for kept in self._kept:
            kept.assign(ops.zeros(kept.shape, kept.dtype))

    def values(self) -> list[Any]:
        """Returns the last gradients, one for each trainable variable."""
        return [ops.convert_to_tensor(kept) for kept in self._kept]


def norm(values: list[Any]) -> float:
    """Returns the Euclidean norm of several tensors together."""
    total = ops.sqrt(sum(ops.sum(ops.square(value)) for value in values))
    return float(ops.convert_to_numpy(total))
