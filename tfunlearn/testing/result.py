"""Checks of what goes in and what comes out: signature, original, result."""

import inspect
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np

from tfunlearn.methods import Method
from tfunlearn.testing.tasks import (
    clean_run,
    not_finite,
    original,
    require,
    run,
    tiny_split,
    weight_bytes,
)
from tfunlearn.testing.workers import ask

_LOAD = """
import json, sys
import keras, numpy
sys.modules["tfunlearn"] = None  # from here on an import of it fails
for line in sys.stdin:
    folder = json.loads(line)
    try:
        model = keras.saving.load_model(folder + "/result.keras")
        x = numpy.load(folder + "/x.npy")
        outputs = keras.ops.convert_to_numpy(model(x, training=False))
        numpy.save(folder + "/outputs.npy", outputs)
        found = {"answer": ""}
    except Exception as error:
        found = {"answer": type(error).__name__ + ": " + str(error)}
    print("answer: " + json.dumps(found), flush=True)
"""


def check_signature(method: Method, **options: Any) -> None:
    """Checks that a method is ``function(model, split, *, seed=..., ...)`` with defaults.

    Args:
        method: the method.
        **options: not used.

    Raises:
        AssertionError: if it takes other positional arguments, or lacks a keyword or a default.
    """
    parameters = inspect.signature(method.function).parameters.values()
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    require(
        positional == ["model", "split"],
        method,
        "model and split come first, all else is keyword-only",
        ["model", "split"],
        positional,
    )
    wanted = {"seed", "batch_size", "jit_compile", "verbose"}
    trains = {"epochs", "callbacks"}
    wanted |= trains if trains & set(method.options) else set()
    absent = sorted(wanted - set(method.options))
    require(not absent, method, "its keywords are those of every method", sorted(wanted), absent)
    bare = [name for name, value in method.options.items() if value is inspect.Parameter.empty]
    require(not bare, method, "every keyword has a default", "none without", bare)


def check_original_untouched(method: Method, **options: Any) -> None:
    """Checks that a method leaves model and data as they were.

    Weights, ``trainable`` flags, compile state, optimizer and the split's arrays are compared.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if anything changed, or the result shares weights with the original.
    """
    model, split = original("rich"), tiny_split(method.scope)
    model.get_layer("body").layers[-2].trainable = False
    before = _state(model, split)
    result = run(method, model, split, **options)
    require(result is not model, method, "the result is a new model", "a new one", "the original")
    for part, value in _state(model, split).items():
        changed = value != before[part]
        require(not changed, method, f"the original's {part} stay as they were", "equal", "changed")
    shared = {id(weight) for weight in model.weights} & {id(weight) for weight in result.weights}
    require(not shared, method, "the result owns its weights", 0, f"{len(shared)} shared")


def check_finite(method: Method, **options: Any) -> None:
    """Checks that every weight of the result is finite.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if one is not.
    """
    result = clean_run(method, **options)
    broken = not_finite(result)
    require(not broken, method, "the result's weights are finite", "finite weights", broken)


def check_plain_result(method: Method, **options: Any) -> None:
    """Checks that the result is a plain Keras model that others can load.

    It must have the original's class, weights, flags and compile state, save to ``.keras``, load
    in a process where tfunlearn cannot be imported, and predict there what it predicts here.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if it is something else, or cannot be loaded there.
    """
    model = original("rich")
    result = run(method, model, **options)
    pairs = {
        "class": (type(model), type(result)),
        "weight shapes": ([w.shape for w in model.weights], [w.shape for w in result.weights]),
        "trainable flags": (_flags(model), _flags(result)),
        "loss": (_loss(model), _loss(result)),
        "optimizer": (_optimizer(model), _optimizer(result)),
    }
    for part, (expected, received) in pairs.items():
        rule = f"the result has the original's {part}"
        require(expected == received, method, rule, expected, received)
    x = np.random.default_rng(0).random((4, 8, 8, 1), "float32")
    here = keras.ops.convert_to_numpy(result(x, training=False))
    with tempfile.TemporaryDirectory() as folder:
        result.save(pathlib.Path(folder, "result.keras"))
        np.save(pathlib.Path(folder, "x.npy"), x)
        error = _load_elsewhere(folder)
        rule = "the result loads without tfunlearn"
        require(not error, method, rule, "a model from keras.saving.load_model", error)
        there = np.load(pathlib.Path(folder, "outputs.npy"))
    gap = float(np.max(np.abs(here - there)))
    require(gap < 1e-4, method, "the loaded result predicts the same", "equal outputs", gap)


def _state(model: keras.Model, split: Any) -> dict[str, Any]:
    """Returns what a method must leave as it was."""
    config = model.get_compile_config()
    return {
        "weights": weight_bytes(model),
        "trainable flags": _flags(model),
        "optimizer": [keras.ops.convert_to_numpy(v).tobytes() for v in model.optimizer.variables],
        "compile arguments": repr(config),
        "loss, optimizer and metrics objects": [
            id(part) for part in (model.loss, model.optimizer, *model.metrics)
        ],
        "data": [part.tobytes() for role in split.roles for part in getattr(split, role)],
    }


def _flags(model: keras.Model) -> list[bool]:
    """Returns whether each weight is trainable."""
    return [weight.trainable for weight in model.weights]


def _loss(model: keras.Model) -> Any:
    """Returns the loss of a compiled model as its config."""
    return (model.get_compile_config() or {}).get("loss")


def _optimizer(model: keras.Model) -> str:
    """Returns the class name of a model's optimizer."""
    return type(getattr(model, "optimizer", None)).__name__


def _load_elsewhere(folder: str) -> str:
    """Loads a saved result in a process without tfunlearn; returns its error, if any."""
    return ask(("-c", _LOAD), folder)[-1500:]
