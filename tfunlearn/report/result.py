"""The result of an audit: numbers, the gaps to the references, and how to show them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfunlearn.reading import existing_file, expanded
from tfunlearn.report import html, limits, schema, table
from tfunlearn.report.evidence import Evidence
from tfunlearn.report.parts import (
    ACCURACIES,
    HISTOGRAM_EDGES,
    NO_TARGET,
    Column,
    ModelFile,
    Row,
    Spread,
)
from tfunlearn.storage.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AuditReport"]


@dataclass(frozen=True, repr=False)
class AuditReport:
    """What an audit measured, with every number beside the retrained references'.

    Made by `tfunlearn.audit.compare`. `print(report)` shows a table; a notebook shows HTML.
    The report says how models lie to the references; it never says that something is forgotten.

    Attributes:
        title: Heading of the report.
        created: When it was made, UTC, ISO 8601.
        environment: Versions of Python and the packages, backend, platform, CPU count.
        split: What was to be forgotten: kind, num_classes, sizes, fractions (of the training set),
            class_counts (by role) and fingerprint.
        original: Name of the model that unlearning started from, or None.
        references: Names of the rows that are models retrained without the forget set; empty where
            the references come from a bank, or where there are none.
        columns: The metrics, in the order they are shown.
        rows: A row per model.
        notes: Sentences on what is missing and why, and on models that need a second look.
        histogram_edges: Edges in nats of the loss histograms' bins.
        reference_values: Metric to the values of references that are no rows; empty without a bank.
        reference_seeds: Their seeds, in the same order; empty where they are not known.
        evidence: Name of a row to what it shows beside the references.
        fingerprints: Name of a row to the sha256 of its weights; absent where none are kept.
        command: How to make the report again; empty if not known.
        files: Name of a row to the file that its model was read from or written to, with its
            sha256; absent where models came from no file.
    """

    title: str
    created: str
    environment: Mapping[str, Any]
    split: Mapping[str, Any]
    original: str | None
    references: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    histogram_edges: tuple[float, ...] = field(default=HISTOGRAM_EDGES, repr=False)
    reference_values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    reference_seeds: tuple[int, ...] = ()
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    files: Mapping[str, ModelFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if len(set(names)) != len(names):
            raise ValueError(f"rows must have different names. Received {names}.")
        needed = [*self.references, *([] if self.original is None else [self.original])]
        missing = [name for name in needed if name not in names]
        if missing:
            raise ValueError(
                "rows must hold the original and the references. "
                f"Expected {needed}. Received rows {names}."
            )
        for part in ("evidence", "fingerprints", "files"):
            unknown = sorted(set(getattr(self, part)) - set(names))
            if unknown:
                raise ValueError(
                    f"{part} must be of rows. Expected names among {names}. Received {unknown}."
                )
        for row in self.rows:
            self._check(row)
        self._check_references()
        limits.check(self)

    def _check_references(self) -> None:
        """Refuses values of references that are of no metric, not finite, or not as many."""
        metrics = [column.name for column in self.columns]
        values = self.reference_values
        if self.references and (values or self.reference_seeds):
            raise ValueError(
                "references must be rows or values, not both. Expected no reference_values beside "
                f"rows. Received rows {list(self.references)} and values of {sorted(values)}."
            )
        bad = {key for key in values if key not in metrics}
        bad |= {key for key, own in values.items() if not all(map(math.isfinite, own))}
        if bad:
            raise ValueError(
                "reference_values must map metrics to finite numbers. "
                f"Expected keys among {metrics}. Received others for {sorted(bad)}."
            )
        sizes = {len(own) for own in values.values()}
        if len(sizes | ({len(self.reference_seeds)} if self.reference_seeds else set())) > 1:
            raise ValueError(
                "reference_values must hold a number per reference. Expected as many for every "
                f"metric as seeds. Received {sorted(sizes)} and {len(self.reference_seeds)} seeds."
            )

    def _check(self, row: Row) -> None:
        expected = [column.name for column in self.columns]
        if sorted(row.values) != sorted(expected):
            raise ValueError(
                f"rows must hold every metric. Expected {sorted(expected)}. "
                f"Received {sorted(row.values)} for {row.name!r}."
            )
        bad = [key for key, v in row.values.items() if v is not None and not math.isfinite(v)]
        if bad:
            raise ValueError(
                "values must be finite numbers, or None with the reason in the notes. "
                f"Received others for {row.name!r}: {bad}."
            )

    def row(self, name: str) -> Row:
        """Returns the row of the model with this name.

        Raises:
            ValueError: If there is no such model.
        """
        for row in self.rows:
            if row.name == name:
                return row
        names = [row.name for row in self.rows]
        raise ValueError(f"name must be a model's. Expected one of {names}. Received {name!r}.")

    def value(self, name: str, metric: str) -> float | None:
        """Returns a model's value of a metric, or None where it could not be had."""
        values = self.row(name).values
        if metric not in values:
            raise ValueError(f"metric must be one of {sorted(values)}. Received {metric!r}.")
        return values[metric]

    @property
    def reference_count(self) -> int:
        """How many references there are, rows or not."""
        if self.references:
            return len(self.references)
        return max((len(own) for own in self.reference_values.values()), default=0)

    def reference(self, metric: str) -> Spread | None:
        """Returns mean, range and deviation of the references' values, or None if none has one."""
        found = [self.value(name, metric) for name in self.references]
        values = [value for value in found if value is not None]
        values.extend(self.reference_values.get(metric, ()))
        return Spread.of(values) if values else None

    def gap(self, name: str, metric: str) -> float | None:
        """Returns a model's value minus the mean of the references, or None if either is absent.

        None as well for a metric that has no target: a weight distance, or the deviation of the
        membership attack over its folds.
        """
        value, spread = self.value(name, metric), self.reference(metric)
        if value is None or spread is None or self._unit(metric) in NO_TARGET:
            return None
        return value - spread.mean

    def _unit(self, metric: str) -> str:
        return next(column.unit for column in self.columns if column.name == metric)

    def within(self, name: str, metric: str) -> bool | None:
        """Returns whether a value lies in the references' range; None with fewer than two."""
        value, spread = self.value(name, metric), self.reference(metric)
        if value is None or spread is None or spread.count < 2:
            return None
        return spread.min <= value <= spread.max

    def average_gap(self, name: str) -> float | None:
        """Returns the mean absolute gap over forget, retain and test accuracy.

        None for a single reference, which has no gap to itself. One of several references is
        measured against the mean of the others: what chance alone makes of a retrained model.
        """
        gaps = []
        for metric in ACCURACIES:
            own, others = self.value(name, metric), self._others(name, metric)
            if own is None or not others or any(value is None for value in others):
                return None
            gaps.append(abs(own - math.fsum(others) / len(others)))
        return math.fsum(gaps) / len(gaps)

    def _others(self, name: str, metric: str) -> list[float | None]:
        """Returns the references' values of a metric without those of one row."""
        rows = [self.value(other, metric) for other in self.references if other != name]
        return [*rows, *self.reference_values.get(metric, ())]

    def __repr__(self) -> str:
        names = ", ".join(row.name for row in self.rows)
        references = ", ".join(self.references) or self.reference_count or "none"
        return f"AuditReport({self.title!r}, models: {names}; references: {references})"

    def __str__(self) -> str:
        return table.render(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report as JSON, whole or not at all, and returns the path."""
        return write_atomically(_place(path), schema.dumps(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AuditReport:
        """Reads a report that `save` wrote.

        Raises:
            OSError: If the file is not there or cannot be read.
            ValueError: If it is not complete JSON, of another schema version, lacks a key, or holds
                what no rendering could show.
        """
        found = existing_file(path, "path", "a report that AuditReport.save wrote")
        return cls(**schema.loads(found.read_bytes(), str(path)))

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Returns the report as one self-contained HTML page, and writes it if a path is given."""
        page = html.page(self)
        if path is not None:
            write_atomically(_place(path), page)
        return page

    def _repr_html_(self) -> str:
        return html.fragment(self)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draws accuracies and losses, and writes them if a path is given (.png, .svg, .pdf).

        Returns:
            A matplotlib Figure that no window holds; needs no display.
        """
        from tfunlearn.report import plots

        place = None if path is None else _place(path)
        figure = plots.draw(self)
        if place is not None:
            write_atomically(place, plots.encode(figure, place))
        return figure


def _place(path: str | os.PathLike[str]) -> Path:
    """Returns where to write; an absolute path stays, as the current folder may be no UTF-8."""
    return Path(path) if os.path.isabs(path) else expanded(path, "path")
