"""Reports made by hand, without Keras."""

import pytest

from tfunlearn.report import AuditReport, Column, Row

COLUMNS = (
    Column("forget_accuracy", "forget accuracy", "fraction", "near", "accuracy"),
    Column("retain_accuracy", "retain accuracy", "fraction", "near", "accuracy"),
    Column("test_accuracy", "test accuracy", "fraction", "near", "accuracy"),
    Column("forget_loss", "forget loss", "nats", "near", "loss"),
    Column("membership_accuracy", "membership attack", "fraction", "near", "attack"),
    Column("seconds", "seconds", "seconds", "below", "cost"),
)
SPLITS = {
    "random": {"forget": [5, 5], "retain": [45, 45], "test": [10, 10]},
    "class": {"forget": [10, 0], "retain": [0, 90], "test": [10, 10]},
    "index": {"forget": [10, 0], "retain": [40, 50], "test": [10, 10]},
}


def make_row(name, *values, flags=()):
    """Returns a row with the values in the order of the columns and small histograms."""
    names = [column.name for column in COLUMNS]
    counts = [0] * 40
    counts[20], counts[30] = 3, 7
    histograms = {"forget": tuple(counts), "test": tuple(counts[::-1])}
    return Row(name, dict(zip(names, values, strict=True)), tuple(flags), histograms)


def make_report(rows=None, references=("retrained",), kind="random", **own):
    """Returns a report on three models, or on the rows given."""
    counts = SPLITS[kind]
    rows = rows or (
        make_row("original", 1.0, 0.99, 0.90, 0.05, 0.60, 10.0),
        make_row("retrained", 0.90, 0.98, 0.88, 0.30, 0.50, 8.0),
        make_row("finetune", 0.95, 0.97, 0.89, 0.15, 0.55, None),
    )
    return AuditReport(
        **{
            "title": "A title",
            "created": "2024-01-02T03:04:05+00:00",
            "environment": {"python": "3.11.0", "cpu_count": 2},
            "split": {
                "kind": kind,
                "num_classes": 2,
                "sizes": {role: sum(count) for role, count in counts.items()},
                "fractions": {"forget": 0.1, "retain": 0.9},
                "class_counts": counts,
                "fingerprint": "0123abcd",
            },
            "original": "original",
            "references": references,
            "columns": COLUMNS,
            "rows": tuple(rows),
            "notes": ("A note.",),
            **own,
        }
    )


@pytest.fixture
def report():
    return make_report()


@pytest.fixture
def several():
    """A report with three references."""
    return make_report(
        rows=(
            make_row("original", 1.0, 0.99, 0.90, 0.05, 0.60, 10.0),
            make_row("a", 0.90, 0.98, 0.88, 0.30, 0.50, 8.0),
            make_row("b", 0.92, 0.97, 0.86, 0.20, 0.52, 9.0),
            make_row("c", 0.88, 0.96, 0.90, 0.40, 0.48, 7.0),
            make_row("finetune", 0.91, 0.90, 0.87, 0.15, 0.55, 1.0),
        ),
        references=("a", "b", "c"),
    )


@pytest.fixture
def make():
    return make_report


@pytest.fixture
def row():
    return make_row
