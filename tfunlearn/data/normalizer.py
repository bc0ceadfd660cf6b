"""Per-channel normalisation of images: in a pipeline, on arrays, or as a layer."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

_CONSTANTS = {
    "digits": ((0.5,), (0.5,)),
    "mnist": ((0.5,), (0.5,)),
    "fashion_mnist": ((0.5,), (0.5,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}


@dataclass(frozen=True)
class Normalizer:
    """Maps pixels to ``(pixel * scale - mean) / stddev``, per channel (the last axis).

    Args:
        mean: mean of each channel after scaling, or one number for all channels.
        stddev: standard deviation of each channel after scaling, or one number; positive.
        scale: factor that brings pixels to the range of ``mean``; 1/255 for 8-bit pixels.

    Raises:
        ValueError: if a deviation or the scale is not positive, or the lengths differ.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.data import Normalizer
        >>> normalize = Normalizer.named("mnist")
        >>> normalize(np.array([[0, 255]], "uint8"))
        array([[-1.,  1.]], dtype=float32)
        >>> normalize.invert(np.array([[-1.0, 1.0]]), dtype="uint8")
        array([[  0, 255]], dtype=uint8)
    """

    mean: tuple[float, ...] | float
    stddev: tuple[float, ...] | float
    scale: float = 1 / 255

    def __post_init__(self) -> None:
        for name in ("mean", "stddev"):
            values = np.atleast_1d(np.asarray(getattr(self, name), "float64"))
            object.__setattr__(self, name, tuple(float(value) for value in values))
        if len(self.mean) != len(self.stddev):
            raise ValueError(
                "stddev: it must have as many channels as mean. "
                f"Expected: {len(self.mean)}. Received: {len(self.stddev)}."
            )
        if min(self.stddev) <= 0 or self.scale <= 0:
            raise ValueError(
                "stddev, scale: both must be positive. "
                f"Received: stddev={self.stddev}, scale={self.scale}."
            )

    @classmethod
    def named(cls, name: str) -> "Normalizer":
        """Returns the constants in use for a data set.

        Args:
            name: ``"mnist"``, ``"fashion_mnist"``, ``"digits"`` or ``"cifar10"``.

        Raises:
            ValueError: if the name is another.
        """
        if name not in _CONSTANTS:
            raise ValueError(f"name: expected one of {sorted(_CONSTANTS)}. Received: {name!r}.")
        return cls(*_CONSTANTS[name])

    def __call__(self, image: Any, label: Any = None) -> Any:
        """Normalises an image or a batch; usable as ``dataset.map(normalizer)``.

        Args:
            image: array or tensor of pixels, channels last. One mean for all channels, or as many
                as there are channels.
            label: passed through untouched if given.

        Returns:
            float32 of the same shape, or ``(image, label)`` if a label was given.
        """
        self._check_channels(image)
        factor, offset = self._affine()
        result = _as_float(image) * factor + offset
        return result if label is None else (result, label)

    def invert(self, image: Any, dtype: str = "float32") -> Any:
        """Maps normalised values back to pixels.

        Args:
            image: array or tensor of normalised values.
            dtype: ``"float32"`` for exact values, ``"uint8"`` for rounded and clipped pixels.

        Raises:
            ValueError: if ``dtype`` is another, or the channels do not match.
        """
        if dtype not in ("float32", "uint8"):
            raise ValueError(f"dtype: expected 'float32' or 'uint8'. Received: {dtype!r}.")
        self._check_channels(image)
        factor, offset = self._affine()
        pixels = (_as_float(image) - offset) / factor
        if dtype == "float32":
            return pixels
        if isinstance(pixels, np.ndarray):
            return np.clip(np.rint(pixels), 0, 255).astype("uint8")
        return keras.ops.cast(keras.ops.clip(keras.ops.round(pixels), 0, 255), "uint8")

    def layer(self, name: str | None = None) -> keras.layers.Layer:
        """Returns the same map as a stock Keras layer, to put in front of a model.

        The layer is a ``keras.layers.Rescaling``, so a saved model needs nothing of this package.
        """
        factor, offset = (values.tolist() for values in self._affine())
        return keras.layers.Rescaling(
            scale=factor if len(factor) > 1 else factor[0],
            offset=offset if len(offset) > 1 else offset[0],
            name=name,
        )

    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns float32 (factor, offset) of the map pixel * factor + offset."""
        mean, stddev = np.asarray(self.mean, "float64"), np.asarray(self.stddev, "float64")
        return (self.scale / stddev).astype("float32"), (-mean / stddev).astype("float32")

    def _check_channels(self, image: Any) -> None:
        """Raises if the last axis is not one mean per channel."""
        channels = len(self.mean)
        if channels > 1 and (len(image.shape) == 0 or image.shape[-1] != channels):
            raise ValueError(
                f"image: its last axis must hold the {channels} channels of mean. "
                f"Received an image of shape {tuple(image.shape)}."
            )


def _as_float(image: Any) -> Any:
    """Casts an array or a backend or TensorFlow tensor to float32."""
    if isinstance(image, np.ndarray):
        return image.astype("float32")
    if type(image).__module__.startswith("tensorflow"):
        import tensorflow as tf

        return tf.cast(image, tf.float32)
    return keras.ops.cast(image, "float32")
