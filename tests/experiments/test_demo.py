import json
import os
import re
import resource
import subprocess
import sys

import pytest

from tfunlearn import methods, models
from tfunlearn.experiments.demo import REFERENCES, SHOWN, demo
from tfunlearn.report import AuditReport

FILES = {"report.html", "report.json"} | {
    f"{task}.{kind}" for task in ("random", "class") for kind in ("html", "json", "png")
}
PNG = b"\x89PNG\r\n\x1a\n"


def broken(model, split, *, seed=0, epochs=1):
    """Fails."""
    raise RuntimeError("the reason\nin two lines")


def classes_only(model, split, *, seed=0):
    """Changes nothing much."""
    twin = models.copy(model, seed=seed)
    twin.set_weights([weight * 0.99 for weight in twin.get_weights()])
    return twin


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny demonstration with two methods more: (folder, reports, lines)."""
    out, lines = tmp_path_factory.mktemp("demo") / "out", []
    with pytest.MonkeyPatch.context() as patch:
        kept = {name: methods.describe(name) for name in ("retrain", "finetune")}
        patch.setattr(methods, "_TABLE", kept)
        methods.register(methods.Method(broken, frozenset({"retain"}), "both", "nothing"))
        methods.register(methods.Method(classes_only, frozenset(), "class", "nothing"))
        reports = demo(out, limit=150, which=None, training_epochs=2, epochs=1, say=lines.append)
    return out, reports, lines


def test_files_are_all_there(run):
    out, _, _ = run
    assert {path.name for path in out.iterdir()} == FILES | {".tfunlearn"}
    assert (out / "random.png").read_bytes().startswith(PNG)


def test_audits_can_be_loaded(run):
    out, reports, _ = run
    for task in ("random", "class"):
        assert AuditReport.load(out / f"{task}.json") == AuditReport.load(out / f"{task}.json")
        assert AuditReport.load(out / f"{task}.json").rows == reports[task].rows
        assert reports[task].references == REFERENCES
    assert reports["random"].split["sizes"] == {"forget": 15, "retain": 135, "test": 360}
    counts = reports["class"].split["class_counts"]
    assert counts["retain"][3] == 0
    assert sum(counts["forget"]) == counts["forget"][3] > 0


def test_every_method_has_a_row_or_a_reason(run):
    _, reports, lines = run
    rows = {task: [row.name for row in report.rows] for task, report in reports.items()}
    common = ["original", *REFERENCES, "finetune"]
    assert rows == {"random": common, "class": [*common, "classes_only"]}
    for report in reports.values():
        assert "broken: failed: the reason in two lines" in report.notes
    assert "classes_only: not made for this task" in reports["random"].notes
    assert "  broken: failed: the reason in two lines" in lines
    reasons = [line for line in lines if line.startswith("classes_only, forget a random")]
    assert reasons == ["classes_only, forget a random 10 %: not made for this task"]


def test_table_holds_the_numbers_of_the_audits(run):
    _, reports, lines = run
    heads = next(n for n, line in enumerate(lines) if "forgotten    new" in line)
    table = {re.split(r"\s\s+", line)[0]: line for line in lines[heads + 2 : heads + 8]}
    assert list(table) == ["original", *REFERENCES, "finetune", "classes_only", "broken"]
    for name in ("original", "retrained", "finetune"):
        numbers = [float(number) for number in re.findall(r"\d+\.\d+", table[name])]
        expected = [
            value
            for report in reports.values()
            for value in (
                report.value(name, "forget_accuracy"),
                report.value(name, "test_accuracy"),
                report.value(name, "membership_accuracy"),
                report.average_gap(name),
            )
        ]
        assert numbers == pytest.approx(expected, abs=0.00051)
    assert [name for name, line in table.items() if line.endswith("<- target")] == [*REFERENCES]
    assert max(map(len, table.values())) <= 100


def test_summary_points_to_the_audits(run):
    out, reports, _ = run
    summary = json.loads((out / "report.json").read_text())
    assert summary["schema"] == "tfunlearn.demo"
    assert summary["settings"]["limit"] == 150
    for task, report in reports.items():
        found = summary["tasks"][task]
        assert (out / found["audit"]).is_file()
        assert list(found["models"]) == [row.name for row in report.rows]
        for name, row in found["models"].items():
            assert row["forget_accuracy"] == report.value(name, "forget_accuracy")
    assert summary["tasks"]["random"]["failed"]["broken"] == "failed: the reason in two lines"


def test_page_needs_no_network_and_shows_both_tasks(run):
    page = (run[0] / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "Forget a random 10 %" in page
    assert "Forget every 3" in page
    links = re.findall(r'(?:src|href)="(?!data:)([^"]*)"', page)
    assert set(links) == {"random.html", "random.json", "class.html", "class.json"}


def test_last_line_says_what_to_look_at(run):
    out, _, lines = run
    assert lines[-1].startswith(f"Next: open {out / 'report.html'}")


def test_out_is_checked_before_anything_is_trained(tmp_path):
    (tmp_path / "file").write_text("")
    lines = []
    with pytest.raises(OSError, match="expected a folder"):
        demo(tmp_path / "file" / "out", say=lines.append)
    assert lines == []


def test_an_unknown_method_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(ValueError, match=r"method: expected one of .*'magic'"):
        demo(tmp_path, which=["finetune", "magic"], say=None)


@pytest.mark.slow
def test_command_shows_forgetting_within_its_time(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "tfunlearn.cli", "demo"],
        capture_output=True,
        text=True,
        timeout=580,
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "tfunlearn-demo").iterdir()} == FILES | {".tfunlearn"}
    # 90 seconds on two cores; processor time, so that a busy machine does not matter
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert used < 150
    tasks = json.loads((tmp_path / "tfunlearn-demo" / "report.json").read_text())["tasks"]
    assert not tasks["random"]["failed"]
    random, classes = tasks["random"]["models"], tasks["class"]["models"]
    assert set(SHOWN) <= set(random)
    assert random["original"]["forget_accuracy"] > 0.99  # it knows them by heart
    assert classes["original"]["forget_accuracy"] > 0.99
    for name in REFERENCES:
        assert 0.85 < random[name]["forget_accuracy"] < 1.0
        assert classes[name]["forget_accuracy"] == 0.0
        assert random[name]["retain_accuracy"] > 0.95
