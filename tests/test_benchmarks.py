"""The benchmarks' own code, on a few digits: what they write, and the tables made of it."""

import importlib.util
import json
import pathlib
import typing

import keras
import pytest

from tfunlearn import methods, models
from tfunlearn.audit.thumbnail import thumbnail
from tfunlearn.data import datasets, scenarios
from tfunlearn.experiments import startup
from tfunlearn.report import AuditReport

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
SHORT = ["--dataset", "digits", "--limit", "100", "--epochs", "2", "--references", "2"]


def load(name):
    """Returns a benchmark as a module."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shrink(
    model,
    split,
    *,
    seed=0,
    epochs: int = 3,
    batch_size: int = 128,
    loss=None,
    learning_rate: float | None = None,
    factor: float = 0.9,
    strength: float = 20.0,
    rounds: int = 8,
    quick: bool = False,
    kind: typing.Literal["a", "b"] = "a",
    start: float = 0.0,
    parts: tuple = (),
    epsilon: float = 1.0,
    stop_accuracy: float | typing.Literal["auto"] | None = "auto",
    ceiling: float | typing.Literal["chance"] | None = "chance",
    exclude: bool | None = None,
    full: int | None = None,
    free: int = 0,
    rates: typing.Sequence[float] | None = None,
    turns: typing.Collection[int] = (3,),
):
    """Makes weights smaller."""
    twin = models.copy(model, seed=seed)
    twin.set_weights([factor * weight for weight in twin.get_weights()])
    return twin


def broken(model, split, *, seed=0):
    """Fails."""
    raise RuntimeError("no luck")


def classes_only(model, split, *, seed=0):
    """Is for whole classes."""


@pytest.fixture
def few(monkeypatch):
    """Three methods of the tests' own in the place of all."""
    monkeypatch.setattr(startup, "start", lambda: None)
    kept = {"retrain": methods.describe("retrain")}
    monkeypatch.setattr(methods, "_TABLE", kept)
    for function, scope in ((shrink, "both"), (broken, "both"), (classes_only, "class")):
        methods.register(methods.Method(function, frozenset(), scope, "nothing"))


def test_search_and_comparison_and_table(few, tmp_path, monkeypatch):
    folders = ["--results", str(tmp_path), "--runs", str(tmp_path / "runs")]
    own = [*SHORT, *folders]
    load("search").main([*own, "--task", "mislabelled", "--trials", "3"])
    search = json.loads((tmp_path / "search_digits_mislabelled.json").read_text())
    assert search["seeds"] == [100]
    tried = {row["name"] for row in search["trials"] if row["method"]}
    assert tried == {f"{name} {n}" for name in ("shrink", "broken") for n in range(3)}
    assert search["command"].startswith("python benchmarks/search.py --dataset digits")
    assert str(tmp_path) not in search["command"]
    assert search["environment"]["keras"] == keras.__version__
    # under so short a retraining nothing may be cheap, so the next step gets its own finding
    search["best"] = {"shrink": {"options": {"factor": 0.8}}}
    (tmp_path / "search_digits_mislabelled.json").write_text(json.dumps(search))

    load("run_compare").main([*own, "--tasks", "mislabelled", "--seeds", "1"])
    result = json.loads((tmp_path / "compare_digits_mislabelled.json").read_text())
    assert result["benchmark"] == "compare"
    assert str(tmp_path) not in result["command"]
    names = {row["name"] for row in result["rows"]}
    assert names == {"do_nothing", "retrain", "shrink", "shrink (searched)", "broken"}

    tables = load("tables")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    text = tables.compare_tables("dense")
    shown = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()}
    closed = {row["name"]: row["gap_closed"] for row in result["rows"]}
    share = {row["name"]: row["share_of_retraining"] for row in result["rows"]}
    expected = ", ".join(
        f"{word}{closed[name]:.2f} at {share[name]['mean']:.2f}"
        for word, name in (("", "shrink"), ("searched ", "shrink (searched)"))
    )
    assert "| method | mislabelled |" in text
    assert "seeds, each with references: mislabelled 1 with 2." in text
    assert shown["`shrink`"] == f"| `shrink` | {expected} |"
    assert shown["`broken`"] == "| `broken` | failed |"
    assert shown["`classes_only`"] == "| `classes_only` | not for it |"
    nothing = next(row for row in result["rows"] if row["name"] == "do_nothing")
    assert shown["*gap of doing nothing*"].endswith(f" {nothing['gap']['mean']:.4f} |")
    assert "- mislabelled: broken failed under seed 0: no luck" in text
    assert tables.compare_tables("cnn").startswith("Not run yet: ")


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        *(("run_compare", name, "1") for name in ("seeds", "references", "epochs", "limit")),
        *(("search", name, "2") for name in ("references", "epochs", "limit")),
        ("run_compare", "methods", "finetune"),
    ],
)
def test_smaller_runs_are_no_committed_results(name, option, value, capsys, monkeypatch):
    monkeypatch.setattr(startup, "start", lambda: pytest.fail("it has started"))
    task = ["--task", "random"] if name == "search" else []
    with pytest.raises(SystemExit):
        load(name).main(["--dataset", "digits", *task, f"--{option}", value])
    assert f"error: --{option}: --results FOLDER is wanted too" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["run_compare", "search"])
def test_whole_runs_are_committed_results(name, monkeypatch):
    def start():
        raise KeyboardInterrupt

    monkeypatch.setattr(startup, "start", start)
    more = (
        ["--task", "random", "--trials", "2", "--methods", "delete"]
        if name == "search"
        else ["--seeds", "4"]
    )
    with pytest.raises(KeyboardInterrupt):
        load(name).main(["--dataset", "digits", *more])


def test_search_stays_off_the_seeds_of_the_tables(capsys):
    with pytest.raises(SystemExit):
        load("search").main([*SHORT, "--task", "random", "--seeds", "2", "100"])
    assert "expected seeds from 100" in capsys.readouterr().err


def test_cells_without_a_share():
    cell = load("tables").compare_cell
    row = trial("one", 0, 0.1, share=0.2, gap_closed=None, method="one 0")
    assert cell(row) == "- at 0.20"
    assert cell({**row, "gap_closed": 0.5, "failed": {"1": "no"}}) == "0.50 at 0.20 (failed once)"
    assert cell({**row, "gap_closed": 0.5, "share_of_retraining": None}) == "0.50"
    assert cell({**row, "gap": None}) == "- (not finite)"
    assert cell({**row, "gap": None, "failed": {"1": "no"}}) == "failed"


def trial(name, number, gap, share=0.05, **changes):
    """Returns a row of figures as a search has it."""
    row = {
        "name": f"{name} {number}",
        "method": name,
        "options": {"epochs": number},
        "gap": None if gap is None else {"mean": gap},
        "gap_closed": 0.5,
        "in_range": 1,
        "share_of_retraining": {"mean": share},
        "failed": {},
        "collapsed": [],
    }
    return {**row, **changes}


def test_best_is_the_closest_trial_that_is_cheap_and_whole():
    rows = [
        trial("one", 1, 0.01, share=0.11),
        trial("one", 2, 0.02, collapsed=[100]),
        trial("one", 3, 0.03, failed={"101": "no luck"}),
        trial("one", 4, None),
        trial("one", 5, 0.05, share=0.1),
        trial("one", 6, 0.06),
        trial("slow", 0, 0.01, share=0.2),
        {**trial("-", 0, 0.0), "name": "do_nothing", "method": None},
    ]
    found = load("search").best(rows)
    assert list(found) == ["one"]
    assert found["one"]["options"] == {"epochs": 5}
    assert found["one"]["share_of_retraining"] == {"mean": 0.1}


def test_trials_are_drawn_around_the_defaults(few):
    search, training = load("search"), scenarios.TRAINING["digits"]
    line = methods.describe("shrink")
    drawn = [search.draw(line, number, training) for number in range(200)]
    assert drawn[0] == {}
    assert drawn == [search.draw(line, number, training) for number in range(200)]
    values = {name: [own[name] for own in drawn if name in own] for name in line.options}
    for name in ("seed", "loss", "start", "parts", "epsilon", "rates", "turns"):
        assert values[name] == []
    few = training.epochs // 10
    cheap = [own["epochs"] for own in drawn[1::2]]  # every second trial fits into a tenth
    assert (min(cheap), max(cheap)) == (1, few)
    assert max(own.get("epochs", 0) for own in drawn[::2]) > few
    for name in ("factor", "strength", "rounds", "learning_rate", "ceiling", "full"):
        assert 70 < len(values[name]) < 130
    stops = [stop for stop in values["stop_accuracy"] if stop is not None]
    assert 0 <= min(stops) < 0.2 < 0.8 < max(stops) <= 1
    assert len(stops) < len(values["stop_accuracy"])  # also no stop at all
    assert 0 < min(values["ceiling"]) < 2.3 < max(values["ceiling"])
    assert set(values["exclude"]) == {True, False}
    assert (set(values["full"]), set(values["free"])) == ({1, 2, 3}, {0, 1, 2, 3})
    assert 0 < min(values["factor"]) < 0.6 < 0.95 < max(values["factor"]) < 1
    assert 2 <= min(values["strength"]) < 4 < 100 < max(values["strength"]) <= 200
    assert 2 <= min(values["rounds"]) < max(values["rounds"]) <= 32
    rate = training.learning_rate
    assert rate / 100 <= min(values["learning_rate"]) < rate < max(values["learning_rate"])
    assert max(values["learning_rate"]) <= 10 * rate
    assert set(values["kind"]) == {"a", "b"}
    assert set(values["quick"]) == {True, False}
    assert all(isinstance(n, int) for n in [*values["epochs"], *values["rounds"]])
    json.dumps(drawn)


def test_trials_hold_no_share_above_one():
    method, training = methods.describe("sfr_on"), scenarios.TRAINING["digits"]
    drawn = [load("search").draw(method, number, training) for number in range(60)]
    shares = [own["slow_rate"] for own in drawn if "slow_rate" in own]
    assert 0 < min(shares) < 0.3 < 0.8 < max(shares) <= 1


@pytest.mark.slow
def test_audit_writes_report_page_and_what_takes_both_banks(tmp_path, monkeypatch):
    monkeypatch.setattr(startup, "start", lambda: None)
    module = load("run_audit")
    monkeypatch.setattr(module, "COST", (3, 100, 4))
    small = ["--dataset", "digits", "--limit", "100", "--epochs", "40", "--models", "3"]
    chosen = ["--tasks", "mislabelled", "--methods", "finetune"]
    folders = ["--results", str(tmp_path), "--runs", str(tmp_path / "runs")]
    module.main([*small, *chosen, *folders])
    report = AuditReport.load(tmp_path / "audit_digits_mislabelled.json")
    assert [row.name for row in report.rows] == ["original", "finetune", "held-out retrain"]
    assert report.reference_seeds == (1, 2, 3)
    assert "runs" not in report.command
    assert (tmp_path / "audit_digits_mislabelled.html").is_file()
    (images, _), _ = datasets.load("digits")
    assert len(report.evidence["finetune"].worst) == 5
    for example in report.evidence["finetune"].worst:
        assert example.image == thumbnail(images[example.id])
    extra = json.loads((tmp_path / "audit_digits_mislabelled_extra.json").read_text())
    assert extra["models"] == {"without": 3, "held_out": 1, "with": 3}
    assert set(extra["attacks"]) == {"original", "finetune"}
    assert all(0 <= found["lira_online_auc"] <= 1 for found in extra["attacks"].values())
    assert len(extra["relearn"]["steps"]) == 2 + 3
    assert extra["cost"]["models"] == 3


def test_a_smaller_audit_is_no_committed_result(capsys):
    with pytest.raises(SystemExit):
        load("run_audit").main(["--models", "3"])
    assert "--models: --results FOLDER is wanted too" in capsys.readouterr().err


def test_the_table_of_audits():
    """A row per model with its verdict, and one of the references' means."""

    def figures(value, others):
        names = ("forget_accuracy", "retain_accuracy", "test_accuracy", "lira_auc")
        return [{"name": name, "value": value, "references": others} for name in names]

    def verdict(inside, p_value):
        return {"inside": inside, "p_value": p_value, "references": 2}

    report = {
        "evidence": {
            "original": {"figures": figures(1.0, [0.5, 0.75]), "verdict": verdict(False, 0.031)},
            "kept out": {"figures": figures(0.6, [0.5, 0.75]), "verdict": verdict(True, 0.5)},
        }
    }
    counts = {"original": None, "retrained, seed 1": 7, "retrained, seed 2": 3}
    cost = {"models": 64, "examples": 10_000, "peak_megabytes_of_the_process": 1536.0}
    extra = {
        "relearn": {"steps": counts, "max_steps": 400},
        "cost": {**cost, "seconds": {"median": 0.51}},
    }
    table = load("audit_table").table
    found = {f"audit_mnist_{task}.json": report for task in ("random", "mislabelled")}
    found |= {name.replace(".json", "_extra.json"): extra for name in found}
    lines = table(found.get).splitlines()
    assert lines[2:5] == [
        "| a random tenth | original | 1.000 | 1.000 | 1.000 | 1.000 | over 400 | "
        "outside, p = 0.03 |",
        "| a random tenth | kept out | 0.600 | 0.600 | 0.600 | 0.600 |  | **inside**, p = 0.50 |",
        "| a random tenth | *mean of 2 references* | 0.625 | 0.625 | 0.625 | 0.625 | 3 to 7 |  |",
    ]
    assert lines[-1] == (
        "p = 0.33 is the smallest that 2 references can give. "
        "All figures of one model beside 64 models on 10,000 examples: 0.5 to 0.5 s, "
        "at most 1.5 GB in all."
    )
    assert table(lambda name: None).startswith("Not run yet")
    # each model has references of its own
    report["evidence"]["kept out"]["figures"] = figures(0.6, [0.25, 0.75])
    assert "| *mean of 2 references* | 0.500 to 0.625 | 0.500 to" in table(found.get)
