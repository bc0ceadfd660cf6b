"""When whole epochs are compiled by XLA, and the dropout that makes this pay."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Iterator
from typing import Any

import keras

from tfunlearn.models import iter_layers

__all__ = ["hashed_dropout", "note_jit", "pays"]

STEPS = 6000  # of a training from which on compiling pays: it takes a second or more
_AUTO: weakref.WeakSet[keras.Model] = weakref.WeakSet()
_L = keras.layers
_LAYERS = {
    *(_L.InputLayer, _L.Dense, _L.Flatten, _L.Reshape, _L.Dropout, _L.Rescaling, _L.Identity),
    *(_L.Activation, _L.ReLU, _L.LeakyReLU, _L.ELU, _L.PReLU, _L.Softmax),
    *(_L.BatchNormalization, _L.LayerNormalization, _L.Add, _L.Concatenate, _L.Normalization),
}


def note_jit(model: keras.Model, jit_compile: bool | str) -> None:
    """Keeps whether a model was compiled with ``jit_compile="auto"``, which Keras forgets.

    Args:
        model: the compiled model.
        jit_compile: what it was compiled with.
    """
    _AUTO.discard(model)
    if jit_compile == "auto":
        _AUTO.add(model)


def pays(model: keras.Model, steps: int) -> bool:
    """Tells whether whole epochs of a training should be compiled by XLA.

    Measured on CPUs: a dense network's step takes a third to a half less time so, a convolutional
    one's several times more. So: no other device than CPUs, ``jit_compile="auto"``, at least 6,000
    steps, in float32, and a Sequential or Functional model of Keras' own layers, none of them a
    convolution or random but for Dropout, with loss, metrics and optimizer of Keras.

    Args:
        model: the compiled model.
        steps: steps of the whole training, or of all trainings that share what is compiled.
    """
    import tensorflow as tf

    if steps < STEPS or model not in _AUTO:
        return False
    if any(device.device_type != "CPU" for device in tf.config.list_physical_devices()):
        return False
    layers = [model, *iter_layers(model)]
    loss = getattr(model.loss, "inner", model.loss)  # of losses.OnLabels
    loss = [] if isinstance(loss, str) else [loss]
    return (
        all(type(layer) in _LAYERS or _is_container(layer) for layer in layers)
        and all(layer.dtype_policy.name == "float32" for layer in layers)
        and all(layer.noise_shape is None for layer in layers if type(layer) is _L.Dropout)
        and all(_of_keras(part) for part in (*loss, *model.metrics, model.optimizer))
    )


@contextlib.contextmanager
def hashed_dropout(model: keras.Model) -> Iterator[None]:
    """Draws dropout masks by an integer hash, in whatever is traced meanwhile.

    XLA draws Keras' random numbers on a CPU in nine times the time that the rest of a dense
    network's step takes. Here a number is a hash of its place in the batch, of the layer's seed and
    of the count of its calls. Seed and count are those of the layer's own ``seed_generator``, which
    goes on as it always does.

    Args:
        model: the model; its layers are as they were afterwards.
    """
    layers = [layer for layer in iter_layers(model) if type(layer) is _L.Dropout and layer.rate > 0]
    for layer in layers:
        object.__setattr__(layer, "call", functools.partial(_dropout, layer))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def _dropout(layer: Any, inputs: Any, training: bool = False) -> Any:
    """Does what ``keras.layers.Dropout`` does, with a hashed mask."""
    import tensorflow as tf

    if not training:
        return inputs
    shape = tf.shape(inputs)
    kept = tf.reshape(hashes(tf.reduce_prod(shape), layer.seed_generator.next()), shape)
    least = tf.constant(min(round(layer.rate * 2**32), 2**32 - 1), tf.uint32)
    return tf.where(kept >= least, inputs / (1 - layer.rate), tf.zeros_like(inputs))


def hashes(count: Any, seed: Any) -> Any:
    """Returns ``count`` numbers, uint32, that follow from a seed: as good as random for a mask.

    Args:
        count: how many.
        seed: two whole numbers, such as ``keras.random.SeedGenerator.next`` gives.

    Reference: the 32-bit finalizer of MurmurHash3 (Appleby), with the seed in both rounds.
    """
    import tensorflow as tf

    first, second = tf.unstack(tf.cast(seed, tf.uint32))
    low = _mixed(first + _mixed(second, 0), 0x7F4A7C15)
    high = _mixed(second ^ _mixed(first, 0x3C6EF372), 0)
    places = tf.cast(tf.range(count), tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
    return _mixed(places + low, high)


def _mixed(value: Any, key: Any) -> Any:
    """Returns a finalized hash of uint32 values; the key goes in between the rounds."""
    import tensorflow as tf

    def number(constant: int) -> Any:
        return tf.constant(constant, tf.uint32)

    key = number(key) if isinstance(key, int) else key
    value = value ^ tf.bitwise.right_shift(value, number(16))
    value = value * number(0x85EBCA6B) + key
    value = value ^ tf.bitwise.right_shift(value, number(13))
    value = value * number(0xC2B2AE35)
    return value ^ tf.bitwise.right_shift(value, number(16))


def _is_container(layer: Any) -> bool:
    """Tells whether a layer is a Sequential or Functional model, not a class of one's own."""
    return isinstance(layer, keras.Model) and _of_keras(layer)


def _of_keras(part: Any) -> bool:
    """Tells whether a loss, a metric or an optimizer is Keras' own."""
    module = getattr(part, "__module__", None) or type(part).__module__
    return module.split(".")[0] == "keras"
