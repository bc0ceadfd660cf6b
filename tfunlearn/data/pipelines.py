"""TensorFlow's data pipelines, which are there where TensorFlow is, whatever Keras runs on."""

import importlib
import os


def need_tensorflow(what: str, instead: str) -> None:
    """Raises unless TensorFlow can be imported.

    Args:
        what: what is asked for, as the subject of "needs TensorFlow".
        instead: what does the same without TensorFlow.

    Raises:
        ImportError: if it cannot.
    """
    try:
        importlib.import_module("tensorflow")
    except ImportError as error:
        backend = os.environ.get("KERAS_BACKEND", "unset")
        raise ImportError(
            f"{what} needs TensorFlow, on any backend of Keras. Expected: TensorFlow (pip install "
            f"tensorflow), or {instead}. Received: {error}, with KERAS_BACKEND {backend}.",
            name="tensorflow",
        ) from error
