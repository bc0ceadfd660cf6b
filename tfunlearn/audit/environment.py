"""What an audit ran on."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import keras
import numpy as np

from tfunlearn._version import __version__

__all__ = ["environment"]


def environment() -> dict[str, Any]:
    """Returns versions of Python and the packages, the backend, platform and CPU count.

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
    return {**found, "platform": platform.platform(), "cpu_count": os.cpu_count()}
