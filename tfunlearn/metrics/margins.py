"""Margins: by how much the label's logit stands out from the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.metrics.arrays import labelled_logits, refuse_probabilities
from tfunlearn.metrics.softmax import log_sum_exp_others

__all__ = ["margins"]


def margins(labels: ArrayLike, logits: ArrayLike, clip: float | None = None) -> np.ndarray:
    """Returns every example's margin, z[y] - log sum over j != y of exp(z[j]).

    This is log(p / (1 - p)) of the label's probability p: membership attacks over many models
    take it because it is nearly normal over models, where p piles up at 0 and 1. It is computed
    from the logits alone, since probabilities have lost what it measures: 1 - p is rounded away.

    Args:
        labels: Class numbers, integers of shape (N,), in [0, C).
        logits: Scores before the softmax, shape (N, C), finite.
        clip: Largest absolute margin to return, above 0; None returns margins as they are.

    Returns:
        Margins in nats, float64 of shape (N,); above 0 where the label has more than half of the
        probability.

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label, a logit or `clip` breaks the rules above, or if the
            logits look like probabilities (every row non-negative with the sum 1).

    Example:
        >>> margins([0, 1], [[2.0, 0.0, 0.0], [5000.0, 0.0, 0.0]], clip=100.0).round(4)
        array([   1.3069, -100.    ])

    Reference:
        Carlini, Chien, Nasr, Song, Terzis, Tramer, 2022, "Membership Inference Attacks From First
        Principles", arXiv 2112.03570 (logit scaling); Georgiev, Rinberg, Park, Garg, Ilyas, Madry,
        Neel, 2024, "Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
        arXiv 2410.23232.
    Deviation:
        None known. Public code for KLOM clips at 100, which is `clip=100.0` here.
    """
    labels, logits = labelled_logits(labels, logits)
    refuse_probabilities(logits=logits)
    if clip is not None and not clip > 0:
        raise ValueError(
            f"clip must leave a range of margins. Expected a number above 0. Received {clip}."
        )
    found = logits[np.arange(len(labels)), labels] - log_sum_exp_others(labels, logits)
    return found if clip is None else np.clip(found, -clip, clip)
