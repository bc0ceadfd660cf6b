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

_SWITCHES = ("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS")  # they change the last bits


def environment() -> dict[str, Any]:
    """Returns versions of Python and the packages, the backend, platform, processor, CPU count.

    The backend, TensorFlow and scikit-learn are named only where they are loaded already; GPUs
    where TensorFlow is and sees any; switches of XLA and oneDNN where the environment sets them.

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
    modules = {"tensorflow": "tensorflow", found["backend"]: found["backend"]}
    for name, module in {**modules, "scikit-learn": "sklearn"}.items():
        if sys.modules.get(module) is not None:
            found[name] = sys.modules[module].__version__
    machine = {"platform": platform.platform(), "processor": _processor()}
    switches = {name: os.environ[name] for name in _SWITCHES if name in os.environ}
    return {**found, **machine, "cpu_count": os.cpu_count(), **_gpus(), **switches}


def _processor() -> str:
    """Returns the processor's name where the system tells it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def _gpus() -> dict[str, str]:
    """Returns the names of the GPUs that TensorFlow sees, if it is loaded and sees any."""
    if sys.modules.get("tensorflow") is None:
        return {}
    config = sys.modules["tensorflow"].config
    devices = config.list_physical_devices("GPU")
    details = [config.experimental.get_device_details(device) for device in devices]
    names = [found.get("device_name", "unknown") for found in details]
    return {"gpu": ", ".join(names)} if names else {}
