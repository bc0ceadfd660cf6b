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

_MODELS = ("keras.src.models.functional", "keras.src.models.sequential")
_KEPT = 8  # steps; the one that was not used for longest goes first
_steps: collections.OrderedDict[Hashable, Callable[..., Any]] = collections.OrderedDict()
_lock = threading.Lock()
_present = threading.local()


def step_for(
    model: keras.Model, options: Hashable, function: Any, make: Callable[..., Any]
) -> Callable[..., Any]:
    """Returns a step for a model, made anew unless one for its architecture is kept.

    Args:
        model: the model.
        options: what else the step depends on.
        function: a function that the step calls; one made inside another function may depend on
            more than its code, so that nothing is kept.
        make: makes the step from a function that returns the model while the step is traced.
    """
    known = _description(model) if _lasting(function) else None
    if known is None:
        return make(lambda: model)
    key = (known, options, function, keras.backend.backend())
    with _lock:
        step = _steps.pop(key, None) or make(lambda: _present.model)
        _steps[key] = step
        while len(_steps) > _KEPT:
            _steps.popitem(last=False)

    def run(*args: Any) -> Any:
        with _at_hand(model):
            return step(*args)

    return run


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
    """Tells whether a function is one of a module, which is the same at each call."""
    return isinstance(function, types.FunctionType) and "<locals>" not in function.__qualname__


def _description(model: keras.Model) -> str | None:
    """Returns what a model computes, apart from its weights, or None if that is not known.

    Known are Keras' own layers, unless they hold code or state that is neither config nor weight.
    """
    if not all(_described(layer) for layer in [model, *iter_layers(model)]):
        return None
    config = model.get_config()
    if not _only_keras(config):
        return None
    weights = [[*map(str, (w.shape, w.dtype, w.trainable))] for w in model.weights]
    try:
        return json.dumps([type(model).__name__, _without_seeds(config), weights])
    except TypeError:
        return None


def _described(layer: Any) -> bool:
    """Tells whether a layer's or model's config and weights are all there is to it."""
    kind = type(layer)
    if kind.__module__ in _MODELS or kind is keras.layers.Rescaling:
        return True
    parts = kind.__module__.split(".")
    inside = parts[:3] == ["keras", "src", "layers"] and "preprocessing" not in parts
    return inside and not isinstance(layer, keras.layers.Lambda)


def _only_keras(config: Any) -> bool:
    """Tells whether every object in a config is one of Keras' own."""
    if isinstance(config, dict):
        own = config.get("class_name") in (None, "__keras_tensor__")
        own |= str(config.get("module")).split(".")[0] == "keras"
        return own and all(map(_only_keras, config.values()))
    return not isinstance(config, list | tuple) or all(map(_only_keras, config))


def _without_seeds(config: Any) -> Any:
    """Returns a config without what first weights and masks are drawn from."""
    if isinstance(config, dict):
        return {
            key: _without_seeds(value)
            for key, value in config.items()
            if key != "seed" and not key.endswith("_initializer")
        }
    return list(map(_without_seeds, config)) if isinstance(config, list | tuple) else config
