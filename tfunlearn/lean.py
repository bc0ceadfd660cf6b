"""Importing Keras without the packages that it imports only because they are installed."""

import os
import sys

__all__ = ["UNUSED", "import_keras"]

UNUSED = ("jax", "matplotlib", "pandas", "sklearn")  # it does without them where they are absent


def import_keras() -> None:
    """Imports Keras in two thirds of the time, where nothing has imported those packages before.

    For the start of a worker. Later imports of them work as ever; what Keras wraps of them is
    missing there: its classifiers for scikit-learn, its galleries of images. JAX, which TensorFlow
    imports, is left in where ``KERAS_BACKEND`` says that Keras computes with it.

    Example:
        >>> import_keras()
        >>> "keras" in sys.modules
        True
    """
    backend = os.environ.get("KERAS_BACKEND", "")
    hidden = [name for name in UNUSED if name not in sys.modules and name != backend]
    sys.modules.update(dict.fromkeys(hidden))  # None there is an ImportError
    try:
        import keras  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
