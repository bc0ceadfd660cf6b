"""Holding chosen weights still while the rest of a model trains."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


class Hold(keras.constraints.Constraint):
    """Puts the held entries of a weight back to what they were, after every update.

    Keras applies a constraint after the optimizer, so neither momentum nor weight decay moves what
    is held: the update is masked, not the gradient.

    Args:
        held: boolean array in the shape of the weight, True where it is held.
        values: the values to hold, in the same shape.
        then: another constraint of the weight, applied first.
    """

    def __init__(self, held: np.ndarray, values: Any, then: Any = None) -> None:
        if tuple(held.shape) != tuple(values.shape):
            raise ValueError(
                "held: it must have the shape of the weight. "
                f"Expected: {tuple(values.shape)}. Received: {tuple(held.shape)}."
            )
        self._held = ops.convert_to_tensor(held, dtype="bool")
        self._values = ops.convert_to_tensor(ops.copy(values))
        self.then = then

    def __call__(self, w: Any) -> Any:
        """Returns the weight with its held entries put back."""
        moved = w if self.then is None else self.then(w)
        return ops.where(self._held, self._values, ops.convert_to_tensor(moved))


def train_only(model: keras.Model, masks: Sequence[np.ndarray]) -> None:
    """Lets a model train only where a mask is True; the rest stays exactly as it is now.

    Masks of an earlier call are replaced. They stay on the model's variables; make the result a
    copy (``training.adopt`` or ``models.copy``), which has none. Moving statistics of batch
    normalisation are no trainable weights and follow the data.

    Args:
        model: the model to be trained.
        masks: one boolean array per trainable variable, in the order of
            ``model.trainable_variables``.

    Raises:
        ValueError: if there is not one mask per trainable variable, one has another shape, or no
            entry may train.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn import masking
        >>> net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
        >>> masking.train_only(net, [np.array([[True, False]]), np.array([False, False])])
    """
    variables = model.trainable_variables
    if len(masks) != len(variables):
        raise ValueError(
            "masks: expected one mask per trainable variable. "
            f"Expected: {len(variables)}. Received: {len(masks)}."
        )
    if not any(np.any(mask) for mask in masks):
        raise ValueError("masks: expected at least one entry to train. Received: none.")
    holds = []
    for variable, mask in zip(variables, masks, strict=True):
        own = variable.constraint
        own = own.then if isinstance(own, Hold) else own
        holds.append(Hold(~np.asarray(mask, bool), variable.value, own))
    for variable, hold in zip(variables, holds, strict=True):
        variable.constraint = hold
