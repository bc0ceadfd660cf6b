"""What a layer of a model gives or is given, read in inference mode from a copy."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from tfunlearn import models
from tfunlearn.data import ForgetSplit
from tfunlearn.methods.cf_k import own_weights
from tfunlearn.models.copying import example_batch
from tfunlearn.probes.reading import blocks, require_finite

Layer = keras.layers.Layer
Note = Callable[[Layer, Any, Any], None]


class FeatureReader:
    """Reads features of a model, and its outputs beside them.

    Args:
        model: a built model; a copy of it is run.
        layer: the layer whose outputs are the features: a name, at any depth, or a position in
            ``model.layers``. None for what the head is given, the layer with a kernel that runs
            last.

    Attributes:
        place: where the features are taken, in words.

    Raises:
        ValueError: if there is no such layer, or several.
    """

    def __init__(self, model: keras.Model, layer: int | str | None) -> None:
        self._net = models.copy(model)
        self._inputs = layer is None
        self._layer = _head(self._net) if layer is None else _find(self._net, layer)
        self.place = f"{'inputs' if layer is None else 'outputs'} of {self._layer.name!r}"

    def read(self, split: ForgetSplit, role: str, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns a role's features, float64 of shape (N, F), and class scores, (N, C).

        Args:
            split: the data.
            role: which part of it.
            size: examples a step.

        Raises:
            ValueError: if the layer does not run exactly once, gives no rows of numbers for the
                examples, or a number is not finite.
        """
        read = [self._read_block(x) for x in blocks(split, role, size)]
        features, scores = (
            np.concatenate(part).astype("float64") for part in zip(*read, strict=True)
        )
        require_finite(self.place, features)
        require_finite("model", scores)
        return features, scores

    def _read_block(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns features and class scores of one block of examples."""
        seen: list[Any] = []
        with noting([self._layer], lambda _, given, gave: seen.append((given, gave))):
            outputs = self._net(x, training=False)
        return self._rows(seen, len(x)), keras.ops.convert_to_numpy(outputs)

    def _rows(self, seen: list[Any], count: int) -> np.ndarray:
        """Returns one flat row for each example of what was noted in a pass."""
        if len(seen) != 1:
            raise ValueError(
                f"layer: {self._layer.name!r} must run once a pass. Expected: 1. "
                f"Received: {len(seen)}."
            )
        taken = keras.tree.flatten(seen[0][0 if self._inputs else 1])
        if len(taken) != 1 or len(taken[0].shape) < 2 or taken[0].shape[0] != count:
            shapes = [tuple(part.shape) for part in taken]
            raise ValueError(
                f"layer: {self.place} must be one row of numbers for each example. "
                f"Expected: shape ({count}, ...). Received: {shapes}."
            )
        return keras.ops.convert_to_numpy(taken[0]).reshape(count, -1)


@contextmanager
def noting(layers: Sequence[Layer], note: Note) -> Iterator[None]:
    """Hands every input and output of some layers of a copy to a function.

    Args:
        layers: the layers; while this lasts, their model is called and not compiled.
        note: called with a layer, its first argument and what it returned.
    """

    def wrap(layer: Layer) -> Any:
        call = layer.call

        def noted(inputs: Any, *args: Any, **options: Any) -> Any:
            outputs = call(inputs, *args, **options)
            note(layer, inputs, outputs)
            return outputs

        return noted

    for layer in layers:
        layer.call = wrap(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _head(net: keras.Model) -> Layer:
    """Returns the layer with a kernel that runs last."""
    kernels = [
        layer
        for layer in models.iter_layers(net)
        if any(len(weight.shape) > 1 for weight in own_weights(layer))
    ]
    ran: list[Layer] = []
    with noting(kernels, lambda layer, given, gave: ran.append(layer)):
        net(example_batch(net), training=False)
    if not ran:
        raise ValueError(
            "model: a head is a layer with a kernel. Expected: at least one such layer. "
            "Received: none; name a layer."
        )
    return ran[-1]


def _find(net: keras.Model, layer: int | str) -> Layer:
    """Returns a layer by its name, at any depth, or by its position in the outer model."""
    if isinstance(layer, int | np.integer) and not isinstance(layer, bool):
        if not -len(net.layers) <= layer < len(net.layers):
            raise ValueError(
                f"layer: expected a position among the {len(net.layers)} layers of the model. "
                f"Received: {layer}."
            )
        return net.layers[layer]
    matching = [one for one in models.iter_layers(net) if one.name == layer]
    if len(matching) != 1:
        names = [one.name for one in models.iter_layers(net)]
        raise ValueError(
            f"layer: expected a name that occurs once, such as one of {names[-8:]}. "
            f"Received: {layer!r}, which occurs {len(matching)} times."
        )
    return matching[0]
