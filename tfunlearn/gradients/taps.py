"""Per-example gradients of common layers from one backward pass over a batch.

The gradient of one example with respect to the weights of a layer follows from the layer's input
and the gradient at its output, and both are there for a whole batch after one backward pass. A tap
at the output hands them over: forwards it is the identity, backwards it gives to a *carrier*, a
tensor that stands for the weight, what is wanted of the per-example gradients.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import layers, ops

from tfunlearn.gradients.autodiff import gradient
from tfunlearn.gradients.ends import Plan, looked_up, rows
from tfunlearn.gradients.kinds import HOLDERS, SEPARABLE, multiplied, named, plain
from tfunlearn.models import iter_layers
from tfunlearn.models.precision import wide, widened


def covers(model: keras.Model) -> bool:
    """Tells whether every trainable weight belongs to a layer that can be tapped.

    Layers and models of the user's own may use weights in ways that a tap does not see.
    """
    parts = [model, *iter_layers(model)]
    if not all(type(part).__module__.startswith("keras.") for part in parts):
        return False
    if any(isinstance(part, layers.Lambda) for part in parts):
        return False
    if any(_runs_others(part) for part in parts):
        return False
    known = {id(weight) for layer in parts if plain(layer) for weight in named(layer).values()}
    return known >= {id(weight) for weight in model.trainable_variables}


def _runs_others(layer: layers.Layer) -> bool:
    """Tells whether a layer runs others with weights in a way of its own, such as at each step."""
    if isinstance(layer, keras.Model) or type(layer) in HOLDERS:
        return False
    return any(inner.trainable_variables for inner in iter_layers(layer))


def tapped(
    model: keras.Model, total: Callable[[], Any], size: int, power: Callable | None
) -> list[Any] | None:
    """Returns sums of a power of the per-example gradients, or the gradients themselves.

    Args:
        model: a model that ``covers`` accepts.
        total: runs the model on a batch and returns the sum of the examples' losses.
        size: examples in that batch.
        power: what is summed, with ``power(a * b) = power(a) * power(b)``; None to return the
            gradients, stacked along a first axis.

    Returns:
        One tensor for each trainable weight, of its type or float32 where that is a smaller one; or
        None if a layer runs more than once.
    """
    variables = model.trainable_variables
    ahead = () if power else (size,)
    carriers = [ops.zeros((*ahead, *weight.shape), wide(weight.dtype)) for weight in variables]
    complete = []

    def value(carriers: list[Any]) -> Any:
        taps = _Taps(size, power, zip(variables, carriers, strict=True))
        with taps.placed(model):
            result = total()
        complete.append(taps.complete())
        return result

    received = gradient(value, carriers)
    return received if all(complete) else None


class _Taps:
    """Taps in the layers of a model, and what they need to know."""

    def __init__(self, size: int, power: Callable | None, pairs: Iterator[tuple]) -> None:
        self._size, self._power = size, power
        self._carriers = {id(weight): carrier for weight, carrier in pairs}
        self._uses = dict.fromkeys(self._carriers, 0)
        self._batches: list[int] = []

    def complete(self) -> bool:
        """Tells whether every weight was used once, and on the batch as it is."""
        return set(self._uses.values()) == {1} and set(self._batches) == {self._size}

    @contextmanager
    def placed(self, model: keras.Model) -> Iterator[None]:
        """Taps a model's layers for as long as the context lasts."""
        chosen = [
            layer
            for layer in iter_layers(model)
            if plain(layer)
            and any(id(weight) in self._carriers for weight in named(layer).values())
        ]
        kept = [dict(vars(layer)) for layer in chosen]
        try:
            for layer in chosen:
                vars(layer)["call"] = self._call(layer)
            yield
        finally:
            for layer, before in zip(chosen, kept, strict=True):
                vars(layer).pop("call", None)  # of the class again: ``plain`` takes no other
                vars(layer).pop("activation", None)
                if "activation" in before:  # on PyTorch one that is a layer is kept elsewhere
                    vars(layer)["activation"] = before["activation"]

    def _call(self, layer: layers.Layer) -> Callable:
        """Returns a layer's call with a tap between its output and its activation."""
        activation = getattr(layer, "activation", None)
        if activation is not None:
            vars(layer)["activation"] = None

        def call(x: Any, **options: Any) -> Any:
            self._batches.append(x.shape[0])
            if isinstance(layer, SEPARABLE):
                tapped = self._separable(layer, x)
            else:
                outputs = type(layer).call(layer, x, **options)
                x = multiplied(layer, x)
                tapped = self._tap(Plan.of(layer), named(layer), x, outputs)
            return tapped if activation is None else activation(tapped)

        return call

    def _separable(self, layer: layers.Layer, x: Any) -> Any:
        """Returns what a separable convolution gives, as two convolutions with a tap each."""
        first, second = Plan.pair(layer)
        options = {"padding": layer.padding, "dilation_rate": first.dilation}
        inner = ops.depthwise_conv(x, layer.depthwise_kernel, first.strides, **options)
        inner = self._tap(first, {"kernel": layer.depthwise_kernel}, x, inner)
        outputs = ops.conv(inner, layer.pointwise_kernel, padding="valid")
        weights = {"kernel": layer.pointwise_kernel}
        if layer.bias is not None:
            outputs, weights["bias"] = outputs + layer.bias, layer.bias
        return self._tap(second, weights, inner, outputs)

    def _tap(self, plan: Plan, weights: dict[str, Any], x: Any, outputs: Any) -> Any:
        """Returns the outputs, tapped for those of some weights that are trainable.

        TensorFlow keeps the function of a custom gradient for good: it is to hold no layer.
        """
        own = {name: w for name, w in weights.items() if id(w) in self._carriers}
        for weight in own.values():
            self._uses[id(weight)] += 1
        power = self._power
        types = {name: wide(weight.dtype) for name, weight in own.items()}

        @ops.custom_gradient
        def identity(outputs: Any, x: Any, *carriers: Any) -> Any:
            def grad(*upstreams: Any, upstream: Any = None) -> tuple:
                upstream = upstreams[0] if upstream is None else upstream
                received = [
                    ops.cast(_received(plan, name, power, x, upstream), dtype)
                    for name, dtype in types.items()
                ]
                return upstream, ops.zeros_like(x), *received

            return outputs, grad

        return identity(outputs, x, *[self._carriers[id(weight)] for weight in own.values()])


def _received(plan: Plan, name: str, power: Callable | None, x: Any, upstream: Any) -> Any:
    """Returns what a carrier is given: a sum of powers, or every example's gradient."""
    x, upstream = widened(x), widened(upstream)
    if power and plan.kind == "lookup":
        return looked_up(plan, power, x, upstream)
    if power and plan.kind == "dense" and name == "kernel" and len(x.shape) == 2:
        # the power of a product
        return ops.matmul(ops.transpose(power(x)), power(upstream))
    found = rows(plan, name, x, upstream)
    return ops.sum(power(found), axis=0) if power else found
