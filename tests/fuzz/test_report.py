"""The JSON of a report: whatever loads can be shown in every way, and the rest is a ValueError."""

import copy
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.conftest import make_report, make_row
from tests.report.evidence_case import make_audit, make_evidence
from tfunlearn.report import AuditReport, schema
from tfunlearn.report.parts import ModelFile

from .mutations import changed, damaged, outcome, places


def _full():
    rows = (
        make_row("original", 1.0, 0.99, 0.90, 0.05, 0.60, 10.0),
        make_row("finetune", 0.95, 0.97, 0.89, 0.15, 0.55, None, flags=["collapsed"]),
    )
    return make_report(
        rows=rows,
        references=(),
        reference_values={"forget_accuracy": (0.8, 0.9), "seconds": (1.0, 2.0)},
        reference_seeds=(4, 5),
        evidence={"original": make_evidence(1, images=True), "finetune": make_evidence(0, count=7)},
        fingerprints={"original": "0" * 64},
        files={"original": ModelFile("a.keras", "0" * 64, beside=True)},
        command="tfunlearn audit --bank b",
    )


TEXTS = [schema.dumps(report) for report in (_full(), make_report(), make_audit())]
WHOLE = [json.loads(text) for text in TEXTS]
PLACES = [[path for path in places(data) if path] for data in WHOLE]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reports")


def show(folder, content, picture):
    """Loads a report and shows it in every way, or sees it refused."""
    (folder / "report.json").write_bytes(content)
    report, error = outcome(AuditReport.load, folder / "report.json")
    if error:
        assert str(error)
        return None
    str(report).encode()
    report.to_html(folder / "report.html")
    report._repr_html_().encode()
    assert AuditReport.load(report.save(folder / "again.json")) == report
    if picture:
        report.plot(folder / "report.png")
    return report


@given(st.data(), st.sampled_from(range(len(WHOLE))), st.integers(0, 9))
def test_what_loads_can_be_shown(folder, data, which, picture):
    found = data.draw(changed(copy.deepcopy(WHOLE[which]), PLACES[which]))
    show(folder, json.dumps(found).encode(), picture == 0)


@given(st.data(), st.sampled_from(TEXTS))
def test_damaged_files(folder, data, text):
    show(folder, data.draw(damaged(text.encode())), picture=False)


@pytest.mark.parametrize("text", TEXTS, ids=["full", "small", "audit"])
def test_what_is_written_loads(folder, text):
    assert show(folder, text.encode(), picture=True) is not None


def _set(keys, value):
    data = copy.deepcopy(WHOLE[0])
    place = data
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return json.dumps(data)


E = ("evidence", "original")


@pytest.mark.parametrize(
    ("keys", "value", "where"),
    [
        (("split", "sizes", "forget"), "a", "split.sizes.forget must be a count"),
        (("split", "sizes"), {"forget": 1, "retain": 1}, "split.sizes must be there for"),
        (("split", "class_counts", "test"), [], "split.class_counts.test must be a count for"),
        (("split", "class_counts", "retain"), [1], "split.class_counts.retain must be of as"),
        (("split", "fractions", "forget"), "x", "split.fractions.forget must be a number"),
        (("histogram_edges",), [1.0], "histogram_edges must be two edges or more"),
        (("histogram_edges", 0), 0.0, "histogram_edges must be above 0"),
        (("rows", 0, "histograms", "forget", 3), -1, "rows[0].histograms.forget must be a count"),
        (("rows", 0, "histograms", "forget"), 3.5, "rows[0].histograms.forget must be a list"),
        (("rows", 1, "values", "test_accuracy"), -0.05, "rows[1].values.test_accuracy must be"),
        (("rows", 1, "values", "seconds"), 10**400, "beyond 64 bits"),
        (("rows", 1, "values", "seconds"), 1e300, "rows[1].values.seconds must be a finite"),
        (("notes", 0), ["x"], "notes[0] must be a text"),
        (("title",), "\ud800", "half a surrogate pair"),
        ((*E, "margins", "low"), [0.1], "evidence.original.margins.low must be a share"),
        ((*E, "margins", "edges", 0), 1e40, "evidence.original.margins.edges must be"),
        ((*E, "attacks", 0, "tpr"), [0.5], "evidence.original.attacks[0].tpr must be as many"),
        ((*E, "verdict", "references"), -1, "evidence.original.verdict.references must be a"),
        ((*E, "figures"), [], "evidence.finetune.figures must be those named []"),
        ((*E, "attacks", 0, "nonmembers"), 0, "evidence.original.attacks[0].nonmembers must be"),
        ((*E, "attacks", 0, "members"), -3, "evidence.original.attacks[0].members must be a"),
        ((*E, "slices", 0, "size"), -3, "evidence.original.slices[0].size must be a count"),
    ],
)
def test_the_key_is_named(keys, value, where):
    with pytest.raises(ValueError, match="must be") as caught:
        AuditReport(**schema.loads(_set(keys, value), "here"))
    assert where in str(caught.value)


def test_it_cannot_be_made_in_python_either():
    report = make_report()
    split = {**report.split, "sizes": {**report.split["sizes"], "forget": -1}}
    with pytest.raises(ValueError, match=r"split\.sizes\.forget must be a count"):
        dataclasses.replace(report, split=split)
