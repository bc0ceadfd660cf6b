"""How alike the features are that two models see in the same examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["linear_cka"]


def linear_cka(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Returns the linear centred kernel alignment of two models' features.

    It is ||B'A||^2 / (||A'A|| ||B'B||) in Frobenius norms, for A and B with centred columns. It
    does not change under rotation, shift and scaling of either side, so features of different
    layers, widths and seeds can be compared.

    Args:
        features_a: One layer's outputs, shape (N, ...) with N >= 2, finite; all axes after the
            first are flattened.
        features_b: The other layer's outputs for the same N examples in the same order, shape
            (N, ...); its number of features is free.

    Returns:
        A number in [0, 1]; 1 means equal up to rotation, shift and scale. It is biased upwards
        where the features are not far fewer than the examples: compare at one N only.

    Raises:
        ValueError: If a shape or a number breaks the rules above, or if a side is the same for
            all examples, for which the alignment is not defined.

    Example:
        >>> features = [[0.0, 1.0], [2.0, 0.0], [1.0, 5.0]]
        >>> round(linear_cka(features, [[7.0, 10.0], [11.0, 8.0], [9.0, 18.0]]), 6)
        1.0

    Reference:
        Kornblith, Norouzi, Lee, Hinton, 2019, "Similarity of Neural Network Representations
        Revisited", arXiv 1905.00414, section 3.
    Deviation:
        None known. The sums run over features or over examples, whichever is less work; both
        give the same number.
    """
    a, b = _centred("features_a", features_a), _centred("features_b", features_b)
    if len(a) != len(b):
        raise ValueError(
            "features_a and features_b must hold the same examples. "
            f"Expected equal lengths. Received {len(a)} and {len(b)}."
        )
    (n, p), q = a.shape, b.shape[1]
    if n * (p + q) < p * p + p * q + q * q:
        gram_a, gram_b = a @ a.T, b @ b.T
        shared = np.vdot(gram_a, gram_b)
    else:
        gram_a, gram_b = a.T @ a, b.T @ b
        shared = np.linalg.norm(b.T @ a) ** 2
    alignment = shared / (np.linalg.norm(gram_a) * np.linalg.norm(gram_b))
    return float(np.clip(alignment, 0.0, 1.0))


def _centred(name: str, features: ArrayLike) -> np.ndarray:
    """Checks features and returns them as float64 of shape (N, P), columns centred, scaled to 1."""
    features = np.asarray(features, dtype=np.float64)
    if features.ndim < 2 or len(features) < 2 or features.size == 0:
        raise ValueError(
            f"{name} must hold a row of features for each of two examples or more. "
            f"Expected shape (N, ...) with N >= 2. Received {features.shape}."
        )
    features = features.reshape(len(features), -1)
    if not np.isfinite(features).all():
        raise ValueError(
            f"{name} must be finite. Expected no NaN and no infinity. "
            f"Received {int((~np.isfinite(features)).sum())} of them."
        )
    if (features == features[0]).all():
        raise ValueError(
            f"{name} must differ between examples, or no alignment is defined. "
            "Expected at least one feature that varies. Received the same row throughout."
        )
    centred = features - features.mean(axis=0)
    return centred / abs(centred).max()
