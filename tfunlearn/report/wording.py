"""The words and number formats that the text, the HTML and the plots share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfunlearn.report.parts import ACCURACIES, Column

if TYPE_CHECKING:
    from tfunlearn.report.result import AuditReport

__all__ = [
    "AVERAGE",
    "BLOCKS",
    "NO_REFERENCE",
    "ROLES",
    "averaged",
    "directions",
    "diverged",
    "forgets_whole_class",
    "heading",
    "number",
    "reading",
    "request",
    "shown_gap",
    "shown_seeds",
    "signed",
    "smallest",
    "tags",
    "target",
]

ROLES = ("forget", "retain", "validation", "test")

BLOCKS = (
    ("accuracy", ("accuracy",)),
    ("losses", ("loss",)),
    ("balanced accuracy", ("balanced",)),
    ("recall of the worst class", ("worst",)),
    ("membership attack and cost", ("attack", "cost")),
    ("utility", ("utility",)),
)
"""The tables of a report: a heading, and the groups of columns under it."""

_GAPS = (
    "Gap: the model's value minus the reference's (the mean, if there are several). A retrained "
    "reference is what forgetting by the book gives, so near zero is near that.",
)
_ATTACK = (
    "Membership attack: how often a logistic regression tells forget examples from test examples "
    "of the same classes by their loss. 0.5 is chance"
)
_FIGURES = (
    "Loss: mean cross-entropy in nats. Utility preservation is the test accuracy over the "
    "original's, performance drop the original's minus it. Balanced accuracy: the mean over the "
    "classes of the share of right answers; classes without examples in a role are left out. It "
    "and the worst class's recall are not among the figures of the test against the references."
)
_LAST = (
    "Nothing here says that something is forgotten. Close numbers are necessary, not sufficient: "
    "stronger attacks may still tell the models apart."
)

NO_REFERENCE = (
    "No reference was given: no model that was retrained without the forget set. So nothing here "
    "says how near a model is to one, nor where its numbers should lie."
)
"""What a report without references says in place of a target."""

AVERAGE = "average accuracy gap"
"""Heading of the column that `AuditReport.average_gap` fills."""

_DIGITS = {"nats": 4, "seconds": 1}


def number(value: float | None, unit: str = "fraction") -> str:
    """Returns a value with the digits of its unit; a dash where it is absent."""
    return "-" if value is None else f"{value:.{_DIGITS.get(unit, 3)}f}"


def signed(gap: float | None, unit: str = "fraction") -> str:
    """Returns a gap with its sign; what rounds to zero is written with a plus.

    Example:
        >>> signed(-0.0123), signed(-0.0001), signed(None)
        ('-0.012', '+0.000', '')
    """
    if gap is None:
        return ""
    digits = _DIGITS.get(unit, 3)
    return f"{round(gap, digits) + 0.0:+.{digits}f}"


def averaged(report: AuditReport) -> str:
    """Returns what the average gap is over, and which of the columns beside it are not in it."""
    beside = {*ACCURACIES, "membership_accuracy"}
    shown = [c for c in report.columns if c.group == "accuracy" or c.name in beside]
    left = [column.label for column in shown if column.name not in ACCURACIES]
    words = ", ".join(left[:-1]) + (" and " if left[:-1] else "") + "".join(left[-1:])
    verb = "are" if len(left) > 1 else "is"
    rest = f" {words[:1].upper()}{words[1:]} {verb} not in it." if left else ""
    return (
        f"{AVERAGE.capitalize()}: the mean of the absolute gaps in forget, retain and test "
        f"accuracy.{rest}"
    )


def smallest(p_value: float | None, references: int, sides: int = 1) -> str:
    """Returns a remark on a p-value that so many references cannot undercut; else nothing.

    Args:
        p_value: Rank of a model among N references and itself, over N + 1.
        references: N.
        sides: 2 for a p-value that counts both ends of the ranks.

    Example:
        >>> smallest(0.05, 19), smallest(0.1, 19), smallest(0.1, 19, sides=2)
        ('the smallest that 19 references can give', '', 'the smallest that 19 references can give')
    """
    if p_value is None or p_value * (references + 1) > sides + 1e-6 or p_value == 1:
        return ""
    return f"the smallest that {references:,} references can give"


def directions(report: AuditReport) -> tuple[str, ...]:
    """Returns what higher and lower mean in each column, columns that mean the same together."""
    found: dict[str, list[str]] = {}
    for column in report.columns:
        found.setdefault(column.direction, []).append(column.label)
    return tuple(f"{', '.join(labels)}: {words}." for words, labels in found.items())


def shown_gap(report: AuditReport, name: str, column: Column) -> float | None:
    """Returns the gap to print beside a value: none for a reference."""
    return None if name in report.references else report.gap(name, column.name)


def tags(report: AuditReport, name: str) -> list[str]:
    """Returns words on a model: `reference` or `original`, unless it is named so, and its flags."""
    part = "reference" if name in report.references else ""
    part = "original" if name == report.original else part
    return [word for word in (part, *report.row(name).flags) if word not in ("", name)]


def forgets_whole_class(report: AuditReport) -> bool:
    """Tells whether no class of the forget set is left in the retain set."""
    counts = report.split["class_counts"]
    pairs = zip(counts["forget"], counts["retain"], strict=True)
    return all(retained == 0 for forgotten, retained in pairs if forgotten)


def target(report: AuditReport) -> str:
    """Returns the sentence on where the forget accuracy should be, or that it is not known."""
    if not report.reference_count:
        return NO_REFERENCE
    if forgets_whole_class(report):
        return (
            "The reference has never seen the forgotten class, so its forget accuracy is about 0: "
            "the target is the reference's value here too."
        )
    if report.split["kind"] == "random":
        return "For a random forget set the target is the reference's value, not zero."
    return (
        "For this forget set, as for a random one, the target is the reference's value, not zero."
    )


def reading(report: AuditReport, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Returns how to read a report, without what needs a reference where there is none.

    Args:
        report: the report.
        more: sentences on other parts, which come before the last one.
    """
    if not report.reference_count:
        return (f"{_ATTACK}.", _FIGURES, *directions(report), *more, _LAST)
    attack = f"{_ATTACK}; the target is the reference's value."
    return (*_GAPS, averaged(report), attack, _FIGURES, *directions(report), *more, _LAST)


def request(report: AuditReport) -> str:
    """Returns what was to be forgotten, in one sentence."""
    sizes, counts = report.split["sizes"], report.split["class_counts"]["forget"]
    classes = [str(label) for label, count in enumerate(counts) if count]
    how = {
        "random": "chosen at random",
        "class": f"of class {', '.join(classes)}",
        "group": "all records of the chosen groups",
    }.get(report.split["kind"], "chosen by index")
    training = sizes["forget"] + sizes["retain"]
    return (
        f"Forget {sizes['forget']:,} of {training:,} training examples "
        f"({sizes['forget'] / training:.1%}), {how}."
    )


def heading(column: Column) -> str:
    """Returns a column's label, its last word on a second line."""
    return "\n".join(column.label.rsplit(" ", 1))


def diverged(count: int, total: int, which: str) -> str:
    """Returns what is said of references that are not there as their training diverged.

    Args:
        count: How many.
        total: Of how many that were trained.
        which: Their names, or seeds.

    Example:
        >>> diverged(2, 20, "seeds 3 and 7")
        '2 of 20 retrained models diverged and are not among the references: seeds 3 and 7.'
    """
    return (
        f"{count} of {total} retrained models diverged and are not among the references: {which}."
    )


def shown_seeds(seeds: Sequence[int]) -> str:
    """Returns seeds as text, rows of neighbours as their ends.

    Example:
        >>> shown_seeds([0, 1, 2, 7]), shown_seeds([4])
        ('0 to 2, 7', '4')
    """
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(
        f"{part[0]} to {part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts
    )
