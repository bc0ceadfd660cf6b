"""What layers are given while a model runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras


@contextmanager
def listening(
    layers: Sequence[keras.layers.Layer], note: Callable[[keras.layers.Layer, Any], None]
) -> Iterator[None]:
    """Hands every input of some layers to a function, wherever they are nested.

    Args:
        layers: the layers; while this lasts, their model is called and not compiled.
        note: called with a layer and its inputs, before the layer runs.

    Yields:
        Nothing; afterwards the layers are as before.
    """

    def wrap(layer: keras.layers.Layer) -> Any:
        call = layer.call

        def listened(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            note(layer, inputs)
            return call(inputs, *args, **kwargs)

        return listened

    for layer in layers:
        layer.call = wrap(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call
