"""Runs that can be repeated to the last byte: seeds, deterministic ops, and what a run rests on."""

from __future__ import annotations

import os
import warnings

import keras

from tfunlearn.audit.environment import environment
from tfunlearn.report.provenance import environment_sha256
from tfunlearn.seeds import check_seed

__all__ = ["deterministic", "environment", "fingerprint"]

OTHER_BACKEND = (
    "ops of the {} backend: only TensorFlow's and PyTorch's can be told to be deterministic as a "
    "whole"
)
CUBLAS = "cuBLAS: it may add up in any order unless CUBLAS_WORKSPACE_CONFIG is set, to :4096:8"
XLA_ON_GPU = "XLA on a GPU (jit_compile=True): it may choose other kernels in each process"


def deterministic(seed: int) -> tuple[str, ...]:
    """Makes the same program with the same seed give the same bytes; call it first.

    Seeds Python, NumPy and Keras with its backend, and turns on the deterministic ops of TensorFlow
    or PyTorch, whichever Keras runs on, for the rest of the process. Methods take their own
    ``seed`` and do not draw from these; models that you build and data that you augment do. With
    TensorFlow on the CPU every method of this package gives the same bytes in each process.

    What no call can promise: the same bytes on another processor, number of cores, version or
    ``fingerprint()``; nor, with ``ParameterServerStrategy``; nor the order of Python's sets of
    text, which follows ``PYTHONHASHSEED`` and which this package does not depend on. On a GPU, an
    op without a deterministic form raises ``UnimplementedError``, and ``jit_compile="auto"`` means
    False: Keras does not compile by XLA beside deterministic ops.

    Args:
        seed: whole number in [0, 2**32 - 1].

    Returns:
        What could not be promised here, by name, and that is a warning too; empty with TensorFlow
        or PyTorch on the CPU.

    Raises:
        ValueError: if the seed is not such a number.

    Example:
        >>> from tfunlearn import repro
        >>> repro.deterministic(-1)
        Traceback (most recent call last):
            ...
        ValueError: seed: expected a whole number of at least 0. Received: -1.

    Reference: ``tf.config.experimental.enable_op_determinism``,
    ``torch.use_deterministic_algorithms`` and ``keras.utils.set_random_seed``.
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

    Equal in two processes if all that the same bytes rest on is: versions, backend, platform,
    processor with its instructions, CPUs and threads, BLAS, GPUs; the settings of Keras and its
    backend, deterministic ops among them; and the variables that switch XLA, oneDNN, BLAS and
    cuDNN. A report's page holds that of what made it. Call it after ``deterministic`` and after
    whatever else is set, with the backend loaded, as any import of Keras does. What belongs to a
    call or a model, such as ``jit_compile``, layers' dtypes or a distribution, is no part of it.

    Example:
        >>> from tfunlearn import repro
        >>> repro.fingerprint() == repro.fingerprint()
        True
    """
    return environment_sha256(environment())


def _turned_on() -> tuple[str, ...]:
    """Turns on deterministic ops; returns what stays open."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        torch.use_deterministic_algorithms(True)
        open_end = torch.cuda.is_available() and "CUBLAS_WORKSPACE_CONFIG" not in os.environ
        return (CUBLAS,) if open_end else ()
    if backend != "tensorflow":
        return (OTHER_BACKEND.format(backend),)
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    return (XLA_ON_GPU,) if tf.config.list_physical_devices("GPU") else ()
