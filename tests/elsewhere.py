"""Functions of the tests in another process: on another backend, where TensorFlow cannot be
imported, or on TensorFlow, where a process that dies is then an error and not the end of the tests.

``python -m tests.elsewhere BACKEND`` answers ``["module:function", argument, ...]``, one question
after the other, so that a backend starts once, and what it compiled for one test serves the next.
"""

import importlib
import importlib.util
import os
import sys
import warnings
from importlib.machinery import PathFinder

import pytest

HIDDEN = ("tensorflow", "tensorboard")
BACKENDS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("jax", "torch")]


def on(backend, function, *arguments):
    """Returns what a function gives on a backend, or skips where that is not installed.

    The function stands at the top of a module; it takes and returns what JSON can hold. Warnings
    are errors there too.
    """
    from tfunlearn.testing.workers import ask

    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed (pip install {backend})")
    address = f"{function.__module__}:{function.__qualname__}"
    return ask(("-m", "tests.elsewhere", backend), [address, *arguments])


class Without(PathFinder):
    """Finds what is installed but for TensorFlow, which looks as if it were not."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        """Returns where a module is, or None."""
        hidden = fullname.split(".")[0] in HIDDEN
        return None if hidden else super().find_spec(fullname, path, target)


def _answer_on(backend):
    """Answers questions on a backend; on another one, TensorFlow is as if it were not installed."""
    os.environ["KERAS_BACKEND"] = backend
    if backend != "tensorflow":
        finders = [Without if finder is PathFinder else finder for finder in sys.meta_path]
        sys.meta_path[:] = finders
    from tfunlearn.testing.workers import answer

    answer(_call)


def _call(question):
    """Returns what a function of some module gives."""
    address, *arguments = question
    module, name = address.split(":")
    function = getattr(importlib.import_module(module), name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        found = function(*arguments)
    if "tensorflow" in sys.modules and os.environ["KERAS_BACKEND"] != "tensorflow":
        raise RuntimeError("TensorFlow was imported, or was made to look like it")
    return found


if __name__ == "__main__":
    _answer_on(sys.argv[1])
