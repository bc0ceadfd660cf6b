"""Walking every layer of a model, however deeply nested."""

from collections.abc import Iterator

import keras


def iter_layers(model: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yields every layer inside a model, through nested models and wrappers, each one once.

    ``for layer in model.layers`` sees a nested backbone as a single layer; this does not.

    Args:
        model: any Keras model or layer. It is not yielded itself; nested models are.

    Yields:
        Layers in the order in which Keras tracks them, a container before what it contains.

    Raises:
        TypeError: if ``model`` is not a Keras layer.

    Example:
        >>> import keras
        >>> from tfunlearn.models import iter_layers
        >>> inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="inside")])
        >>> outer = keras.Sequential([inner, keras.layers.Dense(2, name="outside")])
        >>> [l.name for l in iter_layers(outer) if isinstance(l, keras.layers.Dense)]
        ['inside', 'outside']
    """
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(
            f"model: expected a Keras model or layer. Received: {type(model).__name__}."
        )
    seen: set[int] = {id(model)}
    pending = list(_children(model))
    while pending:
        layer = pending.pop(0)
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield layer
        pending[:0] = _children(layer)


def _children(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers directly inside one layer."""
    if isinstance(layer, keras.Sequential):
        return list(layer.layers)  # not Keras' internal functional twin of the same layers
    return list(layer._flatten_layers(include_self=False, recursive=False))
