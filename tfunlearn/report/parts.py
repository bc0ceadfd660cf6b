"""The parts of an audit report: its columns, its rows, and the references' spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["ACCURACIES", "HISTOGRAM_EDGES", "NO_TARGET", "Column", "ModelFile", "Row", "Spread"]

ACCURACIES = ("forget_accuracy", "retain_accuracy", "test_accuracy")
"""The metrics that the average gap is taken over."""

NO_TARGET = ("deviation", "distance")
"""The units whose values are not held against the references': they have no gap."""

HISTOGRAM_EDGES = tuple(10.0 ** (step / 5.0 - 6.0) for step in range(41))
"""Edges of the 40 loss bins in nats, five to a decade, from 1e-6 to 100."""


@dataclass(frozen=True)
class Column:
    """What one metric is and where it should be.

    Attributes:
        name: Key of the metric in every row.
        label: Heading for people, lower case.
        unit: `fraction`, `ratio`, `nats`, `seconds`, `distance` or `deviation`; the last two
            have no gap.
        direction: Where the value should lie and what higher or lower means, in words.
        group: Which table it belongs to: `accuracy`, `loss`, `balanced`, `worst`, `attack`,
            `utility` or `cost`.
    """

    name: str
    label: str
    unit: str
    direction: str
    group: str


@dataclass(frozen=True)
class Row:
    """One model's numbers.

    Attributes:
        name: The model's name in the comparison.
        values: Metric name to value; None where the metric could not be had.
        flags: What needs a second look: `collapsed`, `unchanged`, `not finite`.
        histograms: Role to counts of per-example losses in the bins of `HISTOGRAM_EDGES`; losses
            outside the edges are counted in the first or the last bin.
    """

    name: str
    values: Mapping[str, float | None]
    flags: tuple[str, ...] = ()
    histograms: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelFile:
    """The file that a model was read from or written to.

    Attributes:
        name: Its name, without folders.
        sha256: Of its content, 64 hexadecimal digits.
        beside: Whether it was written into the report's folder, together with the report.
    """

    name: str
    sha256: str
    beside: bool = False


@dataclass(frozen=True)
class Spread:
    """How the references' values of one metric lie.

    Attributes:
        mean: Their mean, which gaps are taken to.
        min: The lowest.
        max: The highest.
        std: Sample standard deviation (divisor n - 1); None for a single reference.
        count: How many references have a value.
    """

    mean: float
    min: float
    max: float
    std: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Returns the spread of at least one value.

        Example:
            >>> Spread.of([1.0, 3.0])
            Spread(mean=2.0, min=1.0, max=3.0, std=1.4142135623730951, count=2)
        """
        mean = math.fsum(values) / len(values)
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(mean, min(values), max(values), std, len(values))
