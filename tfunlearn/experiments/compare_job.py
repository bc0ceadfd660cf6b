"""Handing a comparison to other processes: tasks and rows as files, read by each of them."""

import ast
import dataclasses
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn import methods
from tfunlearn.audit.bank_own import Part, is_own
from tfunlearn.data.scenarios import Scenario, Training
from tfunlearn.data.spool import read_split, write_split
from tfunlearn.experiments import compare_key
from tfunlearn.experiments.compare_run import Attempt, Run
from tfunlearn.methods import Method

__all__ = ["attempts_to_json", "read_attempts", "read_scenario", "write"]

_ATTEMPTS, _SCENARIO = "attempts.json", "scenario.json"
_LINE = ("scope", "cost", "deterministic", "needs")  # what a line of the table says in JSON values


def write(runs: Sequence[Run], attempts: Sequence[Attempt], folder: pathlib.Path) -> None:
    """Writes what workers read: the rows, and the task of each seed.

    Args:
        runs: a run for each seed.
        attempts: their rows besides the original and its references.
        folder: an empty folder.
    """
    (folder / _ATTEMPTS).write_text(json.dumps(attempts_to_json(attempts)), encoding="utf-8")
    for run in runs:
        own = folder / str(run.scenario.seed)
        own.mkdir()
        _write_scenario(run.scenario, run.settings, own)


def attempts_to_json(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Returns rows to make as JSON values, from which another process makes the same.

    Args:
        attempts: the rows.

    Raises:
        ValueError: if an option does not come back as it was, or another process cannot import a
            method.

    Example:
        >>> from tfunlearn.experiments.compare_run import Attempt
        >>> attempts_to_json([Attempt("short", "finetune", {"epochs": 1})])[0]["options"]
        {'epochs': {'literal': '1'}}
    """
    return [
        {
            "label": attempt.label,
            "method": attempt.method,
            "options": {
                name: _option(f"{attempt.method}.{name}", value)
                for name, value in attempt.options.items()
            },
            "own": _own(methods.describe(attempt.method)),
        }
        for attempt in attempts
    ]


def read_attempts(folder: pathlib.Path) -> list[Attempt]:
    """Returns the rows to make, and enters methods of one's own into the table.

    Args:
        folder: the folder that ``write`` wrote to.
    """
    found = []
    for row in json.loads((folder / _ATTEMPTS).read_text(encoding="utf-8")):
        if row["own"] is not None:
            _register(row["method"], row["own"])
        options = {name: _restored(value) for name, value in row["options"].items()}
        found.append(Attempt(row["label"], row["method"], options))
    return found


def read_scenario(folder: pathlib.Path, seed: int) -> tuple[Scenario, dict[str, Any]]:
    """Returns the task of a seed, its inputs mapped from the folder, and what its rows depend on.

    Args:
        folder: the folder that ``write`` wrote to.
        seed: the seed.
    """
    own = folder / str(seed)
    content = json.loads((own / _SCENARIO).read_text(encoding="utf-8"))
    arrays = {name: np.load(own / f"{name}.npy", allow_pickle=False) for name in content["arrays"]}
    triggered = (arrays["triggered-x"], arrays["triggered-y"]) if "triggered-x" in arrays else None
    scenario = Scenario(
        content["name"],
        content["dataset"],
        content["seed"],
        read_split(own, content["split"]),
        Training(**content["training"]),
        arrays.get("true_labels"),
        triggered,
    )
    return scenario, content["settings"]


def _write_scenario(scenario: Scenario, settings: dict[str, Any], folder: pathlib.Path) -> None:
    """Writes a task and what its rows are kept under."""
    arrays = {}
    if scenario.true_labels is not None:
        arrays["true_labels"] = scenario.true_labels
    if scenario.triggered is not None:
        arrays["triggered-x"], arrays["triggered-y"] = scenario.triggered
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    content = {
        "name": scenario.name,
        "dataset": scenario.dataset,
        "seed": scenario.seed,
        "training": dataclasses.asdict(scenario.training),
        "split": write_split(scenario.split, folder),
        "arrays": list(arrays),
        "settings": settings,
    }
    (folder / _SCENARIO).write_text(json.dumps(content), encoding="utf-8")


def _option(name: str, value: Any) -> dict[str, Any]:
    """Returns an option as JSON values, once it is known to come back as it was."""
    try:
        if ast.literal_eval(repr(value)) == value:
            return {"literal": repr(value)}
    except (ValueError, SyntaxError):
        pass  # no Python literal
    try:
        content = {"keras": keras.saving.serialize_keras_object(value)}
        again = _restored(json.loads(json.dumps(content)))
        same = compare_key.plain(name, again) == compare_key.plain(name, value)
        same = same and (not isinstance(value, Mapping) or list(again) == list(value))
    except (TypeError, ValueError, AttributeError):
        same = False
    if not same:
        raise ValueError(
            f"{name}: other processes cannot be given it. Expected: numbers, texts, lists, arrays "
            f"and objects of Keras, or workers=1 without Ray and threads. Received: {value!r}."
        )
    return content


def _restored(content: Mapping[str, Any]) -> Any:
    """Returns an option from JSON values."""
    if "literal" in content:
        return ast.literal_eval(content["literal"])
    return keras.saving.deserialize_keras_object(content["keras"])


def _own(line: Method) -> dict[str, Any] | None:
    """Returns a line of the table as JSON values if the method is one of one's own."""
    function = line.function
    if not is_own(function.__module__):
        return None
    part = Part(function.__module__, function.__qualname__, line.name)
    if not part.importable() or getattr(sys.modules[part.module], part.name) is not function:
        raise ValueError(
            f"methods: other processes cannot import {part.name!r} from {part.module!r}. Expected: "
            "it at the top of a module in a file, or workers=1 without Ray and threads. Received: "
            "a method defined in a notebook, in the script that runs, or inside a function."
        )
    known = {name: getattr(line, name) for name in _LINE}
    return {"module": part.module, "name": part.name, "reads": sorted(line.reads), **known}


def _register(name: str, own: dict[str, Any]) -> None:
    """Enters a method of one's own into the table, unless importing its module has done so."""
    function = Part(own["module"], own["name"], name).load()
    if name not in methods.names():
        known = {key: own[key] for key in _LINE}
        methods.register(Method(function, frozenset(own["reads"]), **known))
