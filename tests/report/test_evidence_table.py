"""Evidence as plain text."""

import re

import pytest

from .evidence_case import make_evidence


@pytest.fixture
def shown(make, row):
    rows = (
        row("original", 1.0, 0.99, 0.90, 0.05, 0.60, 10.0),
        row("a method with a rather long name", 0.95, 0.97, 0.89, 0.15, 0.55, 1.0),
    )
    found = {"original": make_evidence(1), "a method with a rather long name": make_evidence(0)}
    return make(
        rows=rows,
        references=(),
        reference_values={"forget_accuracy": tuple([0.9] * 12 + [0.92] * 12)},
        evidence=found,
    )


def test_verdicts_stand_in_the_text(shown):
    text = " ".join(str(shown).split())
    for name, own in shown.evidence.items():
        assert f"- {name}: {own.verdict.text}" in text
    assert text.count("This p is the smallest that 24 references can give.") == 1


def test_figures_with_their_percentiles(shown):
    lines = str(shown).splitlines()
    start = next(i for i, line in enumerate(lines) if "references, mean (std)" in line)
    body = lines[start + 1 : lines.index("", start)]
    first = shown.evidence["original"].figures
    assert len(body) == len(first)
    for line, placed in zip(body, first, strict=True):
        assert line.startswith(placed.label)
        if placed.value is None:
            assert re.fullmatch(rf"{placed.label} +- +- +-", line)
        elif placed.unit == "fraction":
            assert f"{placed.value:.3f} ({placed.percentile:3.0f})" in line
    assert all(len(line) <= 110 for line in lines)


def test_references_that_are_no_rows_are_counted(shown):
    text = str(shown)
    assert "references, mean" in text
    assert "The reference is the mean of several" in " ".join(text.split())
    assert "average gap of a reference" not in text
    assert repr(shown).endswith("references: 24)")


def test_without_evidence_there_is_no_block(report):
    assert "Beside the references" not in str(report)
    assert "percentile" not in str(report)


def test_without_references_nothing_is_held_against_them(make):
    bare = make(references=())
    text = " ".join(str(bare).split())
    assert "No reference was given" in text
    assert "gap to the reference" not in text
    assert bare.reference_count == 0
    assert bare.reference("forget_accuracy") is None
    assert bare.average_gap("finetune") is None
    assert repr(bare).endswith("references: none)")
