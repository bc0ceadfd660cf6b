"""Images made small enough to be kept in a report."""

from __future__ import annotations

import numpy as np

from tfunlearn.report import png_text

__all__ = ["thumbnail"]


def thumbnail(image: np.ndarray) -> str:
    """Returns an image as a report keeps it: the base64 text of a small PNG file.

    An image of more than 64 pixels on a side is reduced: each pixel is the mean of a block of
    k x k, k the smallest whole number that makes both sides 64 or less. Blocks at the right and the
    lower edge may be cut.

    Args:
        image: uint8, or float in [0, 1]; shape (H, W), (H, W, 1) or (H, W, 3). Not checked here.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.report import png_text
        >>> png_text.size(thumbnail(np.zeros((28, 28))))
        (28, 28)
        >>> png_text.size(thumbnail(np.zeros((300, 200, 3), "uint8")))
        (40, 60)
    """
    image = image[..., None] if image.ndim == 2 else image
    values = image.astype("float64") * (1 if image.dtype == np.uint8 else 255)
    height, width, channels = image.shape
    step = -(-max(height, width) // png_text.MOST)
    small = _block_means(_block_means(values, step, axis=0), step, axis=1)
    height, width, channels = small.shape
    return png_text.encode(np.rint(small).astype("uint8").tobytes(), width, height, channels)


def _block_means(values: np.ndarray, step: int, axis: int) -> np.ndarray:
    """Returns the means of blocks along one axis, the last one of what is left."""
    starts = np.arange(0, values.shape[axis], step)
    sizes = np.diff(starts, append=values.shape[axis])
    return np.add.reduceat(values, starts, axis) / np.expand_dims(sizes, (1 - axis, 2))
