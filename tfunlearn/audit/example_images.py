"""Images of the forget examples that a report lists, from whoever runs the audit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.audit.thumbnail import thumbnail
from tfunlearn.report.evidence import Evidence

__all__ = ["Images", "illustrated", "lookup"]

Images = ArrayLike | Callable[[np.ndarray], ArrayLike]
"""Images of all forget examples in the order of their ids, or a function from ids to images."""

Lookup = Callable[[np.ndarray], np.ndarray]


def lookup(images: Images | None, ids: np.ndarray) -> Lookup | None:
    """Returns a function from some forget ids to their images, each of them checked.

    Args:
        images: Images as a person would look at them: uint8, or float in [0, 1], shape (N, H, W),
            (N, H, W, 1) or (N, H, W, 3), for all forget examples in the order of their ids. Or a
            function that gets ids, int64 of shape (N,), and returns the images of these; it is
            called with the first id at once, so that one that cannot be used is found out. None:
            there are none.
        ids: The forget examples' ids, sorted int64 of shape (F,).

    Raises:
        TypeError: If they have another dtype.
        ValueError: If they have another shape, are more or fewer, or are out of range.

    Example:
        >>> import numpy as np
        >>> training = np.zeros((100, 28, 28), "uint8")
        >>> look = lookup(lambda ids: training[ids], np.array([3, 50, 99]))
        >>> look(np.array([99, 3])).shape
        (2, 28, 28)
    """
    if images is None:
        return None
    if not callable(images):
        known = _checked(images, len(ids), "images")
        return lambda wanted: known[np.searchsorted(ids, wanted)]

    def look(wanted: np.ndarray) -> np.ndarray:
        return _checked(images(wanted.copy()), len(wanted), "images(ids)")

    look(ids[:1])
    return look


def illustrated(found: Mapping[str, Evidence], look: Lookup | None) -> dict[str, Evidence]:
    """Returns evidence with an image of each of the worst examples.

    Args:
        found: Name of a model to the evidence on it.
        look: What `lookup` returned; it is asked once, for the examples that are listed.

    Raises:
        TypeError: As `lookup`.
        ValueError: As `lookup`.
    """
    listed = sorted({example.id for own in found.values() for example in own.worst})
    if look is None or not listed:
        return dict(found)
    images = look(np.array(listed, "int64"))
    texts = {id: thumbnail(image) for id, image in zip(listed, images, strict=True)}
    return {
        name: dataclasses.replace(
            own, worst=tuple(dataclasses.replace(it, image=texts[it.id]) for it in own.worst)
        )
        for name, own in found.items()
    }


def _checked(images: ArrayLike, count: int, name: str) -> np.ndarray:
    """Returns images as an array, or raises with what is wrong with them."""
    try:
        images = np.asarray(images)
    except ValueError as error:  # NumPy's, for lists of several shapes
        raise ValueError(
            f"{name} must be one array. Expected images of one shape. Received: {error}"
        ) from error
    real = np.issubdtype(images.dtype, np.floating)
    if images.dtype != np.uint8 and not real:
        raise TypeError(
            f"{name} must be images as a person would look at them. Expected uint8, or float in "
            f"[0, 1]. Received {images.dtype}."
        )
    if not _has_image_shape(images):
        raise ValueError(
            f"{name} must be images, grey or RGB. Expected shape (N, H, W), (N, H, W, 1) or "
            f"(N, H, W, 3). Received {images.shape}."
        )
    if len(images) != count:
        raise ValueError(
            f"{name} must be one for each forget example asked for. Expected {count}. "
            f"Received {len(images)}."
        )
    if real and not (images.min() >= 0 and images.max() <= 1):  # NaN is neither
        raise ValueError(
            f"{name} must be images as a person would look at them, not a model's normalised "
            "inputs. Expected float in [0, 1], or uint8. "
            f"Received values from {images.min():.4g} to {images.max():.4g}."
        )
    return images


def _has_image_shape(images: np.ndarray) -> bool:
    return images.ndim in (3, 4) and 0 not in images.shape[1:] and (*images.shape, 1)[3] in (1, 3)
