"""A mark of a model's weights: equal for equal bytes, different for different ones."""

import hashlib

import keras
import numpy as np


def fingerprint(model: keras.Model) -> str:
    """Returns a sha256 of all weights of a model, in their order, as hexadecimal text.

    Types, shapes and bytes count; names, architecture and the optimizer's variables do not.

    Args:
        model: a built model.

    Raises:
        ValueError: if the model is not built.

    Example:
        >>> from tfunlearn import models
        >>> net = models.mnist_dense(4, seed=0)
        >>> models.fingerprint(net) == models.fingerprint(models.copy(net))
        True
        >>> models.fingerprint(net) == models.fingerprint(models.mnist_dense(4, seed=1))
        False
    """
    if not model.built:
        raise ValueError(
            f"model: an unbuilt model has no weights yet. Expected: a built one. Received: "
            f"{model.name!r}, not built."
        )
    digest = hashlib.sha256()
    for weight in model.get_weights():
        array = np.ascontiguousarray(weight)
        little = array.dtype.newbyteorder("<")
        digest.update(f"{little.str}{array.shape}".encode() + array.astype(little).tobytes())
    return digest.hexdigest()
