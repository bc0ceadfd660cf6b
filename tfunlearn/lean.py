"""Importing Keras without the packages that it imports only because they are installed."""

import sys

__all__ = ["UNUSED", "import_keras"]

UNUSED = ("matplotlib", "pandas", "sklearn")  # Keras does without them where they are absent


def import_keras() -> None:
    """Imports Keras in two thirds of the time, where nothing has imported those packages before.

    For the start of a worker. Its own imports of them work as ever; what Keras wraps of them is
    missing there: its classifiers for scikit-learn, its galleries of images.

    Example:
        >>> import_keras()
        >>> "keras" in sys.modules
        True
    """
    hidden = [name for name in UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # None there is an ImportError
    try:
        import keras  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
