"""Checks that the ways to run a method agree: streams and arrays, XLA and plain, replicas."""

import json
import unittest
from typing import Any

import keras

from tfunlearn import methods
from tfunlearn.methods import Method
from tfunlearn.testing.tasks import clean_run, original, require, run, tiny_split, weight_gap
from tfunlearn.testing.workers import ask

STREAM_TOLERANCE, JIT_TOLERANCE, REPLICA_TOLERANCE = 1e-6, 1e-4, 1e-5


def check_arrays_and_streams_agree(method: Method, **options: Any) -> None:
    """Checks that the same examples as arrays and as a ``tf.data`` stream give the same model.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if the weights differ by more than 1e-6.
        unittest.SkipTest: on another backend than TensorFlow.
    """
    _need_tensorflow("check_arrays_and_streams_agree")
    arrays = clean_run(method, **options)
    streams = run(method, split=tiny_split(method.scope, stream=True), **options)
    gap = weight_gap(arrays, streams)
    rule = "arrays and a tf.data stream agree"
    require(gap <= STREAM_TOLERANCE, method, rule, f"gap <= {STREAM_TOLERANCE}", gap)


def check_jit_agrees(method: Method, **options: Any) -> None:
    """Checks that ``jit_compile=True`` and ``False`` give the same model, without dropout.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if the weights differ by more than 1e-4.
        unittest.SkipTest: on the torch backend, which has no XLA.
    """
    if keras.backend.backend() == "torch":
        raise unittest.SkipTest("check_jit_agrees: needs XLA, which the torch backend has not")
    plain, compiled = (
        run(method, original("plain"), **{**options, "jit_compile": jit}) for jit in (False, True)
    )
    gap = weight_gap(plain, compiled)
    rule = "jit_compile=True and False agree"
    require(gap <= JIT_TOLERANCE, method, rule, f"gap <= {JIT_TOLERANCE}", gap)


def check_replicas_agree(method: Method, **options: Any) -> None:
    """Checks that two replicas under ``MirroredStrategy`` give the model that one gives.

    TensorFlow fixes its devices when it starts, so this runs in a process of its own with two
    logical CPUs, which imports the method by name.

    Args:
        method: the method.
        **options: arguments of the method, such as JSON can hold.

    Raises:
        AssertionError: if the weights differ by more than 1e-5.
        unittest.SkipTest: on another backend than TensorFlow, or if the method or its options
            cannot be handed to another process.
    """
    _need_tensorflow("check_replicas_agree")
    program = ("-m", "tfunlearn.testing.replicas")
    rule = "one replica and two agree"
    try:
        gap = ask(program, [_address(method), _plain(options), method.scope])
    except RuntimeError as error:
        raise AssertionError(f"{method.name}: {rule}. Received: {error}") from error
    require(gap <= REPLICA_TOLERANCE, method, rule, f"gap <= {REPLICA_TOLERANCE}", gap)


def _need_tensorflow(check: str) -> None:
    """Skips a check that needs tf.data or tf.distribute."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise unittest.SkipTest(f"{check}: needs TensorFlow; KERAS_BACKEND is {backend}")


def _address(method: Method) -> str:
    """Returns how another process finds the method: its name, or ``module:function``."""
    function = method.function
    if method.name in methods.names() and methods.get(method.name) is function:
        return method.name
    module, name = function.__module__, function.__qualname__
    if module == "__main__" or "<" in name:
        raise unittest.SkipTest(
            "check_replicas_agree: another process must be able to import the method. Expected: "
            f"a function at the top of a module. Received: {module}:{name}"
        )
    return f"{module}:{name}"


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Returns options if JSON can hold them, or skips."""
    try:
        return json.loads(json.dumps(options))
    except TypeError as error:
        raise unittest.SkipTest(
            f"check_replicas_agree: options cannot be handed to another process: {error}"
        ) from error
