"""Outputs of models that compute in half precision, made wide enough for losses."""

from typing import Any

import keras


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
    half = keras.backend.standardize_dtype(outputs.dtype) in ("float16", "bfloat16")
    return keras.ops.cast(outputs, "float32") if half else outputs
