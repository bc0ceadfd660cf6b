"""Compiled steps that serve every model of one architecture: tracing one takes long.

A step takes a model's weights as tensors. What it computes follows from the architecture, the loss
and its options, so that a model with other weights can use it. Kept are the graphs, no models.
"""

import collections
import json
import threading
import types
from collections.abc import Callable, Hashable
from contextlib import contextmanager
from typing import Any

import keras

from tfunlearn.models import iter_layers

_OWN = ("keras", "tfunlearn")  # packages whose functions compute the same at each call
_KEPT = 8  # steps; the one that was not used for longest goes first
_SHAPES = 16  # shapes of arguments, each of which has a graph, before a step is made anew
_steps: collections.OrderedDict[Hashable, "_Step"] = collections.OrderedDict()
_lock = threading.Lock()
_present = threading.local()


def step_for(
    model: keras.Model, options: Hashable, function: Any, make: Callable[..., Any]
) -> Callable[..., Any]:
    """Returns a step for a model, made anew unless one for its architecture is kept.

    Args:
        model: the model.
        options: what else the step depends on.
        function: a function that the step calls. Nothing is kept for one that is neither Keras' nor
            tfunlearn's: what it computes may depend on variables that change.
        make: makes the step from a function that returns the model while the step is traced.
    """
    known = _description(model) if _lasting(function) else None
    if known is None:
        return make(lambda: model)
    key = (known, options, function, keras.backend.backend())
    with _lock:
        step = _steps.pop(key, None) or _Step(make)
        _steps[key] = step
        while len(_steps) > _KEPT:
            _steps.popitem(last=False)

    def run(*args: Any) -> Any:
        with _at_hand(model):
            return step.function_for(args)(*args)

    return run


class _Step:
    """A compiled step, made anew when it has seen many shapes."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make, self._shapes = make, set()
        self._function: Callable[..., Any] = make(_the_present)

    def function_for(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        """Returns the compiled step for some arguments."""
        shapes = tuple(tuple(part.shape) for part in args if hasattr(part, "shape"))
        with _lock:
            if len(self._shapes | {shapes}) > _SHAPES:
                self._shapes, self._function = set(), self._make(_the_present)
            self._shapes.add(shapes)
            return self._function


def _the_present() -> keras.Model:
    """Returns the model whose step is run."""
    return _present.model


def clear() -> None:
    """Drops all steps that are kept."""
    with _lock:
        _steps.clear()


@contextmanager
def _at_hand(model: keras.Model) -> Any:
    """Holds a model for the time of a call, which may trace the step."""
    before = getattr(_present, "model", None)
    _present.model = model
    try:
        yield
    finally:
        _present.model = before


def _lasting(function: Any) -> bool:
    """Tells whether a function is one of a module that computes the same at each call."""
    return (
        isinstance(function, types.FunctionType)
        and "<locals>" not in function.__qualname__
        and function.__module__.split(".")[0] in _OWN
    )


def _description(model: keras.Model) -> str | None:
    """Returns what a model computes, apart from weights and names, or None if that is not known.

    Known are Keras' own layers, unless they hold code or state that is neither config nor weight.
    """
    if not all(_described(layer) for layer in [model, *iter_layers(model)]):
        return None
    try:
        config = model.get_config()
    except (TypeError, ValueError, NotImplementedError):  # a part that Keras cannot describe
        return None
    if not _only_keras(config):
        return None
    weights = [[*map(str, (w.shape, w.dtype, w.trainable))] for w in model.weights]
    try:
        return json.dumps([type(model).__name__, _essence(config, {}), weights])
    except TypeError:
        return None


def _described(layer: Any) -> bool:
    """Tells whether a layer's or model's config and weights are all there is to it."""
    parts = type(layer).__module__.split(".")
    if parts[0] != "keras":
        return False
    if isinstance(layer, keras.Model | keras.layers.Rescaling):
        return True
    inside = "layers" in parts and "preprocessing" not in parts  # no wrappers of other libraries
    functions = [getattr(layer, name, None) for name in ("activation", "recurrent_activation")]
    return (
        inside
        and not isinstance(layer, keras.layers.Lambda)
        and all(map(_from_keras, functions))  # Keras writes a name alone, even for another's
    )


def _from_keras(function: Any) -> bool:
    """Tells whether an activation is none, or a function or layer of Keras."""
    owner = function if hasattr(function, "__module__") else type(function)
    return function is None or owner.__module__.split(".")[0] == "keras"


def _only_keras(config: Any) -> bool:
    """Tells whether every object in a config is one of Keras' own."""
    if isinstance(config, dict):
        own = config.get("class_name") in (None, "__keras_tensor__")
        own |= str(config.get("module")).split(".")[0] == "keras"
        return own and all(map(_only_keras, config.values()))
    return not isinstance(config, list | tuple) or all(map(_only_keras, config))


def _essence(config: Any, names: dict[str, str]) -> Any:
    """Returns a config without what first weights and masks are drawn from, and with new names.

    Args:
        config: the config, or a part of it.
        names: name to the one that is written for it, by order of appearance; filled here.
    """
    if isinstance(config, dict):
        return {
            key: _renamed(value, names) if key == "name" else _essence(value, names)
            for key, value in config.items()
            if key != "seed" and not key.endswith("_initializer")
        }
    if not isinstance(config, list | tuple):
        return config
    if list(map(type, config)) == [str, int, int]:  # a layer's output, in Keras' way
        return [_renamed(config[0], names), *config[1:]]
    return [_essence(part, names) for part in config]


def _renamed(name: Any, names: dict[str, str]) -> Any:
    """Returns what stands for a name."""
    return names.setdefault(name, f"#{len(names)}") if isinstance(name, str) else name
