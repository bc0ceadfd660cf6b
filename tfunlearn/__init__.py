"""Machine unlearning for Keras classifiers, with an audit against retrained models.

The package reads from left to right::

    data  ->  models  ->  methods  ->  audit  ->  report

Sub-packages are imported at first use, so that ``import tfunlearn`` itself costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tfunlearn._version import __version__

if TYPE_CHECKING:
    from tfunlearn import (
        attacks,
        audit,
        callbacks,
        data,
        gradients,
        losses,
        methods,
        metrics,
        models,
        probes,
        report,
        repro,
        testing,
    )
    from tfunlearn.data import ForgetSplit
    from tfunlearn.methods import unlearn

_NAMESPACES = (
    "attacks",
    "audit",
    "callbacks",
    "data",
    "gradients",
    "losses",
    "methods",
    "metrics",
    "models",
    "probes",
    "report",
    "repro",
    "testing",
)
_NAMES = {"ForgetSplit": "tfunlearn.data", "unlearn": "tfunlearn.methods"}

__all__ = [
    "ForgetSplit",
    "__version__",
    "attacks",
    "audit",
    "callbacks",
    "data",
    "gradients",
    "losses",
    "methods",
    "metrics",
    "models",
    "probes",
    "report",
    "repro",
    "testing",
    "unlearn",
]


def __getattr__(name: str) -> Any:
    """Imports a sub-package or a top-level name at its first use."""
    if name in _NAMESPACES:
        return importlib.import_module(f"tfunlearn.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'tfunlearn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
