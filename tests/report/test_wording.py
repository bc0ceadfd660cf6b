"""Words beside the numbers: what is averaged, what a column says, what a p-value can be."""

import dataclasses
import json

import pytest

from tfunlearn.report import Column, schema, wording

from .conftest import COLUMNS
from .evidence_case import make_evidence

DISTANCE = Column("weight_distance", "weight distance", "distance", "no target", "cost")


@pytest.fixture
def moved(several):
    """A report with a distance that all models have, the references among them."""
    rows = tuple(
        dataclasses.replace(row, values={**row.values, "weight_distance": float(place)})
        for place, row in enumerate(several.rows)
    )
    return dataclasses.replace(several, columns=(*COLUMNS, DISTANCE), rows=rows)


def test_a_distance_from_the_original_has_no_gap_anywhere(moved):
    assert moved.value("original", "weight_distance") == 0.0
    assert moved.gap("original", "weight_distance") is None
    assert moved.gap("original", "forget_loss") == pytest.approx(0.05 - 0.3)
    gaps = json.loads(schema.dumps(moved))["rows"][0]["gaps"]
    assert gaps["weight_distance"] is None
    line = next(line for line in str(moved).splitlines() if "10.0 " in line)
    assert "0.000" in line
    assert "0.000 (" not in line
    cell = moved.to_html().split('data-label="weight distance">')[1].split("</td>")[0]
    assert cell == '<span class="v">0.000</span>'


@pytest.mark.parametrize(
    ("columns", "last"),
    [
        (COLUMNS, " Membership attack is not in it."),
        (COLUMNS[:4], ""),
        (
            (Column("x_accuracy", "x accuracy", "fraction", "near", "accuracy"), *COLUMNS),
            " X accuracy and membership attack are not in it.",
        ),
    ],
)
def test_the_average_gap_names_what_is_in_it_and_what_is_not(report, columns, last):
    rows = tuple(
        dataclasses.replace(row, values={c.name: row.values.get(c.name, 0.5) for c in columns})
        for row in report.rows
    )
    changed = dataclasses.replace(report, columns=columns, rows=rows)
    words = (
        "Average accuracy gap: the mean of the absolute gaps in forget, retain and test "
        f"accuracy.{last}"
    )
    assert wording.averaged(changed) == words
    for text in (str(changed), changed.to_html(), changed._repr_html_()):
        assert words in " ".join(text.split())


def test_every_column_says_what_its_direction_means(report):
    text, page = " ".join(str(report).split()), report.to_html()
    for line in (
        "forget accuracy, retain accuracy, test accuracy, forget loss, membership attack: near.",
        "seconds: below.",
    ):
        assert line in text
        assert f"<li>{line}</li>" in page


@pytest.mark.parametrize("count", [1, 19, 32, 999])
def test_the_smallest_p_value_is_named(count):
    words = f"the smallest that {count} references can give"
    assert wording.smallest(1 / (count + 1), count) == words
    assert wording.smallest(2 / (count + 1), count) == ""
    assert wording.smallest(None, count) == ""
    if count > 1:
        assert wording.smallest(2 / (count + 1), count, sides=2) == words
        assert wording.smallest(3 / (count + 1), count, sides=2) == ""


def test_references_whose_figures_differ_by_model_have_a_range(make, row):
    rows = (
        row("original", 1.0, 0.99, 0.90, 0.05, 0.60, 10.0),
        row("finetune", 0.95, 0.97, 0.89, 0.15, 0.55, 1.0),
    )
    one, two = make_evidence(1), make_evidence(0)
    place = next(i for i, own in enumerate(one.figures) if own.name == "lira_auc")
    figures = [list(own.figures) for own in (one, two)]
    for table, value in zip(figures, (0.4, 0.6), strict=True):
        table[place] = dataclasses.replace(table[place], references=(value, value + 0.02))
    found = {
        name: dataclasses.replace(own, figures=tuple(table))
        for name, own, table in zip(("original", "finetune"), (one, two), figures, strict=True)
    }
    shown = make(rows=rows, references=(), evidence=found)
    line = next(line for line in str(shown).splitlines() if line.startswith("LiRA AUC"))
    assert line.endswith("0.410 to 0.610")
    assert "as it is one of the others" in " ".join(str(shown).split())
