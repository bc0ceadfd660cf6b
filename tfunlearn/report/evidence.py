"""The parts of an audit against many references: figures with their place, attacks, examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tfunlearn.report import png_text

__all__ = [
    "AttackResult",
    "ClassSlice",
    "Evidence",
    "Interval",
    "MarginHistograms",
    "Placed",
    "Verdict",
    "WorstExample",
]

OPTIONAL = MappingProxyType({"optional": True})
"""Metadata of a field whose key may be missing in a report's JSON."""


@dataclass(frozen=True)
class Interval:
    """A figure and its interval.

    Attributes:
        value: The figure.
        low: Lower end.
        high: Upper end.
        method: How the interval was made.
    """

    value: float
    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Placed:
    """A model's figure and where it lies among the references' own.

    Attributes:
        name: Key of the figure.
        label: Heading for people, lower case.
        unit: As in `Column`.
        value: The figure; None where it could not be had.
        references: The references' figures, in the order of their seeds.
        percentile: Share of the references below the value, ties for a half, times 100.
        low: Lower end of the percentile's interval.
        high: Upper end.
        p_value: Two-sided p-value of the rank among the references.
        deviation: The value minus the references' mean, in their standard deviations; None where
            they have none.
        absent: The reason where a number is None; else empty.
    """

    name: str
    label: str
    unit: str
    value: float | None
    references: tuple[float, ...]
    percentile: float | None
    low: float | None
    high: float | None
    p_value: float | None
    deviation: float | None
    absent: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a model lies inside the references' spread, over all its figures at once.

    Attributes:
        inside: True inside, False outside, None where the references are too few to tell.
        p_value: Chance that one more reference lies as far out; None where there is none.
        level: Share of references that lie inside, as 0.95.
        references: How many there are.
        furthest: Labels of the figures that lie furthest out, the furthest first.
        text: The sentence for people; never that something is forgotten.
    """

    inside: bool | None
    p_value: float | None
    level: float
    references: int
    furthest: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class AttackResult:
    """What one membership attack shows: forget examples against test examples.

    Attributes:
        attack: Name of the attack.
        label: Heading for people.
        members: Forget examples.
        nonmembers: Test examples.
        figures: Name (`auc`, `advantage`, `balanced_accuracy`, `tpr_at_fpr_0_01`,
            `tpr_at_fpr_0_001`) to figure.
        absent: Name of a figure that could not be had to the reason.
        fpr: False positive rates of the ROC curve, rising; thinned, so that a report stays small.
        tpr: True positive rates at them.
        references: The references' AUC under the same attack.
    """

    attack: str
    label: str
    members: int
    nonmembers: int
    figures: Mapping[str, Interval]
    absent: Mapping[str, str]
    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    references: tuple[float, ...]


@dataclass(frozen=True)
class MarginHistograms:
    """How sure models are of the forget examples' labels: shares of examples by logit margin.

    Attributes:
        edges: Edges of the bins; margins outside count in the first or the last bin.
        candidate: Share of the forget examples in each bin, for the model.
        original: The same for the original; None without one.
        mean: The references' mean share.
        low: Their lowest share.
        high: Their highest.
    """

    edges: tuple[float, ...]
    candidate: tuple[float, ...]
    original: tuple[float, ...] | None
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class ClassSlice:
    """The forget accuracy on one class beside the references'.

    Attributes:
        label: Class number.
        size: Forget examples of that class.
        accuracy: The model's accuracy on them.
        references: The references' accuracies on them.
    """

    label: int
    size: int
    accuracy: float
    references: tuple[float, ...]


@dataclass(frozen=True)
class WorstExample:
    """A forget example on which a model is far from the references.

    Attributes:
        id: Its id in the training data.
        label: Its label there.
        margin: The model's logit margin on it.
        reference_mean: Mean margin of the references.
        deviation: Their difference in standard deviations of the references.
        image: A small PNG file as base64 text, as `png_text` writes it, or None; left out of the
            JSON where it is None.
    """

    id: int
    label: int
    margin: float
    reference_mean: float
    deviation: float
    image: str | None = field(default=None, repr=False, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        if self.image is not None:
            png_text.size(self.image)  # raises; no other text comes near a page


@dataclass(frozen=True)
class Evidence:
    """All that an audit against many references says of one model.

    Attributes:
        verdict: Inside the references' spread, or not.
        figures: Every figure with its place among the references'.
        attacks: What membership attacks show.
        margins: How sure the models are of the forget examples.
        slices: The forget accuracy by class.
        worst: The forget examples furthest from the references, the furthest first.
    """

    verdict: Verdict
    figures: tuple[Placed, ...]
    attacks: tuple[AttackResult, ...]
    margins: MarginHistograms
    slices: tuple[ClassSlice, ...] = field(default=())
    worst: tuple[WorstExample, ...] = field(default=())
