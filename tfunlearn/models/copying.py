"""Independent copies of a model: with its weights, or with fresh ones."""

from typing import Any

import keras
import numpy as np

from tfunlearn.models.seeding import seeded
from tfunlearn.models.walk import iter_layers
from tfunlearn.seeds import check_seed


def copy(model: keras.Model, *, seed: int | None = None) -> keras.Model:
    """Returns an uncompiled twin of a model that shares nothing with it.

    The twin is made by a config round trip, given the same weights, and checked: one random batch
    must come out of both alike. The model itself is left as it was, compile state included.

    Args:
        model: a built Keras model: Sequential, Functional, or subclassed with ``get_config``.
        seed: seed of the twin's dropout masks, also of layers with a seed of their own; None
            keeps those and draws the others. On PyTorch every layer then has a seed of its own.

    Returns:
        The twin, uncompiled, with the same ``trainable`` flags. Costs one forward pass of a batch.

    Raises:
        TypeError: if ``model`` is not a Keras model.
        ValueError: if it is not built, cannot be rebuilt from its config, or if the twin does not
            compute the same.

    Example:
        >>> from tfunlearn import models
        >>> net = models.small_cnn(seed=0)
        >>> twin = models.copy(net)
        >>> twin is net, len(twin.weights) == len(net.weights)
        (False, True)
    """
    require_built(model)
    if seed is not None:
        check_seed(seed)

    def config() -> dict[str, Any]:
        if seed is None:
            return model.get_config()
        return _reseed(model.get_config(), np.random.default_rng(seed), initializers=False)

    twin = _from_config(model, config, seed)
    twin.set_weights(model.get_weights())
    _finalize_statistics(twin)
    _copy_trainable(model, twin)
    batch = example_batch(model)
    _require_equal(model(batch, training=False), twin(batch, training=False))
    return twin


def reinitialized(model: keras.Model, *, seed: int) -> keras.Model:
    """Returns an uncompiled model of the same architecture with freshly drawn weights.

    Weights that training never moved are kept: those of frozen layers (``trainable=False``) and
    the statistics of ``keras.layers.Normalization``, which were taken from all the data that it
    was adapted to. Seeds written into the model's initializers
    are replaced, so that two seeds give two models.

    Args:
        model: a built Keras model.
        seed: seed of the initial weights and of the dropout masks.

    Returns:
        The new model. The original is left as it was.

    Raises:
        TypeError: if ``model`` is not a Keras model.
        ValueError: if it is not built or cannot be rebuilt from its config.

    Example:
        >>> from tfunlearn import models
        >>> net = models.small_cnn(seed=0)
        >>> fresh = models.reinitialized(net, seed=1)
        >>> models.weight_distance(net, fresh) > 0
        True
    """
    require_built(model)
    check_seed(seed)
    numbers = np.random.default_rng(seed)
    fresh = _from_config(model, lambda: _reseed(model.get_config(), numbers), seed)
    _copy_trainable(model, fresh)
    kept = {id(weight) for weight in kept_weights(model)}
    for old, new in zip(model.weights, fresh.weights, strict=True):
        if id(old) in kept:
            new.assign(old)
    _finalize_statistics(fresh)
    return fresh


def kept_weights(model: keras.Model) -> list[keras.Variable]:
    """Returns the weights that a fresh model of the same architecture takes over.

    Args:
        model: a built model.
    """
    kept = {
        id(weight)
        for layer in iter_layers(model)
        if not layer.trainable or isinstance(layer, keras.layers.Normalization)
        for weight in layer.weights
    }
    return [weight for weight in model.weights if id(weight) in kept]


def require_built(model: keras.Model) -> None:
    """Raises unless ``model`` is a Keras model whose weights exist."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model: expected a keras.Model. Received: {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            "model: it must be built before it can be copied. Expected: a model with weights "
            "(call it on one batch, or model.build(input_shape)). Received: an unbuilt model."
        )


def example_batch(model: keras.Model, batch_size: int = 2, seed: int = 0) -> Any:
    """Returns a random batch in the structure, shape and dtype of the model's input.

    Args:
        model: a built model.
        batch_size: examples in the batch, where the model does not fix it.
        seed: seed of the numbers.

    Returns:
        An array, or the nested structure of arrays that the model takes. Unknown dimensions are
        given 32 entries. Integer inputs are zeros and ones.
    """
    numbers = np.random.default_rng(seed)

    def draw(shape: tuple, dtype: str) -> np.ndarray:
        unknown = (batch_size, *(32 for _ in shape[1:]))
        shape = tuple(u if size is None else size for u, size in zip(unknown, shape, strict=True))
        if "float" in dtype:
            return numbers.normal(size=shape).astype("float32")
        return numbers.integers(0, 2, size=shape).astype("int32" if dtype == "bool" else dtype)

    if getattr(model, "inputs", None):
        struct = input_structure(model)
        return keras.tree.map_structure(lambda tensor: draw(tensor.shape, tensor.dtype), struct)
    shape = (model.get_build_config() or {}).get("input_shape")
    if not shape:
        raise ValueError(
            "model: its input shape is not known. Expected: a model built by "
            "model.build(input_shape) or with keras.Input. Received: a model without one."
        )
    return draw((None, *shape[1:]), "float32")


def input_structure(model: keras.Model) -> Any:
    """Returns the symbolic inputs of a model with their names and nesting, as it was made."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _from_config(model: keras.Model, config: Any, seed: int | None) -> keras.Model:
    """Rebuilds a model from its config, with classes that are not Keras' known by name.

    Keras has several of one name (a layer ``Add`` and an operation ``Add``), and tells them apart.
    """
    kinds = {type(layer) for layer in iter_layers(model)}
    classes = {kind.__name__: kind for kind in kinds if kind.__module__.split(".")[0] != "keras"}
    try:
        with keras.saving.custom_object_scope(classes), seeded(seed):
            twin = type(model).from_config(config())
            if not twin.built:
                twin(example_batch(model), training=False)
    except (NotImplementedError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"model: a {type(model).__name__} could not be rebuilt from its config. Expected: "
            "get_config() and from_config() that give back the architecture (subclassed models "
            f"must write get_config). Received: {type(error).__name__}: {error}"
        ) from error
    if [tuple(w.shape) for w in twin.weights] != [tuple(w.shape) for w in model.weights]:
        raise ValueError(
            "model: its config does not describe all of its weights. "
            f"Expected: {len(model.weights)} weights of the same shapes. "
            f"Received: {len(twin.weights)} from get_config()."
        )
    return twin


def _finalize_statistics(model: keras.Model) -> None:
    """Lets Normalization layers compute with the statistics that were just assigned."""
    for layer in iter_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _copy_trainable(model: keras.Model, twin: keras.Model) -> None:
    """Sets each layer's trainable flag as in the model."""
    layers = zip([model, *iter_layers(model)], [twin, *iter_layers(twin)], strict=True)
    for old, new in layers:
        if old.trainable != new.trainable:
            new.trainable = old.trainable


def _reseed(config: Any, numbers: np.random.Generator, *, initializers: bool = True) -> Any:
    """Returns a config in which every written-out seed is replaced by a drawn one.

    On PyTorch every other seed too: dropout that was given none draws there from PyTorch's own
    random state, which no seed of Keras reaches.

    Args:
        config: the config, or a part of it.
        numbers: where the seeds are drawn from.
        initializers: replace the seeds of initial weights too, not only those of dropout.
    """
    on_torch = keras.backend.backend() == "torch"
    if isinstance(config, dict):
        return {
            key: int(numbers.integers(2**31 - 1))
            if key == "seed" and (isinstance(value, int) or (value is None and on_torch))
            else value
            if key.endswith("_initializer") and not initializers
            else _reseed(value, numbers, initializers=initializers)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_reseed(part, numbers, initializers=initializers) for part in config)
    return config


def _require_equal(expected: Any, received: Any) -> None:
    """Raises unless two model outputs agree."""
    pairs = zip(keras.tree.flatten(expected), keras.tree.flatten(received), strict=True)
    for left, right in pairs:
        left, right = (keras.ops.convert_to_numpy(side) for side in (left, right))
        if not np.allclose(left, right, rtol=1e-4, atol=1e-5, equal_nan=True):
            raise ValueError(
                "model: the copy does not compute what the model computes. Expected: equal "
                "outputs on one batch. Received: a largest difference of "
                f"{np.max(np.abs(left - right)):.3g}; a layer holds state that its config and "
                "weights do not describe."
            )
