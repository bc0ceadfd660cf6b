"""One model on the forget examples beside the references: margins, classes, single examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn import metrics
from tfunlearn.audit.figures import Reading
from tfunlearn.audit.held import Relative
from tfunlearn.audit.references import References
from tfunlearn.report.evidence import ClassSlice, MarginHistograms, WorstExample

__all__ = ["histograms", "slices", "worst"]

_BINS = 40


def histograms(
    references: References, margins: np.ndarray, original: ArrayLike | None
) -> MarginHistograms:
    """Returns how sure models are of the forget examples' labels.

    The bins span the references' and the original's margins from the 0.5th to the 99.5th
    percentile and a quarter more on either side, so that every model of a report has the same.

    Args:
        references: The retrained models.
        margins: The model's logit margins on the forget examples, float64 of shape (F,).
        original: The original's logits on them, shape (F, C), or None.
    """
    known = references.margins["forget"]
    own = None if original is None else metrics.margins(references.labels["forget"], original)
    spans = [np.percentile(table, [0.5, 99.5]) for table in (known, own) if table is not None]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    margin = (high - low) / 4 or 1.0
    edges = np.linspace(low - margin, high + margin, _BINS + 1)
    shares = np.array([_shares(row, edges) for row in known])
    return MarginHistograms(
        edges=tuple(edges.tolist()),
        candidate=tuple(_shares(margins, edges).tolist()),
        original=None if own is None else tuple(_shares(own, edges).tolist()),
        mean=tuple(shares.mean(axis=0).tolist()),
        low=tuple(shares.min(axis=0).tolist()),
        high=tuple(shares.max(axis=0).tolist()),
    )


def slices(references: References, right: np.ndarray) -> tuple[ClassSlice, ...]:
    """Returns the forget accuracy by class, of the model and of the references.

    Args:
        references: The retrained models.
        right: Whether the model answers each forget example right, bool of shape (F,).
    """
    found = []
    for label in np.unique(references.labels["forget"]):
        own = references.labels["forget"] == label
        others = references.right[:, own].mean(axis=1)
        size, accuracy = int(own.sum()), float(right[own].mean())
        found.append(ClassSlice(int(label), size, accuracy, tuple(others.tolist())))
    return tuple(found)


def worst(
    references: References,
    reading: Reading,
    relative: Relative | None,
    ids: ArrayLike,
    count: int,
) -> tuple[WorstExample, ...]:
    """Returns the forget examples that lie furthest from the references, the furthest first.

    Args:
        references: The retrained models.
        reading: The model's.
        relative: How it lies to the references; None lists nothing.
        ids: The forget examples' ids, integers of shape (F,).
        count: How many to list.

    Raises:
        ValueError: If there is not one id per forget example.
    """
    ids, labels = np.asarray(ids), references.labels["forget"]
    if ids.shape != labels.shape:
        raise ValueError(
            "ids must name the forget examples. "
            f"Expected shape {labels.shape}. Received {ids.shape}."
        )
    if relative is None:
        return ()
    far, centre = relative.deviations["forget"], references.centre("forget")
    margins = reading.margins["forget"]
    return tuple(
        WorstExample(
            id=int(ids[place]),
            label=int(labels[place]),
            margin=float(margins[place]),
            reference_mean=float(centre[place]),
            deviation=float(far[place]),
        )
        for place in np.argsort(-np.abs(far), kind="stable")[:count]
    )


def _shares(margins: np.ndarray, edges: np.ndarray) -> np.ndarray:
    inner = np.digitize(margins, edges[1:-1])
    return np.bincount(inner, minlength=len(edges) - 1) / len(margins)
