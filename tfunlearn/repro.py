"""Runs that can be repeated to the last byte: seeds, deterministic ops, and what a run rests on."""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import Any

import keras

from tfunlearn.audit.environment import environment
from tfunlearn.seeds import check_seed

__all__ = ["deterministic", "environment", "fingerprint"]

OTHER_BACKEND = (
    "ops of the {} backend: only TensorFlow's can be told to be deterministic as a whole"
)
XLA_ON_GPU = "XLA on a GPU (jit_compile=True): it may choose other kernels in each process"


def deterministic(seed: int) -> tuple[str, ...]:
    """Makes the same program with the same seed give the same bytes; call it first.

    Seeds Python, NumPy and Keras with its backend, and turns on TensorFlow's deterministic ops for
    the rest of the process. Methods take their own ``seed`` and do not draw from these; models that
    you build and data that you augment do. With TensorFlow on the CPU every method of this package
    gives the same bytes in each process.

    What no call can promise: the same bytes on another processor, number of cores, version or
    ``fingerprint()``; nor, with ``ParameterServerStrategy``; nor the order of Python's sets of
    text, which follows ``PYTHONHASHSEED`` and which this package does not depend on. On a GPU, an
    op without a deterministic form raises ``UnimplementedError``, and ``jit_compile="auto"`` means
    False: Keras does not compile by XLA beside deterministic ops.

    Args:
        seed: whole number in [0, 2**32 - 1].

    Returns:
        What could not be promised here, by name, and that is a warning too; empty with TensorFlow
        on the CPU.

    Raises:
        ValueError: if the seed is not such a number.

    Example:
        >>> from tfunlearn import repro
        >>> repro.deterministic(-1)
        Traceback (most recent call last):
            ...
        ValueError: seed: expected a whole number of at least 0. Received: -1.

    Reference: ``tf.config.experimental.enable_op_determinism`` and
    ``keras.utils.set_random_seed``.
    Deviation: none known.
    """
    check_seed(seed)
    if seed >= 2**32:
        raise ValueError(f"seed: NumPy takes one of at most 2**32 - 1. Received: {seed!r}.")
    keras.utils.set_random_seed(int(seed))
    missing = _turned_on()
    if missing:
        warnings.warn(f"not deterministic: {'; '.join(missing)}.", stacklevel=2)
    return missing


def fingerprint() -> str:
    """Returns a sha256 of ``environment()``, as hexadecimal text.

    Equal on two machines if versions, backend, platform, processor, number of CPUs and GPUs are,
    which the same bytes rest on. Load TensorFlow before, as any import of Keras on it does.

    Example:
        >>> from tfunlearn import repro
        >>> repro.fingerprint() == repro.fingerprint()
        True
    """
    return _mark(environment())


def _mark(found: dict[str, Any]) -> str:
    """Returns a sha256 of an environment, whatever the order of its parts."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _turned_on() -> tuple[str, ...]:
    """Turns on deterministic ops; returns what stays open."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        return (OTHER_BACKEND.format(backend),)
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    return (XLA_ON_GPU,) if tf.config.list_physical_devices("GPU") else ()
