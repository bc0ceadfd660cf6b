"""Handing a bank's job to other processes: written to a folder once, read by each of them."""

from __future__ import annotations

import contextlib
import json
import pathlib
from typing import Any

import keras

from tfunlearn.audit.bank_job import Job
from tfunlearn.audit.bank_key import architecture, loss_config, model_mark
from tfunlearn.audit.bank_own import Part, own_parts
from tfunlearn.data.spool import read_split, write_split
from tfunlearn.models import Start, copy, fingerprint, iter_layers
from tfunlearn.storage.atomic import naming
from tfunlearn.training import Recipe

__all__ = ["check_spoolable", "read", "write"]

_MODEL, _JOB, _START = "model.keras", "job.json", "start.weights.h5"


def check_spoolable(job: Job) -> None:
    """Raises unless other processes can be given a job.

    Args:
        job: What the models have in common.

    Raises:
        ValueError: If the split is a stream, or a part is defined where no other process finds it.
    """
    instead = "or threads=None, which trains in this process"
    if any(job.split.source(role).is_stream for role in _roles(job)):
        raise ValueError(
            "split: a stream cannot be handed to other processes. Expected: arrays, "
            f"{instead}. Received: a tf.data.Dataset."
        )
    for part in _parts(job):
        if not part.importable():
            raise ValueError(
                f"model: other processes cannot import {part.name!r} from {part.module!r}. "
                f"Expected: it at the top of a module in a file, {instead}. Received: a part "
                "defined in a notebook, in the script that runs, or inside a function."
            )


def write(job: Job, folder: pathlib.Path) -> None:
    """Writes a job to a folder: the model, each source of examples once, and the rest as text.

    Args:
        job: What the models have in common; `check_spoolable` has let it pass.
        folder: An empty folder.
    """
    with naming(folder / _MODEL):
        job.model.save(folder / _MODEL)
    recipe = job.recipe
    content = {
        "own": [list(part) for part in _parts(job)],
        "trainable": [layer.trainable for layer in (job.model, *iter_layers(job.model))],
        "model": model_mark(job.model, named=True),
        "loss": loss_config(recipe.loss),
        "optimizer": recipe.optimizer,
        "metrics": recipe.metrics,
        "no_decay": recipe.no_decay,
        "origin": recipe.origin,
        "split": write_split(job.split, folder, _roles(job)),
        "epochs": job.epochs,
        "batch_size": job.batch_size,
        "jit_compile": job.jit_compile,
        "roles": list(job.roles),
        "dtype": job.dtype,
        "keep_weights": job.keep_weights,
        "start": _written_start(job.start, folder),
    }
    (folder / _JOB).write_text(json.dumps(content), encoding="utf-8")


def read(folder: pathlib.Path, stack: contextlib.ExitStack) -> Job:
    """Returns the job that was written to a folder; its arrays are mapped from there.

    Args:
        folder: The folder.
        stack: Keeps what Keras is to know of one's own parts while the job is worked on.

    Raises:
        ImportError: If a part of one's own cannot be imported here.
        RuntimeError: If the model does not come back as it was.
    """
    content = json.loads((folder / _JOB).read_text(encoding="utf-8"))
    known: dict[str, Any] = {}
    for part in (Part(*row) for row in content["own"]):
        known[part.name] = known[part.registered] = part.load()
    stack.enter_context(keras.saving.custom_object_scope(known))
    model = keras.saving.load_model(folder / _MODEL, compile=False)
    layers = (model, *iter_layers(model))
    for layer, flag in zip(layers, content["trainable"], strict=False):
        if layer.trainable != flag:
            layer.trainable = flag
    if model_mark(model, named=True) != content["model"]:
        raise RuntimeError(
            "model: it does not come back from a file as it was, so that another process would "
            "train another one. Expected: equal configs, kept weights and trainable flags. "
            "Received: different ones; threads=None trains in this process."
        )
    loss = keras.losses.get(content["loss"])
    parts = (content[name] for name in ("optimizer", "metrics", "no_decay", "origin"))
    recipe = Recipe(loss, *parts)
    names = ("epochs", "batch_size", "jit_compile", "dtype", "keep_weights")
    options = {name: content[name] for name in names}
    return Job(
        model,
        read_split(folder, content["split"]),
        recipe,
        roles=tuple(content["roles"]),
        start=_read_start(content["start"], model, folder),
        **options,
    )


def _written_start(start: Start | None, folder: pathlib.Path) -> dict[str, Any] | None:
    """Writes the weights that models begin with; returns what tells them from others."""
    if start is None:
        return None
    with naming(folder / _START):
        start.base.save_weights(folder / _START)
    return {"drawn": start.drawn, "fresh": start.fresh, "sha256": fingerprint(start.base)}


def _read_start(
    content: dict[str, Any] | None, model: keras.Model, folder: pathlib.Path
) -> Start | None:
    """Returns the start that was written to a folder."""
    if content is None:
        return None
    base = copy(model)
    base.load_weights(folder / _START)
    if fingerprint(base) != content["sha256"]:
        raise RuntimeError(
            "initial: its weights do not come back from a file as they were. Expected: equal "
            "weights. Received: other ones; threads=None trains in this process."
        )
    return Start(copy(base), tuple(content["drawn"]), tuple(content["fresh"]))


def _roles(job: Job) -> list[str]:
    """Returns the roles that are trained on or kept, in the split's order."""
    return [role for role in job.split.roles if role in {"forget", "retain", *job.roles}]


def _parts(job: Job) -> list[Part]:
    """Returns the classes and functions of one's own that the job needs."""
    recipe = job.recipe
    configs = architecture(job.model), loss_config(recipe.loss), recipe.optimizer
    return own_parts(*configs, loss=recipe.loss)
