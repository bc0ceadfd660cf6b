"""The three things that each backend names in its own way: differentiate, vectorise, compile."""

import functools
from collections.abc import Callable
from typing import Any

import keras


def gradient(function: Callable[[list[Any]], Any], inputs: list[Any]) -> list[Any]:
    """Returns the gradient of a scalar function of a list of tensors, zero where it has none.

    Args:
        function: takes the list, returns a scalar tensor.
        inputs: where the gradient is taken.

    Raises:
        ValueError: on another backend than TensorFlow and JAX.
    """
    if _backend() == "jax":
        import jax

        return jax.grad(function)(inputs)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(inputs)
    return tape.gradient(value, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def vectorize(function: Callable[..., Any], rows: tuple[Any, ...]) -> Any:
    """Returns a function's results for every row of some tensors, stacked along a first axis.

    Args:
        function: takes one row of each tensor.
        rows: tensors with one first axis in common.
    """
    if _backend() == "jax":
        import jax

        return jax.vmap(function)(*rows)
    import tensorflow as tf

    return tf.vectorized_map(lambda row: function(*row), rows)


def compiled(function: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any]:
    """Returns a function as a compiled one.

    Args:
        function: takes and returns tensors.
        jit_compile: True for XLA, False for none; ``"auto"`` is a plain graph on TensorFlow and
            ``jax.jit`` on JAX.

    Raises:
        ValueError: if ``jit_compile`` is something else.
    """
    if jit_compile not in (True, False, "auto"):
        raise ValueError(f"jit_compile: expected True, False or 'auto'. Received: {jit_compile!r}.")
    if _backend() == "jax":
        import jax

        return jax.jit(function) if jit_compile else function
    import tensorflow as tf

    # a partial, because TensorFlow counts traces per piece of code and warns of many
    return tf.function(functools.partial(function), jit_compile=jit_compile is True)


def _backend() -> str:
    """Returns the name of the backend, or raises where there is no way to differentiate."""
    name = keras.backend.backend()
    if name not in ("tensorflow", "jax"):
        raise ValueError(
            f"backend: gradients need TensorFlow or JAX. Expected: KERAS_BACKEND set to one of "
            f"them. Received: {name!r}."
        )
    return name
