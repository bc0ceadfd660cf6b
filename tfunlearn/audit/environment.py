"""What an audit ran on."""

from __future__ import annotations

import os
import pathlib
import platform
import sys
from typing import Any

import keras
import numpy as np

from tfunlearn._version import __version__

__all__ = ["environment"]


def environment() -> dict[str, Any]:
    """Returns versions of Python and the packages, the backend, platform, processor, CPU count.

    TensorFlow and scikit-learn are named only where they are loaded already.

    Example:
        >>> environment()["keras"] == keras.__version__
        True
    """
    found: dict[str, Any] = {
        "tfunlearn": __version__,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
    }
    for name, module in (("tensorflow", "tensorflow"), ("scikit-learn", "sklearn")):
        if module in sys.modules:
            found[name] = sys.modules[module].__version__
    machine = {"platform": platform.platform(), "processor": _processor()}
    return {**found, **machine, "cpu_count": os.cpu_count()}


def _processor() -> str:
    """Returns the processor's name where the system tells it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()
