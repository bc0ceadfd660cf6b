"""Sums of gradients over batches, or over single examples."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from tfunlearn.gradients.autodiff import (
    AT_ONCE,
    accumulated,
    compiled,
    gradient,
    stacked,
    vectorizes,
)
from tfunlearn.gradients.groups import filled, grouped
from tfunlearn.gradients.step_cache import step_for
from tfunlearn.gradients.taps import covers, tapped
from tfunlearn.models.precision import bytes_of, wide, widened

Loss = Callable[[Any, Any], Any]
Step = Callable[..., Any]
Present = Callable[[], keras.Model]

_POWERS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda value: value,
    "square": ops.square,
    "abs": ops.abs,
}
_MEMORY = 2**28  # bytes of per-example gradients that are held at once


def gradient_sum(
    model: keras.Model,
    batches: Any,
    loss: Loss,
    *,
    of: Literal["identity", "square", "abs"] = "identity",
    per: Literal["batch", "example"] = "batch",
    jit_compile: bool | str = "auto",
    chunk: int | None = None,
) -> tuple[list[np.ndarray], int]:
    """Sums a model's gradients, their squares or their absolute values over some data.

    The model runs in inference mode and is not changed. One loop over several steps is compiled. It
    is kept for later calls with a model of the same architecture, where that consists of Keras' own
    layers and the loss is Keras' or tfunlearn's. A last batch with fewer examples is filled up with
    examples that do not count.

    Args:
        model: a built model; frozen weights have no gradient here.
        batches: ``(x, y)`` batches of arrays: a ``tf.data.Dataset``, a ``keras.utils.PyDataset``
            such as ``data.batches`` gives, or any iterable. Read once.
        loss: function of labels and outputs that returns the loss of each example, ``(batch,)``,
            by operations of Keras or the backend: there is no ``if`` on a tensor in a graph.
        of: what is summed: the gradients, their squares, or their absolute values.
        per: ``"batch"`` for the gradient of each batch's mean loss, so that squares depend on the
            batch size; ``"example"`` for the gradient of each example, so that they do not.
        jit_compile: True for XLA; ``"auto"`` leaves that to JAX alone.
        chunk: examples whose gradients are computed together, with ``per="example"``; by default
            what 256 MB hold.

    Returns:
        One float64 array for each of ``model.trainable_variables``, and the number of terms in
        each sum: batches or examples.

    Raises:
        ValueError: if an option is none of its values, there are no batches, or the loss is not
            one number per example.
        RuntimeError: if a sum is not finite.

    Example:
        >>> import numpy as np
        >>> from keras import ops
        >>> from tfunlearn import gradients, models
        >>> net = models.mnist_dense(4, 3, seed=0)
        >>> def loss(y, logits):
        ...     return ops.sparse_categorical_crossentropy(y, logits, from_logits=True)
        >>> data = [(np.ones((2, 4), "float32"), np.array([0, 1]))]
        >>> sums, terms = gradients.gradient_sum(net, data, loss, of="square", per="example")
        >>> terms, sums[0].shape == net.trainable_variables[0].shape
        (2, True)
    """
    return gradient_sums(
        model, [batches], loss, of=of, per=per, jit_compile=jit_compile, chunk=chunk
    )[0]


def gradient_sums(
    model: keras.Model,
    streams: Iterable[Any],
    loss: Loss,
    *,
    of: Literal["identity", "square", "abs"] = "identity",
    per: Literal["batch", "example"] = "batch",
    jit_compile: bool | str = "auto",
    chunk: int | None = None,
) -> list[tuple[list[np.ndarray], int]]:
    """Returns what ``gradient_sum`` returns for each of several streams of batches.

    They share one compiled step, which takes longer to make than a small data set to read.

    Args:
        model: as in ``gradient_sum``.
        streams: the batches of each sum.
        loss: as in ``gradient_sum``.
        of: as in ``gradient_sum``.
        per: as in ``gradient_sum``.
        jit_compile: as in ``gradient_sum``.
        chunk: as in ``gradient_sum``.

    Raises:
        ValueError: as ``gradient_sum``.
        RuntimeError: as ``gradient_sum``.
    """
    if of not in _POWERS:
        raise ValueError(f"of: expected 'identity', 'square' or 'abs'. Received: {of!r}.")
    if per not in ("batch", "example"):
        raise ValueError(f"per: expected 'batch' or 'example'. Received: {per!r}.")
    alone = per == "example" and of != "identity"
    together = vectorizes() and not covers(model)
    size = _chunk(model, chunk, all_at_once=together) if alone else None
    kind = _example_step if alone else _batch_step

    def make(present: Present) -> Step:
        return compiled(_summed(kind(present, loss, _POWERS[of], per == "batch")), jit_compile)

    step = step_for(model, (of, per, jit_compile), loss, make)
    results = []
    for batches in streams:
        total, terms = _Total(model), 0
        for x, y, counts, steps in grouped(filled(batches, size)):
            total.add(step, x, y, counts, steps)
            terms += int(counts.sum()) if per == "example" else steps
        results.append((total.result(terms), terms))
    return results


def per_example(
    model: keras.Model,
    batches: Any,
    loss: Loss,
    *,
    jit_compile: bool | str = "auto",
    chunk: int | None = None,
) -> Iterator[np.ndarray]:
    """Yields the gradient of each example as one flat array, in the order of the batches.

    It is float32, or float64 where the weights are.

    Args:
        model: a built model; frozen weights have no gradient here.
        batches: as in ``gradient_sum``.
        loss: as in ``gradient_sum``.
        jit_compile: as in ``gradient_sum``.
        chunk: examples whose gradients are computed together; by default what 256 MB hold.

    Yields:
        The gradients with respect to ``model.trainable_variables``, each flattened, joined.
    """
    values, others = _values(model)

    def make(present: Present) -> Step:
        def rows(values: list[Any], others: list[Any], x: Any, y: Any) -> Any:
            parts = _rows(present(), loss, values, others, x, y)
            return ops.concatenate([ops.reshape(part, (x.shape[0], -1)) for part in parts], axis=1)

        return compiled(rows, jit_compile)

    step = step_for(model, ("rows", jit_compile), loss, make)
    for x, y, counts in filled(batches, _chunk(model, chunk, all_at_once=True)):
        yield from ops.convert_to_numpy(step(values, others, x, y))[: int(counts.sum())]


class _Total:
    """A sum over groups of steps: each in the model's type, or float32, then all in float64."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._values, self._others = _values(model)
        self._sums = [np.zeros(value.shape, "float64") for value in self._values]

    def add(self, step: Step, x: Any, y: Any, counts: np.ndarray, steps: int) -> None:
        """Adds a group of steps."""
        recent = step(self._values, self._others, x, y, counts, np.int32(steps))
        for total, part in zip(self._sums, recent, strict=True):
            total += ops.convert_to_numpy(part)

    def result(self, terms: int) -> list[np.ndarray]:
        """Returns the sums, checked."""
        if not terms:
            raise ValueError("batches: expected at least one batch. Received none.")
        broken = [
            variable.path
            for variable, total in zip(self._model.trainable_variables, self._sums, strict=True)
            if not np.isfinite(total).all()
        ]
        if broken:
            raise RuntimeError(
                "gradients: expected finite numbers. Received NaN or infinity for "
                f"{len(broken)} of {len(self._sums)} weights, first {broken[0]!r}."
            )
        return self._sums


def _summed(step: Step) -> Step:
    """Returns a function of several batches, stacked: what a step gives for them, added up."""

    def add(values: list[Any], others: list[Any], x: Any, y: Any, counts: Any, steps: Any) -> Any:
        start = [ops.zeros(value.shape, wide(value.dtype)) for value in values]
        rows = tuple(map(ops.convert_to_tensor, (x, y, counts)))
        return accumulated(lambda *row: step(values, others, *row), start, rows, steps)

    return add


def _batch_step(present: Present, loss: Loss, power: Callable, mean: bool) -> Step:
    """Returns the step for the gradient of a batch's mean loss, or of the sum of its losses."""

    def step(values: list[Any], others: list[Any], x: Any, y: Any, counts: Any) -> list[Any]:
        def total(values: list[Any]) -> Any:
            terms = _terms(present(), loss, values, others, x, y)
            shares = ops.cast(counts, terms.dtype)
            return ops.sum(terms * shares) / (ops.sum(shares) if mean else 1.0)

        return [power(part) for part in gradient(total, values)]

    return step


def _example_step(present: Present, loss: Loss, power: Callable, mean: bool) -> Step:
    """Returns the step that sums a power of each example's gradient."""

    def step(values: list[Any], others: list[Any], x: Any, y: Any, counts: Any) -> list[Any]:
        sums = _tapped(present(), loss, values, others, x, y, counts, power)
        if sums is not None:
            return sums
        single = _single(present(), loss, values, others)
        if vectorizes():
            rows = map(widened, stacked(single, (x, y), values))
            return [ops.tensordot(ops.cast(counts, row.dtype), power(row), axes=1) for row in rows]

        def one(x: Any, y: Any) -> list[Any]:
            return [power(widened(part)) for part in single(x, y)]

        start = [ops.zeros(value.shape, wide(value.dtype)) for value in values]
        number = ops.cast(ops.sum(counts), "int32")  # those that count come first
        return accumulated(one, start, (x, y), number)

    return step


def _rows(
    model: keras.Model, loss: Loss, values: list[Any], others: list[Any], x: Any, y: Any
) -> list[Any]:
    """Returns the gradient of each example, stacked along a first axis."""
    rows = _tapped(model, loss, values, others, x, y, 1.0, None)
    return stacked(_single(model, loss, values, others), (x, y), values) if rows is None else rows


def _tapped(
    model: keras.Model,
    loss: Loss,
    values: list[Any],
    others: list[Any],
    x: Any,
    y: Any,
    counts: Any,
    power: Callable | None,
) -> list[Any] | None:
    """Returns sums over examples, or their gradients, by one backward pass; None if it cannot."""
    if not covers(model):
        return None

    def total() -> Any:
        terms = _terms(model, loss, values, others, x, y)
        return ops.sum(terms * ops.cast(counts, terms.dtype))

    return tapped(model, total, x.shape[0], power)


def _single(model: keras.Model, loss: Loss, values: list[Any], others: list[Any]) -> Callable:
    """Returns the gradient of one example as a function of it, for models of any layers."""

    def one(x: Any, y: Any) -> list[Any]:
        def total(values: list[Any]) -> Any:
            return ops.sum(_terms(model, loss, values, others, x[None], y[None]))

        return gradient(total, values)

    return one


def _terms(
    model: keras.Model, loss: Loss, values: list[Any], others: list[Any], x: Any, y: Any
) -> Any:
    """Returns the loss of each example under the given weights, in inference mode."""
    outputs, _ = model.stateless_call(values, others, x, training=False)
    terms = loss(y, widened(outputs))
    if tuple(terms.shape) != (x.shape[0],):
        raise ValueError(
            "loss: expected one number per example. "
            f"Expected: shape ({x.shape[0]},). Received: shape {tuple(terms.shape)}."
        )
    return widened(terms)


def _values(model: keras.Model) -> tuple[list[Any], list[Any]]:
    """Returns copies of a model's trainable and its other weights as tensors.

    They are no variables, which TensorFlow looks at for long at each call of a function.
    """
    if not model.trainable_variables:
        raise ValueError(
            "model: expected at least one weight that is not frozen. Received: none of "
            f"{len(model.weights)}."
        )
    pair = model.trainable_variables, model.non_trainable_variables
    return tuple([ops.copy(weight.value) for weight in weights] for weights in pair)


def _chunk(model: keras.Model, chunk: int | None, *, all_at_once: bool) -> int:
    """Returns how many examples' gradients are held at once, of all weights or of one."""
    if chunk is None:
        sizes = [bytes_of(weight) for weight in model.trainable_variables] or [1]
        held = sum(sizes) if all_at_once else max(sizes)
        return max(1, min(256, _MEMORY // (AT_ONCE * max(1, held))))
    if not isinstance(chunk, int | np.integer) or chunk < 1:
        raise ValueError(f"chunk: expected a whole number of at least 1. Received: {chunk!r}.")
    return int(chunk)
