"""What a kept row depends on, as JSON values: data, settings, code and versions."""

import dataclasses
import inspect
import re
import sys
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

import tfunlearn
from tfunlearn.audit.marks import array_mark, code, source
from tfunlearn.data.scenarios import Scenario

__all__ = ["code", "common", "inputs", "plain", "source"]


def common(scenario: Scenario, threads: int | None = None) -> dict[str, Any]:
    """Returns what original, references and rows of a seed all depend on.

    Args:
        scenario: the task.
        threads: CPU threads of an operation, if they are fixed.
    """
    backend = keras.backend.backend()
    packages = {"tfunlearn": tfunlearn, "keras": keras, backend: sys.modules[backend]}
    return {
        "experiment": "compare",
        "task": scenario.name,
        "dataset": scenario.dataset,
        "seed": scenario.seed,
        "training": dataclasses.asdict(scenario.training),
        "split": scenario.split.fingerprint(),
        "inputs": inputs(scenario),
        "backend": backend,
        "versions": {name: package.__version__ for name, package in packages.items()},
        "code": code(),
        **({} if threads is None else {"threads": threads}),
    }


def inputs(scenario: Scenario) -> str:
    """Returns a mark of all inputs of a task, and of what its probes are measured on.

    Args:
        scenario: the task.
    """
    split = scenario.split
    sources = {id(split.source(role)): split.source(role).x for role in split.roles}
    probes = [array for _, pair in sorted(scenario.probes.items()) for array in pair]
    return array_mark([*sources.values(), *probes])


def plain(name: str, value: Any) -> Any:
    """Returns an option as a JSON value that tells different ones apart.

    Args:
        name: the option, for the error.
        value: its value: JSON values, NumPy numbers and arrays, classes, patterns, objects and
            functions of Keras, and what is made of these.

    Raises:
        TypeError: if it holds something else, of which nothing tells when it is another.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(name, part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        parts = [plain(name, part) for part in value]
        return sorted(parts, key=repr) if isinstance(value, set | frozenset) else parts
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, re.Pattern):
        return {"pattern": value.pattern, "flags": value.flags}
    if hasattr(value, "get_config") or _of_keras(value):
        return _nameless(plain(name, keras.saving.serialize_keras_object(value)))
    raise TypeError(
        f"{name}: a row is kept under its options. Expected: numbers, texts, classes, and objects "
        f"and functions of Keras. Received: {value!r}."
    )


def _nameless(value: Any) -> Any:
    """Returns a serialized object without names: Keras counts them up through a process."""
    if isinstance(value, list):
        return [_nameless(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _nameless(part) for key, part in value.items() if key != "name"}
    return value


def _of_keras(value: Any) -> bool:
    """Tells whether a value is a function of Keras."""
    return inspect.isfunction(value) and value.__module__.split(".")[0] == "keras"
