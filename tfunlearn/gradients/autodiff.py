"""What each backend names in its own way: differentiate, repeat, compile."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfunlearn.gradients import on_torch

AT_ONCE = 2  # rows of a loop that TensorFlow may compute at the same time


def gradient(function: Callable[[list[Any]], Any], inputs: list[Any]) -> list[Any]:
    """Returns the gradient of a scalar function of a list of tensors, zero where it has none.

    Args:
        function: takes the list, returns a scalar tensor.
        inputs: where the gradient is taken.

    Raises:
        ValueError: on another backend than TensorFlow, JAX and PyTorch.
    """
    if _backend() == "jax":
        import jax

        return jax.grad(function)(inputs)
    if _backend() == "torch":
        return on_torch.gradient(function, inputs)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(inputs)
    slopes = tape.gradient(value, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    # a look-up's gradient has a row for each token; Keras squares those before they are added up
    return [tf.convert_to_tensor(slope) for slope in slopes]


def vectorizes() -> bool:
    """Tells whether gradients of single examples are vectorised, rather than taken in a loop.

    JAX vectorises whatever it can differentiate. TensorFlow does not: ``tf.vectorized_map`` of the
    gradient of attention writes outside its memory, and of a loop, as recurrent layers have, it is
    an error. PyTorch cannot vectorise a gradient that is taken by ``torch.autograd``.
    """
    return _backend() == "jax"


def stacked(
    function: Callable[..., list[Any]], rows: tuple[Any, ...], like: list[Any]
) -> list[Any]:
    """Returns a function's results for every row of some tensors, stacked along a first axis.

    Args:
        function: takes one row of each tensor, returns a list of tensors.
        rows: tensors with one first axis in common.
        like: tensors of the types that the function returns.
    """
    if _backend() == "jax":
        import jax

        return jax.vmap(function)(*rows)
    if _backend() == "torch":
        return on_torch.stacked(function, rows)
    import tensorflow as tf

    return tf.map_fn(
        lambda row: function(*row),
        rows,
        fn_output_signature=[part.dtype for part in like],
        parallel_iterations=AT_ONCE,
    )


def accumulated(
    step: Callable[..., list[Any]], start: list[Any], rows: tuple[Any, ...], count: Any
) -> list[Any]:
    """Returns what a step gives for the first of some rows, added up in one loop in the graph.

    The rows do not wait for each other: TensorFlow computes two at once, which on a few cores takes
    less time than one row after the other on all of them.

    Args:
        step: takes one row of each tensor, returns a list of tensors.
        start: what is added to, in the shapes that the step gives.
        rows: tensors with one first axis in common.
        count: how many rows count; a whole number or a scalar tensor.
    """

    def add(number: Any, total: list[Any]) -> list[Any]:
        parts = step(*(part[number] for part in rows))
        return [old + keras.ops.cast(new, old.dtype) for old, new in zip(total, parts, strict=True)]

    backend = _backend()
    if backend == "torch" or (backend == "jax" and isinstance(count, int | np.integer)):
        for number in range(count):  # nothing is compiled here, and a loop of JAX's would be
            start = add(number, start)
        return start
    if backend == "jax":
        import jax

        return jax.lax.fori_loop(0, count, add, start)
    import tensorflow as tf

    _, total = tf.while_loop(
        lambda number, _: number < count,
        lambda number, total: (number + 1, add(number, total)),
        (0, start),
        parallel_iterations=AT_ONCE,
    )
    return total


def compiled(function: Callable[..., Any], jit_compile: bool | str) -> Callable[..., Any]:
    """Returns a function as a compiled one.

    Args:
        function: takes and returns tensors.
        jit_compile: True for XLA, False for none; ``"auto"`` is a plain graph on TensorFlow and
            ``jax.jit`` on JAX. PyTorch runs the function as it is.

    Raises:
        ValueError: if ``jit_compile`` is something else.
    """
    if jit_compile not in (True, False, "auto"):
        raise ValueError(f"jit_compile: expected True, False or 'auto'. Received: {jit_compile!r}.")
    if _backend() == "jax":
        import jax

        return jax.jit(function) if jit_compile else function
    if _backend() == "torch":
        return on_torch.without_graph(function)
    import tensorflow as tf

    # a partial, because TensorFlow counts traces per piece of code and warns of many
    options = {"jit_compile": jit_compile is True, "autograph": False}
    return tf.function(functools.partial(function), **options)


def _backend() -> str:
    """Returns the name of the backend, or raises where there is no way to differentiate."""
    name = keras.backend.backend()
    if name not in ("tensorflow", "jax", "torch"):
        raise ValueError(
            "backend: gradients need TensorFlow, JAX or PyTorch. Expected: KERAS_BACKEND set to "
            f"'tensorflow', 'jax' or 'torch'. Received: {name!r}."
        )
    return name
