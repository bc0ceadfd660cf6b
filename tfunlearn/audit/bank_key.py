"""What the models of a bank depend on, as JSON values, and the key that is made of it."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from tfunlearn._version import __version__
from tfunlearn.audit import marks
from tfunlearn.audit.bank_job import Item, Job
from tfunlearn.audit.bank_own import is_own, own_parts
from tfunlearn.data import ForgetSplit
from tfunlearn.data.weights import plain_class_weight
from tfunlearn.losses import OnLabels
from tfunlearn.models import Start, iter_layers
from tfunlearn.models.copying import kept_weights

__all__ = [
    "architecture",
    "data_marks",
    "item_key",
    "loss_config",
    "model_mark",
    "settings",
    "weighting",
]

_AT_ONCE = 256  # examples of a stream that are marked together


def settings(job: Job, *, seed: int, threads: int | None) -> dict[str, Any]:
    """Returns everything that a bank's models depend on, as JSON values.

    The arrays of the split are read once here, a stream is read once.

    Args:
        job: What the models have in common.
        seed: The bank's first seed.
        threads: CPU threads of an operation, or None.

    Raises:
        TypeError: If a config cannot be written as text, or a loss holds something unknowable.
        ValueError: If the loss is a function that no text tells from others.
    """
    recipe, backend = job.recipe, keras.backend.backend()
    config, loss = architecture(job.model), loss_config(recipe.loss)
    versions = {"tfunlearn": __version__, "keras": keras.__version__, "numpy": np.__version__}
    return {
        "model": model_mark(job.model, named=recipe.no_decay is not None),
        "training": {
            "loss": _without_names(loss),
            "optimizer": _without_names(recipe.optimizer),
            "no_decay": recipe.no_decay,
            "epochs": job.epochs,
            "batch_size": job.batch_size,
            "jit_compile": job.jit_compile,
            **job.weighting,
        },
        "initial": None if job.start is None else start_mark(job.start),
        "num_classes": job.split.num_classes,
        "data": data_marks(job.split, job.roles),
        "roles": list(job.roles),
        "dtype": job.dtype,
        "weights": job.keep_weights,
        "seed": seed,
        "threads": threads,
        "backend": backend,
        "versions": {**versions, backend: sys.modules[backend].__version__},
        "code": marks.code(),
        "own_code": {
            f"{part.module}.{part.name}": part.mark()
            for part in own_parts(config, loss, recipe.optimizer, loss=recipe.loss)
        },
    }


def item_key(key: str, item: Item) -> str:
    """Returns the key of one model of a bank.

    Args:
        key: The mark of the bank's settings.
        item: Which model.
    """
    return marks.text_mark({"bank": key, "seed": item.seed, "include_forget": item.include_forget})


def architecture(model: keras.Model) -> dict[str, Any]:
    """Returns a model's serialized form without its compile state.

    Raises:
        TypeError: If its config cannot be written as text.
    """
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    try:
        marks.text_mark(config)
    except (TypeError, ValueError) as error:
        raise TypeError(
            "model: a bank is kept under its model's config. Expected: a config of texts and "
            f"finite numbers. Received: {error}."
        ) from error
    return config


def model_mark(model: keras.Model, *, named: bool) -> str:
    """Returns a mark of a model's architecture and of the weights that retraining keeps.

    Names that Keras counted up (`dense_3`) do not count, unless asked for: the same lines run twice
    in a notebook give the same bank.

    Args:
        model: The model.
        named: Whether all names count, as they do where weight decay goes by them.
    """
    config = architecture(model)
    flags = [layer.trainable for layer in (model, *iter_layers(model))]
    kept = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in kept_weights(model)]
    return marks.text_mark(
        {
            "config": config if named else _nameless(config),
            "trainable": flags,
            "kept": marks.array_mark(kept),
        }
    )


def weighting(split: ForgetSplit, class_weight: Mapping[int, float] | None) -> dict[str, Any]:
    """Returns what a bank is kept under of the weights that examples have in the loss.

    Args:
        split: The data, with its sample weights alone.
        class_weight: Class weights, checked, or None.
    """
    sources = {role: split.source(role).weights for role in ("forget", "retain")}
    return {
        "class_weight": plain_class_weight(class_weight),
        "sample_weights": {role: marks.array_mark(own) for role, own in sources.items()}
        if split.is_weighted
        else None,
    }


def start_mark(start: Start) -> dict[str, Any]:
    """Returns what a bank is kept under of the weights that its models begin with.

    Args:
        start: The start; weights that are drawn do not count, but for which they are.
    """
    weights = [np.asarray(keras.ops.convert_to_numpy(own)) for own in start.base.weights]
    taken = [own for place, own in enumerate(weights) if place not in start.drawn]
    return {"weights": marks.array_mark(taken), "drawn": list(start.drawn)}


def data_marks(split: ForgetSplit, roles: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Returns marks of ids, labels and inputs of every role that is trained on or kept.

    Args:
        split: The data; each source of inputs is read once.
        roles: The roles that are kept.
    """
    inputs: dict[int, str] = {}
    found = {}
    for role in sorted({"forget", "retain", *roles}):
        source = split.source(role)
        if id(source) not in inputs:
            arrays = _streamed(source) if source.is_stream else source.x
            inputs[id(source)] = marks.array_mark(arrays)
        found[role] = {
            "ids": marks.array_mark(split.ids[role].astype("<i8")),
            "labels": marks.array_mark(split.labels(role).astype("<i8")),
            "inputs": inputs[id(source)],
        }
    return found


def loss_config(loss: Any) -> Any:
    """Returns a loss in Keras' serialized form.

    Args:
        loss: A loss, its name, or a function.

    Raises:
        TypeError: If a loss of one's own holds something that its config does not describe.
        ValueError: If it is a lambda, or a function made by another function.
    """
    loss = keras.losses.get(loss)
    if isinstance(loss, OnLabels):
        loss_config(loss.inner)  # raises
    if inspect.isfunction(loss) and (loss.__name__ == "<lambda>" or loss.__closure__):
        raise ValueError(
            "loss: a bank is kept under its loss, and no text tells functions made on the spot "
            "apart. Expected: a keras.losses.Loss, or a function of a module. "
            f"Received: {loss.__qualname__}."
        )
    config = keras.saving.serialize_keras_object(loss)
    if isinstance(loss, keras.Loss) and is_own(type(loss).__module__):
        scope = {type(loss).__name__: type(loss)}
        with keras.saving.custom_object_scope(scope):
            again = keras.saving.deserialize_keras_object(config)
        if repr(_state(vars(loss))) != repr(_state(vars(again))):
            raise TypeError(
                "loss: a bank is kept under its loss's config. Expected: a get_config that "
                f"describes all of it. Received: {type(loss).__name__}, which comes back as "
                f"{_state(vars(again))} where it was {_state(vars(loss))}."
            )
    return config


def _state(value: Any) -> Any:
    """Returns a value in a form whose text tells different ones apart."""
    if isinstance(value, Mapping):
        return {str(key): _state(part) for key, part in value.items() if key != "name"}
    if isinstance(value, list | tuple):
        return [_state(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return marks.array_mark(np.asarray(value))
    if hasattr(value, "get_config"):
        return _state(value.get_config())
    if inspect.isfunction(value) and not value.__closure__:
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(
        "loss: a bank is kept under its loss. Expected: one that holds numbers, texts, arrays and "
        f"objects of Keras. Received: one that holds {value!r}."
    )


def _streamed(source: Any) -> Iterator[np.ndarray]:
    """Yields the inputs of a stream in blocks whose sizes depend on nothing but their number."""
    known = None not in source.shape
    order = np.arange(len(source.y))
    for inputs, _ in source.dataset(order, _AT_ONCE if known else 1, False, 0):
        yield np.asarray(inputs)


def _without_names(value: Any) -> Any:
    """Returns a serialized optimizer or loss without names: Keras counts them up."""
    if isinstance(value, list | tuple):
        return [_without_names(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _without_names(part) for key, part in value.items() if key != "name"}
    return value


def _nameless(config: Any) -> Any:
    """Returns a serialized model in which counted-up names are replaced by their place."""
    names: dict[str, str] = {}
    for kind, name in _names(config):
        if re.fullmatch(rf"{re.escape(_snake(kind))}(_\d+)?", name):
            names.setdefault(name, f"{_snake(kind)} {len(names)}")
    return _renamed(config, names, where=None)


def _names(value: Any) -> Iterator[tuple[str, str]]:
    """Yields class and name of every layer in a serialized model."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _names(part)
    elif isinstance(value, Mapping):
        own = value.get("config")
        if "class_name" in value and isinstance(own, Mapping) and isinstance(own.get("name"), str):
            yield value["class_name"], own["name"]
        for part in value.values():
            yield from _names(part)


def _renamed(value: Any, names: Mapping[str, str], where: str | None) -> Any:
    """Returns a config in which the names of layers, where names of layers stand, are others."""
    if isinstance(value, Mapping):
        return {
            key: _renamed(part, names, key if isinstance(part, str | list | tuple) else None)
            for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [_renamed(part, names, where) for part in value]
    if where in {"name", "keras_history", "input_layers", "output_layers"}:
        return names.get(value, value) if isinstance(value, str) else value
    return value


def _snake(kind: str) -> str:
    """Returns the name that Keras makes of a class's."""
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()
