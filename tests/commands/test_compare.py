import json

import pytest

from tfunlearn import cli
from tfunlearn.commands import compare as command
from tfunlearn.data import scenarios
from tfunlearn.experiments import compare, startup


@pytest.fixture
def started(monkeypatch):
    """Keeps the start of Keras away."""
    monkeypatch.setattr(startup, "start", lambda **options: None)


def error_line(capsys):
    """Returns stderr, which must be one line of the agreed form."""
    err = capsys.readouterr().err
    assert err.startswith("tfunlearn: error: ")
    assert err.count("\n") == 1
    return err


def test_compare_gets_its_options(tmp_path, monkeypatch, started, capsys):
    calls = []
    monkeypatch.setattr(compare, "compare", lambda *args, **options: calls.append((args, options)))
    found = tmp_path / "search.json"
    best = {"retrain": {"options": {}}, "finetune": {"options": {"epochs": 1}}}
    found.write_text(json.dumps({"schema": "tfunlearn.search", "best": best}))
    out = str(tmp_path / "out")
    options = ["--methods", "finetune,vision_confuser", "--seeds", "2", "--references", "4"]
    options += ["--limit", "90", "--epochs", "7", "--data-dir", str(tmp_path)]
    options += ["--set", "finetune.epochs=3", "vision_confuser.stddev=0.5"]
    args = ["compare", "--task", "backdoor", "--dataset", "cifar10", "--out", out, *options]
    args += ["--workers", "2", "--threads", "3", "--ray-address", "auto"]
    assert cli.main([*args, "--searched", str(found)]) == 0
    [(given, options)] = calls
    noted = options.pop("command")
    assert given == ("backdoor",)
    assert options == {
        "out": out,
        "dataset": "cifar10",
        "names": ["finetune", "vision_confuser"],
        "seeds": 2,
        "references": 4,
        "limit": 90,
        "epochs": 7,
        "data_dir": tmp_path,
        "options": {"finetune": {"epochs": 3}, "vision_confuser": {"stddev": 0.5}},
        "searched": {"finetune": {"epochs": 1}},
        "workers": 2,
        "ray_address": "auto",
        "threads": 3,
        "force": False,
        "inputs": {"searched": found},
        "verbose": 0,
    }
    assert noted == (
        "tfunlearn compare --task backdoor --dataset cifar10 --methods finetune,vision_confuser "
        "--seeds 2 --references 4 --limit 90 --epochs 7 --set finetune.epochs=3 "
        f"vision_confuser.stddev=0.5 --searched {found.name} --workers 2 --threads 3"
    )
    assert capsys.readouterr().out.endswith("report.html and report.json\n")


def test_compare_by_default_runs_everything(tmp_path, monkeypatch, started):
    calls = []
    monkeypatch.setattr(compare, "compare", lambda *args, **options: calls.append(options))
    assert cli.main(["compare", "--task", "random", "--out", str(tmp_path)]) == 0
    expected = {"dataset": "digits", "names": None, "seeds": 3, "references": 3, "limit": None}
    expected |= {"workers": None, "ray_address": None, "threads": None}
    assert expected.items() <= calls[0].items()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "required: --task"),
        (["--task", "magic"], "invalid choice: 'magic'"),
        (["--task", "random", "--seeds", "0"], "--seeds: expected a whole number of at least 1"),
        (
            ["--task", "random", "--workers", "0"],
            "--workers: expected a whole number",
        ),
        (
            ["--task", "random", "--threads", "x"],
            "--threads: expected a whole number",
        ),
        (["--task", "random", "--methods", "magic"], "method: expected one of retrain"),
        (["--task", "random", "--set", "epochs=1"], "--set: expected METHOD.KEY=VALUE"),
        (["--task", "random", "--set", "finetune.magic=1"], "finetune does not take 'magic'"),
        (
            ["--task", "random", "--methods", "finetune", "--set", "vision_confuser.epochs=1"],
            "vision_confuser: options for a method that is not run",
        ),
        (["--task", "random", "--searched", __file__], "xpected a file of benchmarks/search.py"),
    ],
    ids=" ".join,
)
def test_bad_arguments_of_compare(args, words, tmp_path, capsys, started, monkeypatch):
    monkeypatch.setattr(compare, "compare", None)
    assert cli.main(["compare", "--out", str(tmp_path), *args]) == 2
    assert words in error_line(capsys)


def test_compare_knows_the_tasks_and_data_sets():
    assert command.TASKS == scenarios.TASKS
    assert tuple(scenarios.TRAINING) == command.DATASETS
