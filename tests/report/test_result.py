"""The numbers that a report derives, and its JSON."""

import json
import os

import pytest

from tfunlearn.report import AuditReport, Spread
from tfunlearn.storage.atomic import write_atomically


def test_gap_is_value_minus_reference(report):
    assert report.gap("finetune", "forget_accuracy") == pytest.approx(0.05)
    assert report.gap("finetune", "retain_accuracy") == pytest.approx(-0.01)
    assert report.gap("retrained", "test_accuracy") == 0
    assert report.gap("finetune", "seconds") is None


def test_average_gap_by_hand(report):
    assert report.average_gap("finetune") == pytest.approx((0.05 + 0.01 + 0.01) / 3)
    assert report.average_gap("original") == pytest.approx((0.10 + 0.01 + 0.02) / 3)
    assert report.average_gap("retrained") is None


def test_average_gap_is_absent_where_an_accuracy_is(make, row):
    rows = (row("retrained", *[0.5] * 6), row("x", None, *[0.5] * 5))
    assert make(rows=rows, original=None).average_gap("x") is None


def test_several_references_have_a_spread(several):
    spread = several.reference("forget_accuracy")
    assert (spread.min, spread.max, spread.count) == (0.88, 0.92, 3)
    assert spread.mean == pytest.approx(0.90)
    assert spread.std == pytest.approx(0.02)
    assert several.gap("finetune", "forget_accuracy") == pytest.approx(0.01)
    assert several.within("finetune", "forget_accuracy") is True
    assert several.within("finetune", "retain_accuracy") is False
    # each reference against the mean of the other two
    assert several.average_gap("a") == pytest.approx((0.0 + abs(0.98 - 0.965) + 0.0) / 3)


def test_one_reference_has_no_spread(report):
    assert report.reference("forget_loss") == Spread(0.30, 0.30, 0.30, None, 1)
    assert report.within("finetune", "forget_loss") is None


def test_a_report_without_its_references_is_refused(make, row):
    for own in ({"references": ("gone",)}, {"original": "gone"}):
        with pytest.raises(ValueError, match="original and the references"):
            make(**own)
    with pytest.raises(ValueError, match="different names"):
        make(rows=(row("retrained", *[0.5] * 6), row("retrained", *[0.5] * 6)), original=None)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(make, row, bad):
    with pytest.raises(ValueError, match=r"finite numbers.*'x': \['forget_loss'\]"):
        make(rows=(row("retrained", *[0.5] * 6), row("x", 1, 1, 1, bad, 1, 1)), original=None)


def test_unknown_names_are_refused(report):
    with pytest.raises(ValueError, match=r"Expected one of .*finetune.* Received 'gone'"):
        report.gap("gone", "seconds")
    with pytest.raises(ValueError, match="metric must be one of"):
        report.gap("finetune", "gone")


def test_json_round_trip(several, tmp_path):
    path = several.save(tmp_path / "report.json")
    assert AuditReport.load(path) == several
    assert os.listdir(tmp_path) == ["report.json"]
    data = json.loads(path.read_text())
    assert (data["schema"], data["version"]) == ("tfunlearn.audit-report", 2)
    assert data["rows"][4]["gaps"]["forget_accuracy"] == pytest.approx(0.01)
    assert data["reference"]["forget_accuracy"]["std"] == pytest.approx(0.02)


def test_a_truncated_file_is_refused(report, tmp_path):
    path = report.save(tmp_path / "report.json")
    path.write_text(path.read_text()[:300])
    with pytest.raises(ValueError, match=r"report.json must be .* Expected complete JSON"):
        AuditReport.load(path)


def _without(data, *keys):
    for key in keys[:-1]:
        data = data[key]
    del data[keys[-1]]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("rows",), r"without \['rows'\]"),
        (("split", "fingerprint"), r"split lacks keys.*without \['fingerprint'\]"),
        (("rows", 1, "values"), r"rows\[1\] lacks keys"),
        (("columns", 0, "unit"), r"columns\[0\] lacks keys"),
        (("rows", 0, "values", "seconds"), "rows must hold every metric"),
        (("schema",), "Expected schema 'tfunlearn.audit-report'. Received None"),
        (("version",), "Expected 2. Received None"),
    ],
)
def test_a_missing_key_is_named(report, tmp_path, keys, words):
    path = report.save(tmp_path / "report.json")
    data = json.loads(path.read_text())
    _without(data, *keys)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=words):
        AuditReport.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 1}, "Expected 2. Received 1"),
        ({"version": 3}, "Expected 2. Received 3"),
        ({"more": 1}, r"schema's keys only.*Received \['more'\] besides"),
        ({"schema": "other"}, "Received 'other'"),
        ({"notes": "text"}, "notes has another type"),
        ({"rows": [1]}, r"rows\[0\] must be an object"),
    ],
)
def test_other_content_is_refused(report, tmp_path, change, words):
    path = report.save(tmp_path / "report.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=words):
        AuditReport.load(path)


def test_a_text_value_is_refused(report, tmp_path):
    path = report.save(tmp_path / "report.json")
    data = json.loads(path.read_text())
    data["rows"][0]["values"]["seconds"] = "10"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"seconds must be a number or null. Received '10'"):
        AuditReport.load(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="Received 'list'"):
        AuditReport.load(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("path", ["~nobody-of-that-name/r.png", "", "r\0.png", "\udcff.png"])
def test_what_is_no_path_is_an_error_that_says_so(report, path):
    for use in (AuditReport.load, report.save, report.to_html, report.plot):
        with pytest.raises(ValueError, match=r"^path: ex") as caught:
            use(path)
        assert f"expected a path. Received: {path!r}" in str(caught.value)


def test_a_report_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^path: expected a report .*, not there"):
        AuditReport.load(tmp_path / "r.json")
    with pytest.raises(FileNotFoundError, match=r"^path: expected a report .*, a folder"):
        AuditReport.load(tmp_path)


def test_a_missing_folder_is_an_error(report, tmp_path):
    with pytest.raises(FileNotFoundError):
        report.save(tmp_path / "gone" / "report.json")


def test_repr_is_one_short_line(several):
    text = repr(several)
    assert "\n" not in text
    assert len(text) < 300
    assert all(row.name in text for row in several.rows)
