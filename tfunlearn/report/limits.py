"""What every rendering of a report can show: whatever else is refused as a report is made."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfunlearn.report.evidence import AttackResult, Evidence, MarginHistograms
    from tfunlearn.report.result import AuditReport

__all__ = ["LARGEST", "check"]

LARGEST = 1e100
"""Of any number in a report's JSON: sums, squares and ratios of such numbers are finite."""

_MOST = 2**53  # of a count, as a float holds it


def check(report: AuditReport) -> None:
    """Raises unless a report can be shown as text, as a page and as a picture.

    Args:
        report: The report.

    Raises:
        ValueError: With the key, the rule and what was received.
    """
    _check_split(report.split)
    _check_edges("histogram_edges", report.histogram_edges)
    _require(report.histogram_edges[0] > 0, "histogram_edges", "above 0", report.histogram_edges[0])
    _check_rows(report)
    figures: list[str] | None = None
    for name, own in report.evidence.items():
        _check_evidence(f"evidence.{name}", own)
        names = [figure.name for figure in own.figures]
        figures = names if figures is None else figures
        _require(names == figures, f"evidence.{name}.figures", f"those named {figures}", names)


def _check_split(split: Mapping[str, Any]) -> None:
    """Refuses roles without a size or counts, and counts that are none."""
    missing = [key for key in ("sizes", "class_counts", "fractions") if key not in split]
    _require(not missing, "split", "with sizes, class_counts and fractions", f"none of {missing}")
    sizes, counts = split["sizes"], split["class_counts"]
    for name, found in (("split.sizes", sizes), ("split.class_counts", counts)):
        missing = [role for role in ("forget", "retain", "test") if role not in found]
        _require(not missing, name, "there for forget, retain and test", f"none for {missing}")
    _require(set(sizes) == set(counts), "split.sizes", "of the roles of class_counts", list(sizes))
    for role, size in sizes.items():
        _require(_is_count(size), f"split.sizes.{role}", "a count", size)
        own = counts[role]
        whole = isinstance(own, list | tuple) and own and all(map(_is_count, own))
        _require(whole, f"split.class_counts.{role}", "a count for each class", own)
        even = len(own) == len(counts["forget"])
        _require(even, f"split.class_counts.{role}", "of as many classes as forget", own)
    _require(sizes["forget"] + sizes["retain"] > 0, "split.sizes", "of training examples", 0)
    for role, share in split["fractions"].items():
        number = isinstance(share, int | float) and not isinstance(share, bool)
        _require(number and abs(share) <= LARGEST, f"split.fractions.{role}", "a number", share)


def _check_rows(report: AuditReport) -> None:
    """Refuses accuracies that are none, and histograms of other bins than the edges'."""
    bins = len(report.histogram_edges) - 1
    accuracies = [f"{role}_accuracy" for role in report.split["sizes"]]
    for metric, values in report.reference_values.items():
        within = metric not in accuracies or all(0 <= value <= 1 for value in values)
        _require(within, f"reference_values.{metric}", "between 0 and 1", values)
    for place, row in enumerate(report.rows):
        where = f"rows[{place}]"
        for metric in accuracies:
            value = row.values.get(metric)
            within = value is None or 0 <= value <= 1
            _require(within, f"{where}.values.{metric}", "between 0 and 1", value)
        for role, own in row.histograms.items():
            _require(
                len(own) == bins and all(map(_is_count, own)),
                f"{where}.histograms.{role}",
                f"a count for each of {bins} bins",
                own,
            )


def _check_evidence(where: str, evidence: Evidence) -> None:
    count = evidence.verdict.references
    _require(_is_count(count), f"{where}.verdict.references", "a count", count)
    for place, attack in enumerate(evidence.attacks):
        _check_attack(f"{where}.attacks[{place}]", attack)
    if evidence.margins.edges:
        _check_margins(f"{where}.margins", evidence.margins)
    for place, own in enumerate(evidence.slices):
        _require(_is_count(own.size), f"{where}.slices[{place}].size", "a count", own.size)


def _check_attack(where: str, attack: AttackResult) -> None:
    """Refuses counts and rates that are none, and curves of two lengths."""
    for key in ("members", "nonmembers"):
        _require(_is_count(getattr(attack, key)), f"{where}.{key}", "a count", getattr(attack, key))
    _require(attack.nonmembers > 0, f"{where}.nonmembers", "above 0", 0)
    for key in ("fpr", "tpr"):
        rates = getattr(attack, key)
        _require(all(0 <= r <= 1 for r in rates), f"{where}.{key}", "between 0 and 1", rates)
    _require(len(attack.fpr) == len(attack.tpr), f"{where}.tpr", "as many as fpr", attack.tpr)
    rising = all(left <= right for left, right in zip(attack.fpr, attack.fpr[1:], strict=False))
    _require(rising, f"{where}.fpr", "rising", attack.fpr)


def _check_margins(where: str, margins: MarginHistograms) -> None:
    """Refuses shares that are none, and histograms of other bins than the edges'."""
    _check_edges(f"{where}.edges", margins.edges)
    bins = len(margins.edges) - 1
    for key in ("candidate", "original", "mean", "low", "high"):
        shares = getattr(margins, key)
        if shares is None and key == "original":
            continue
        fits = len(shares) == bins and all(0 <= share <= 1 for share in shares)
        _require(fits, f"{where}.{key}", f"a share for each of {bins} bins", shares)


def _check_edges(where: str, edges: Sequence[float]) -> None:
    """Refuses edges that do not rise by what a picture can show."""
    rising = len(edges) > 1 and all(left < right for left, right in itertools.pairwise(edges))
    _require(rising, where, "two edges or more that rise", edges)
    apart = edges[-1] - edges[0] > 1e-6 * max(abs(edges[0]), abs(edges[-1]))
    _require(apart, where, "edges that lie apart", edges)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _require(holds: bool, where: str, rule: str, received: Any) -> None:
    if not holds:
        raise ValueError(f"{where} must be {rule}. Received {received!r:.80}.")
