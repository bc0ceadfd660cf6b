"""The same evidence on parts of the examples: by class, and by how hard they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.checks import (
    check_level,
    check_repeats,
    check_whole,
    class_numbers,
    numbers,
)
from tfunlearn.attacks.evidence import (
    MembershipEvidence,
    MembershipScores,
    check_scores,
    membership_evidence,
)
from tfunlearn.seeds import check_seed

__all__ = ["MINIMUM", "Slice", "slices_by_class", "slices_by_loss"]

MINIMUM = 20
DECILES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


@dataclass(frozen=True, eq=False)
class Slice:
    """The evidence on one part of the examples, or why there is none.

    Attributes:
        name: "class 3", or "loss 0-10 %".
        members: Members in it.
        nonmembers: Non-members in it.
        evidence: What the attack shows there; None where a side has too few examples.
        absent: The reason, where there is no evidence; else empty.
    """

    name: str
    members: int
    nonmembers: int
    evidence: MembershipEvidence | None
    absent: str


def slices_by_class(
    scores: MembershipScores,
    member_labels: ArrayLike,
    nonmember_labels: ArrayLike,
    *,
    minimum: int = MINIMUM,
    level: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> tuple[Slice, ...]:
    """Returns the evidence for each class, in the order of the class numbers.

    Each interval has its level by itself: of twenty slices at 0.95, one misses the truth.

    Args:
        scores: From an attack.
        member_labels: Class numbers of the members, integers of shape (M,).
        nonmember_labels: Class numbers of the non-members, shape (N,).
        minimum: The fewest examples a side, at least 2, that make evidence.
        level: Of each interval, as of `membership_evidence`.
        repeats: Resamples in each slice, likewise.
        seed: Likewise.

    Returns:
        A slice for every class that occurs on either side.

    Raises:
        TypeError: If labels are not integers or something else than scores is given.
        ValueError: If a shape or an option breaks the rules above.

    Example:
        >>> scores = MembershipScores("mine", range(40), range(40))
        >>> found = slices_by_class(scores, [0] * 30 + [1] * 10, [0] * 40)
        >>> [(part.name, part.members, part.absent) for part in found]
        [('class 0', 30, ''), ('class 1', 10, '10 members and 0 non-members; it takes 20 of each')]

    Reference:
        TensorFlow Privacy, `membership_inference_attack` (its slicing by class).
    Deviation:
        Small slices are listed instead of measured.
    """
    check_scores(scores)
    own = class_numbers("member_labels", member_labels, len(scores.members))
    others = class_numbers("nonmember_labels", nonmember_labels, len(scores.nonmembers))
    masks = (
        (f"class {number}", own == number, others == number) for number in np.union1d(own, others)
    )
    return _slices(scores, masks, minimum, level=level, repeats=repeats, seed=seed)


def slices_by_loss(
    scores: MembershipScores,
    member_losses: ArrayLike,
    nonmember_losses: ArrayLike,
    *,
    percentiles: Sequence[float] = DECILES,
    minimum: int = MINIMUM,
    level: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
) -> tuple[Slice, ...]:
    """Returns the evidence between percentiles of a loss, the easiest examples first.

    Which loss says what the slices are: that of a retrained model sorts by how hard an example is
    to one who never saw it; that of the audited model itself sorts by what the attack looks at,
    and leaves a loss attack little to find within a slice.

    Args:
        scores: From an attack.
        member_losses: A loss per member, shape (M,), finite.
        nonmember_losses: A loss per non-member, shape (N,), finite.
        percentiles: Rising edges from 0 to 100, at least 2; percentiles of the losses of both
            sides together.
        minimum: The fewest examples a side, at least 2, that make evidence.
        level: Of each interval, as of `membership_evidence`.
        repeats: Resamples in each slice, likewise.
        seed: Likewise.

    Returns:
        A slice for every pair of neighbouring edges. A slice holds losses from its lower edge to
        below its upper one, the last also the largest loss: each example is in exactly one.

    Raises:
        TypeError: If something else than scores is given.
        ValueError: If a shape or an option breaks the rules above.

    Example:
        >>> scores = MembershipScores("mine", range(40), range(40))
        >>> found = slices_by_loss(scores, range(40), range(40), percentiles=[0, 50, 100])
        >>> [(part.name, part.members, part.nonmembers) for part in found]
        [('loss 0-50 %', 20, 20), ('loss 50-100 %', 20, 20)]

    Reference:
        TensorFlow Privacy, `membership_inference_attack` (its slicing by percentiles).
    Deviation:
        There an example on an edge is in both slices, and small slices are measured.
    """
    check_scores(scores)
    own = _fitting("member_losses", member_losses, len(scores.members))
    others = _fitting("nonmember_losses", nonmember_losses, len(scores.nonmembers))
    edges = _edges(percentiles)
    bounds = np.percentile(np.concatenate([own, others]), edges)
    places = [np.searchsorted(bounds[1:-1], side, side="right") for side in (own, others)]
    masks = (
        (f"loss {low:g}-{high:g} %", places[0] == number, places[1] == number)
        for number, (low, high) in enumerate(pairwise(edges))
    )
    return _slices(scores, masks, minimum, level=level, repeats=repeats, seed=seed)


def _slices(
    scores: MembershipScores,
    masks: Iterable[tuple[str, np.ndarray, np.ndarray]],
    minimum: int,
    **options: Any,
) -> tuple[Slice, ...]:
    minimum = check_whole("minimum", minimum, 2)
    check_repeats(options["repeats"], check_level(options["level"]))
    check_seed(options["seed"])
    return tuple(_slice(scores, *mask, minimum, options) for mask in masks)


def _slice(
    scores: MembershipScores,
    name: str,
    members: np.ndarray,
    nonmembers: np.ndarray,
    minimum: int,
    options: dict[str, Any],
) -> Slice:
    sizes = int(members.sum()), int(nonmembers.sum())
    if min(sizes) < minimum:
        reason = f"{sizes[0]:,} members and {sizes[1]:,} non-members; it takes {minimum} of each"
        return Slice(name, *sizes, None, reason)
    part = MembershipScores(
        scores.attack, scores.members[members], scores.nonmembers[nonmembers], scores.threshold
    )
    return Slice(name, *sizes, membership_evidence(part, **options), "")


def _fitting(name: str, losses: ArrayLike, size: int) -> np.ndarray:
    losses = numbers(name, losses)
    if len(losses) != size:
        raise ValueError(
            f"{name} must hold a loss per example. Expected shape ({size},). "
            f"Received {losses.shape}."
        )
    return losses


def _edges(percentiles: Sequence[float]) -> np.ndarray:
    edges = numbers("percentiles", percentiles, least=2)
    if edges[0] != 0 or edges[-1] != 100 or (np.diff(edges) <= 0).any():
        raise ValueError(
            "percentiles must be edges that leave no example out. "
            f"Expected rising numbers from 0 to 100. Received {edges.tolist()}."
        )
    return edges
