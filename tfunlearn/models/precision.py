"""What models compute in half precision, made wide enough for losses and sums."""

from typing import Any

import keras
import numpy as np


def widened(outputs: Any) -> Any:
    """Returns a tensor in float32 if it is in float16 or bfloat16, and any other as it is.

    A loss takes logarithms of its sums, which half precision rounds to two or three digits.

    Args:
        outputs: a tensor.

    Example:
        >>> import keras
        >>> from tfunlearn.models.precision import widened
        >>> wide = widened(keras.ops.ones((2,), "bfloat16"))
        >>> keras.backend.standardize_dtype(wide.dtype)
        'float32'
    """
    return keras.ops.cast(outputs, wide(outputs.dtype))


def wide(dtype: Any) -> str:
    """Returns ``"float32"`` for float16 and bfloat16, and the name of any other type.

    Args:
        dtype: a type as a backend or Keras gives it.
    """
    name = keras.backend.standardize_dtype(dtype)
    return "float32" if name in ("float16", "bfloat16") else name


def bytes_of(weight: Any) -> int:
    """Returns the size of a weight's gradient, which is at least float32.

    Args:
        weight: a Keras variable.
    """
    return int(np.prod(weight.shape)) * np.dtype(wide(weight.dtype)).itemsize
