"""The JSON of a report: what is written fits the schema that is shipped, and nothing else loads."""

import dataclasses
import importlib.resources
import json

import pytest
from jsonschema import Draft202012Validator

from tfunlearn.report import AuditReport, Column, Row, Spread, evidence, schema
from tfunlearn.report.evidence import Interval, Verdict, WorstExample
from tfunlearn.report.parts import ModelFile
from tfunlearn.report.reading import read, values

from .evidence_case import make_evidence, make_image


@pytest.fixture(scope="module")
def shipped():
    file = importlib.resources.files("tfunlearn.report") / "schema.json"
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture
def full(make, row):
    """A report with all parts, its references from a bank."""
    rows = (
        row("original", 1.0, 0.99, 0.90, 0.05, 0.60, 10.0),
        row("finetune", 0.95, 0.97, 0.89, 0.15, 0.55, None, flags=["collapsed"]),
    )
    return make(
        rows=rows,
        references=(),
        reference_values={"forget_accuracy": (0.8, 0.9), "seconds": (1.0, 2.0)},
        reference_seeds=(4, 5),
        evidence={"original": make_evidence(1), "finetune": make_evidence(0, count=7)},
        fingerprints={"original": "0" * 64},
        command="tfunlearn audit --bank b",
        files={
            "original": ModelFile("m.keras", "1" * 64),
            "finetune": ModelFile("u.keras", "2" * 64, True),
        },
    )


@pytest.fixture
def pictured(full):
    """The same, with an image of each of the worst examples of one model."""
    evidence = {**full.evidence, "original": make_evidence(1, images=True)}
    return dataclasses.replace(full, evidence=evidence)


def saved(report, path):
    return json.loads(report.save(path / "report.json").read_text(encoding="utf-8"))


def test_the_schema_is_one(shipped):
    Draft202012Validator.check_schema(shipped)
    assert shipped["properties"]["version"] == {"const": schema.VERSION}
    assert shipped["properties"]["schema"] == {"const": schema.NAME}


@pytest.mark.parametrize("name", ["report", "several", "full", "pictured"])
def test_what_is_written_fits_it_and_loads(name, shipped, request, tmp_path):
    report = request.getfixturevalue(name)
    data = saved(report, tmp_path)
    Draft202012Validator(shipped).validate(data)
    assert AuditReport.load(tmp_path / "report.json") == report


def test_the_schema_names_the_fields_of_every_part(shipped):
    kinds = [getattr(evidence, name) for name in evidence.__all__]
    for kind in [*kinds, Column, ModelFile, Row, Spread]:
        known = {field.name for field in dataclasses.fields(kind)}
        derived = {"gaps", "average_gap"} if kind is Row else set()
        optional = {"image"} if kind is WorstExample else set()
        part = shipped["$defs"][kind.__name__]
        assert set(part["properties"]) == known | derived
        assert set(part["required"]) == (known | derived) - optional
        assert part["additionalProperties"] is False
    known = {field.name for field in dataclasses.fields(AuditReport)}
    assert set(shipped["properties"]) == known | {"schema", "version", "reference"}
    assert len(shipped["$defs"]) == len(kinds) + 4


def at(data, keys):
    for key in keys[:-1]:
        data = data[key]
    return data, keys[-1]


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("evidence", "original", "verdict", "inside"), "yes"),
        (("evidence", "original", "verdict", "references"), 2.5),
        (("evidence", "original", "verdict", "more"), 1),
        (("evidence", "original", "figures", 0, "value"), "1"),
        (("evidence", "original", "figures", 0, "references"), None),
        (("evidence", "original", "attacks", 0, "figures", "auc", "low"), None),
        (("evidence", "original", "attacks", 0, "fpr", 1), "0"),
        (("evidence", "original", "margins", "original"), [None]),
        (("evidence", "original", "worst", 0, "id"), 1.5),
        (("evidence", "original", "slices", 0, "label"), True),
        (("evidence", "original"), []),
        (("reference_values", "seconds"), 1.0),
        (("reference_seeds", 0), "4"),
        (("fingerprints", "original"), 7),
        (("files", "original"), "m.keras"),
        (("files", "original"), {"name": "m.keras", "sha256": 7, "beside": False}),
        (("command",), None),
        (("more",), 1),
    ],
)
def test_another_type_or_an_unknown_key_fits_neither(full, shipped, tmp_path, keys, value):
    data = saved(full, tmp_path)
    place, key = at(data, keys)
    place[key] = value
    assert not Draft202012Validator(shipped).is_valid(data)
    with pytest.raises(ValueError, match=r"Received|must"):
        schema.loads(json.dumps(data), "here")


@pytest.mark.parametrize(
    "keys",
    [
        ("command",),
        ("evidence", "original", "worst"),
        ("evidence", "original", "verdict", "text"),
        ("evidence", "finetune", "attacks", 0, "figures", "auc", "method"),
    ],
)
def test_a_missing_key_fits_neither(full, shipped, tmp_path, keys):
    data = saved(full, tmp_path)
    place, key = at(data, keys)
    del place[key]
    assert not Draft202012Validator(shipped).is_valid(data)
    with pytest.raises(ValueError, match=f"without.*{key}"):
        schema.loads(json.dumps(data), "here")


def test_messages_say_where(full, tmp_path):
    data = saved(full, tmp_path)
    data["evidence"]["original"]["worst"][0]["id"] = "a"
    with pytest.raises(ValueError, match=r"evidence\.original\.worst\[0\]\.id must be a whole num"):
        schema.loads(json.dumps(data))


def test_an_example_without_an_image_has_no_key_for_it(pictured, tmp_path):
    """So that readers from before there were images read such a report, and theirs are read."""
    data = saved(pictured, tmp_path)["evidence"]
    first = pictured.evidence["original"].worst[0]
    assert data["original"]["worst"][0]["image"] == first.image == make_image(0)
    assert all("image" in own for own in data["original"]["worst"])
    old = {"id", "label", "margin", "reference_mean", "deviation"}
    assert all(set(own) == old for own in data["finetune"]["worst"])


def test_no_image_may_be_written_as_null(pictured, shipped, tmp_path):
    data = saved(pictured, tmp_path)
    data["evidence"]["original"]["worst"][0]["image"] = None
    assert Draft202012Validator(shipped).is_valid(data)
    found = schema.loads(json.dumps(data))["evidence"]["original"].worst
    assert found[0].image is None
    assert found[1] == pictured.evidence["original"].worst[1]


@pytest.mark.parametrize("image", ["", "AAAA", '"><script>alert(1)</script>', 7, ["iVBORw0KGgo"]])
def test_another_image_fits_neither(pictured, shipped, tmp_path, image):
    data = saved(pictured, tmp_path)
    data["evidence"]["original"]["worst"][2]["image"] = image
    assert not Draft202012Validator(shipped).is_valid(data)
    with pytest.raises(ValueError, match=r"here: evidence\.original\.worst\[2\]") as caught:
        schema.loads(json.dumps(data), "here")
    assert "must be" in str(caught.value)


@pytest.mark.parametrize(("before", "after"), [('"><script>', ""), ("", '" onload="x')])
def test_no_text_around_an_image_fits(pictured, shipped, tmp_path, before, after):
    data = saved(pictured, tmp_path)
    example = data["evidence"]["original"]["worst"][0]
    example["image"] = f"{before}{example['image']}{after}"
    assert not Draft202012Validator(shipped).is_valid(data)
    with pytest.raises(ValueError, match=r"worst\[0\]: image must be a small PNG file"):
        schema.loads(json.dumps(data))


def test_what_only_begins_like_an_image_does_not_load(pictured, tmp_path):
    data = saved(pictured, tmp_path)
    whole = data["evidence"]["original"]["worst"][0]["image"]
    data["evidence"]["original"]["worst"][0]["image"] = whole[:-8]
    with pytest.raises(ValueError, match=r"worst\[0\]: image must be a small PNG file"):
        schema.loads(json.dumps(data))


def test_version_one_is_refused(full, tmp_path):
    data = saved(full, tmp_path) | {"version": 1}
    with pytest.raises(ValueError, match=r"schema version of this package. Expected 2. Received 1"):
        schema.loads(json.dumps(data))


def test_values_by_hand():
    content = {"value": 1, "low": 0, "high": 2.5, "method": "m"}
    found = read(Interval, content, "here")
    assert found == Interval(1.0, 0.0, 2.5, "m")
    assert type(found.value) is float
    verdict = Verdict(None, None, 0.95, 3, ("a", "b"), "t")
    assert read(Verdict, json.loads(json.dumps(dataclasses.asdict(verdict))), "here") == verdict
    with pytest.raises(ValueError, match=r"here must be an object. Received list \[\]"):
        read(Interval, [], "here")
    with pytest.raises(
        ValueError, match=r"here.low must be a finite number, 1e\+100 at most. Received float nan"
    ):
        read(Interval, {**content, "low": float("nan")}, "here")
    other = {"value": 1, "lower": 0, "high": 2.5, "method": "m"}
    with pytest.raises(ValueError, match=r"without \['low'\] and with \['lower'\]"):
        read(Interval, other, "here")
    with pytest.raises(ValueError, match=r"here\[1\] must be a whole number. Received bool True"):
        values(tuple[int, ...], [1, True], "here")
