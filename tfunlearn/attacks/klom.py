"""KLOM: how far unlearned margins lie from retrained ones, example by example."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.margin_banks import margin_bank, read_only, same_examples

__all__ = ["Klom", "klom"]

BINS = 20
CLIP = 100.0
FLOOR = 1e-5


@dataclass(frozen=True, eq=False)
class Klom:
    """Divergences and what they rest on; made by `klom`.

    Attributes:
        values: KL(unlearned || retrained) of each example in nats, float64 of shape (examples,);
            the array cannot be written to.
        p50: Their median.
        p95: Their 95th percentile, the figure to report.
        unlearned_models: Number of unlearned models.
        retrained_models: Number of retrained models.
        examples: Number of examples.
        bins: Bins of each histogram.
        clip: Largest absolute margin, in nats.
        floor: Least probability of a retrained bin that the unlearned models reach.
    """

    values: np.ndarray
    p50: float
    p95: float
    unlearned_models: int
    retrained_models: int
    examples: int
    bins: int = BINS
    clip: float = CLIP
    floor: float = FLOOR


def klom(unlearned: ArrayLike, retrained: ArrayLike) -> Klom:
    """Returns each example's KL divergence between histograms of margins, and its percentiles.

    Margins are clipped at 100; each example has 20 equal bins over the joint range of its margins.
    The largest value is about log(1 / 1e-5) = 11.5, for margins that share no bin. Zero is not
    the target: two halves of one finite bank differ as well, the more the fewer models there are.
    Set the number beside that of held-out retrained models, with as many models. Report retain,
    forget and test examples apart.

    The direction matters: KL(retrained || unlearned) is another number. Public code of the
    benchmark exists that passes its two banks in the wrong order.

    Args:
        unlearned: Margins in nats of unlearned models, shape (models, examples), at least 2
            models.
        retrained: Margins of models retrained without the forget set, shape (models, examples),
            at least 2 models; as many as there are unlearned ones, by the paper.

    Returns:
        The divergences, their median and 95th percentile, and the numbers of models and examples.

    Raises:
        ValueError: If a shape or a margin breaks the rules above.

    Example:
        >>> found = klom([[0.0], [0.0], [0.0], [20.0]], [[0.0], [0.0], [20.0], [20.0]])
        >>> found.values.round(4), found.unlearned_models  # .75 log(.75 / .5) + .25 log(.25 / .5)
        (array([0.1308]), 4)

    Reference:
        Georgiev, Rinberg, Park, Garg, Ilyas, Madry, Neel, 2024, "Attribute-to-Delete: Machine
        Unlearning via Datamodel Matching", arXiv 2410.23232 (KL divergence of margins).
    Deviation:
        The largest margin of an example belongs to the last bin; public code (EasyDUB,
        arXiv 2602.16400, and data-unlearning-bench) drops it and counts the rest. Retrained bins
        are used as the floor leaves them, as in EasyDUB; data-unlearning-bench divides them by
        their sum again.
    """
    first = margin_bank("unlearned", unlearned, least=2)
    second = margin_bank("retrained", retrained, least=2)
    same_examples("unlearned", first, "retrained", second)
    first, second = np.clip(first, -CLIP, CLIP), np.clip(second, -CLIP, CLIP)
    edges = _edges(first, second)
    values = _divergence(_shares(first, edges), _shares(second, edges))
    p50, p95 = np.percentile(values, [50, 95])
    return Klom(
        values=read_only(values),
        p50=float(p50),
        p95=float(p95),
        unlearned_models=len(first),
        retrained_models=len(second),
        examples=first.shape[1],
    )


def _edges(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the edges of each example's bins, (bins + 1, examples)."""
    low = np.minimum(first.min(axis=0), second.min(axis=0))
    high = np.maximum(first.max(axis=0), second.max(axis=0))
    return np.linspace(low, np.where(high > low, high, low + 1.0), BINS + 1)


def _shares(bank: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Returns the share of the models in each bin, (bins, examples)."""
    above = np.zeros((BINS + 1, bank.shape[1]))
    above[0] = len(bank)
    for row in range(1, BINS):
        above[row] = np.count_nonzero(bank >= edges[row], axis=0)
    return -np.diff(above, axis=0) / len(bank)


def _divergence(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns KL(first || second) over the bins that the first reaches."""
    from scipy.special import rel_entr

    return rel_entr(first, np.maximum(second, FLOOR)).sum(axis=0)
