"""What workers are started with, and the first steps of one, wherever it runs."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

__all__ = ["Work", "begin", "check_counts", "cores", "limit_threads"]


@dataclass(frozen=True)
class Work:
    """What all workers of a pool are started with.

    Attributes:
        start: "module:function". It is called as `function(folder, options, stack)` in the worker,
            where `stack` is a `contextlib.ExitStack` that ends with it, and returns the function
            that answers questions.
        folder: What workers read, written there once by the driver: local processes map it, on
            Ray its content is put into the object store once and written out by each actor.
        options: JSON values.
        threads: CPU threads of an operation; None for as many as the machine gives.
    """

    start: str
    folder: pathlib.Path
    options: dict[str, Any] = field(default_factory=dict)
    threads: int | None = None


def begin(
    start: str,
    folder: pathlib.Path,
    options: dict[str, Any],
    threads: int | None,
    stack: contextlib.ExitStack,
    at_once: int | None = None,
) -> Callable[..., Any]:
    """Returns the function that answers a worker's questions.

    Args:
        start: As in `Work`.
        folder: Where what it reads lies, on this machine.
        options: As in `Work`.
        threads: As in `Work`.
        stack: Is closed when the worker ends.
        at_once: As in `limit_threads`.
    """
    limit_threads(threads, at_once)
    module, _, name = start.partition(":")
    return getattr(importlib.import_module(module), name)(folder, options, stack)


def limit_threads(threads: int | None, at_once: int | None = None) -> None:
    """Fixes the number of CPU threads, before the first operation is run.

    Args:
        threads: Of an operation; None for as many as the machine gives. The last bits of a result
            may depend on it.
        at_once: Operations at a time, on which no bit depends; None for as many as the machine
            gives. Workers that share it are faster, by a twelfth, with their share.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        if at_once is not None:
            tf.config.threading.set_inter_op_parallelism_threads(at_once)
        for device in tf.config.list_physical_devices("GPU"):  # other processes want some of it
            tf.config.experimental.set_memory_growth(device, True)


def cores() -> int:
    """Returns how many processors this process may use.

    Example:
        >>> cores() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_counts(
    *, workers: int | None = None, retries: int | None = None, threads: int | None = None
) -> None:
    """Raises unless numbers are None, or whole and large enough.

    Args:
        workers: At least 1.
        retries: At least 0.
        threads: At least 1.

    Raises:
        ValueError: If one is not.

    Example:
        >>> check_counts(workers=None, retries=0)
        >>> check_counts(workers=0)
        Traceback (most recent call last):
        ...
        ValueError: workers: expected a whole number of at least 1. Received: 0.
    """
    for name, value, least in (("workers", workers, 1), ("retries", retries, 0)):
        if value is not None and (not _whole(value) or value < least):
            raise ValueError(
                f"{name}: expected a whole number of at least {least}. Received: {value!r}."
            )
    if threads is not None and (not _whole(threads) or threads < 1):
        raise ValueError(
            f"threads: expected a whole number of at least 1, or None. Received: {threads!r}."
        )


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
