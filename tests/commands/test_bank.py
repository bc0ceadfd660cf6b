import io
import json
import re

import keras
import numpy as np
import pytest

from tfunlearn import audit, cli
from tfunlearn.commands.bank_bar import Bar
from tfunlearn.experiments import bank, startup


@pytest.fixture
def started(monkeypatch):
    """Keeps the start of Keras away."""
    monkeypatch.setattr(startup, "start", lambda **options: None)


@pytest.fixture
def calls(monkeypatch, started):
    """Records what is asked of the experiment: a list of (name, args, options)."""
    found = []
    for name in ("bank_of_task", "bank_of_file", "fill"):

        def record(*args, name=name, **options):
            found.append((name, args, options))
            return "the bank"

        monkeypatch.setattr(bank, name, record)
    return found


@pytest.fixture
def files(tmp_path):
    """A model, its data and a list of ids."""
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    net.save(tmp_path / "m.keras")
    x, y = np.random.default_rng(0).normal(size=(40, 4)).astype("float32"), np.arange(40) % 2
    np.savez(tmp_path / "d.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    (tmp_path / "ids.txt").write_text("0\n3\n7\n")
    return tmp_path


def error_line(capsys):
    """Returns stderr, which must be one line of the agreed form."""
    err = capsys.readouterr().err
    assert err.startswith("tfunlearn: error: ")
    assert err.count("\n") == 1
    return err


def test_a_task_gets_its_options(tmp_path, calls):
    out = str(tmp_path / "out")
    args = ["bank", "--task", "mislabelled", "--dataset", "mnist", "--limit", "90", "--out", out]
    args += ["--epochs", "7", "--data-dir", str(tmp_path), "--models", "4", "--with-forget", "3"]
    args += ["--workers", "2", "--threads", "3", "--dtype", "float16", "--keep-weights"]
    assert cli.main([*args, "--seed", "9", "--ray-address", "auto"]) == 0
    [(name, given, options), (filling, filled, how)] = calls
    assert callable(options.pop("say"))
    assert (name, given) == ("bank_of_task", ("mislabelled", out))
    assert options == {
        "dataset": "mnist",
        "limit": 90,
        "data_dir": tmp_path,
        "epochs": 7,
        "seed": 9,
        "dtype": "float16",
        "keep_weights": True,
        "threads": 3,
    }
    assert isinstance(how.pop("progress")(), Bar)
    assert (filling, filled) == ("fill", ("the bank", 4, 3))
    assert how == {"workers": 2, "ray_address": "auto"}


def test_a_model_of_ones_own_gets_its_options(files, calls):
    out, model, data = (str(files / name) for name in ("out", "m.keras", "d.npz"))
    args = ["bank", "--model", model, "--data", data, "--out", out, "--epochs", "2"]
    assert cli.main([*args, "--forget", str(files / "ids.txt"), "--batch-size", "8"]) == 0
    assert cli.main([*args, "--class", "0", "1"]) == 0
    (_, given, options), (_, filled, _), (_, _, by_class), _ = calls
    assert [str(part) for part in given] == [model, data, out]
    assert options["forget"] == files / "ids.txt"
    assert options["batch_size"] == 8
    assert filled == ("the bank", 32, 0)
    assert by_class["classes"] == [0, 1]
    assert not {"forget", "batch_size"} & set(by_class)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "one of the arguments --task --model is required"),
        (["--task", "magic"], "invalid choice: 'magic'"),
        (["--task", "random", "--model", __file__], "not allowed with argument --task"),
        (["--task", "random", "--data", __file__], "--data: not allowed with argument --task"),
        (["--task", "random", "--class", "1"], "--class: not allowed with argument --task"),
        (["--model", __file__, "--limit", "3"], "--limit: not allowed with argument --model"),
        (["--model", __file__], "required with --model: --data, --epochs, --forget or --class"),
        (["--model", "nowhere"], "expected an existing file. Received: 'nowhere'"),
        (["--task", "random", "--models", "0"], "--models: expected a whole number of at least 1"),
        (["--task", "random", "--with-forget", "-1"], "whole number of at least 0"),
        (["--task", "random", "--dtype", "int8"], "invalid choice: 'int8'"),
    ],
    ids=" ".join,
)
def test_bad_arguments_are_one_line_and_status_2(args, words, tmp_path, capsys, calls):
    assert cli.main(["bank", "--out", str(tmp_path), *args]) == 2
    assert words in error_line(capsys)
    assert calls == []


def test_a_bank_is_filled_and_goes_on(files, capsys, monkeypatch):
    """The command as it stands, but for Keras' start, which a test process has behind it."""
    monkeypatch.setattr(startup, "start", lambda **options: None)
    out = files / "out"
    args = ["bank", "--model", str(files / "m.keras"), "--data", str(files / "d.npz")]
    args += ["--forget", str(files / "ids.txt"), "--epochs", "1", "--out", str(out)]
    assert cli.main([*args, "--models", "2"]) == 0
    printed = capsys.readouterr()
    told = printed.err.splitlines()
    assert re.match(r"1 of 2, \d+:\d\d left; seed 0, without the forget set: made in ", told[0])
    assert told[1].startswith("2 of 2; seed 1, without the forget set: made in")
    lines = printed.out.splitlines()
    assert lines[0].startswith("2 models without the forget set, seeds 0 to 1, ")
    rate = "at learning rate 0.01 from the model's saved optimizer"
    assert lines[0].endswith(f"s each; 2 of them made now, {rate}")
    assert [line.split()[0] for line in lines[1:4]] == ["forget", "retain", "test"]
    assert all(line.endswith("(N=2)") for line in lines[1:4])
    [folder] = out.iterdir()
    assert lines[4] == f"Kept in {folder}"
    assert json.loads((folder / "bank.json").read_text())["settings"]["training"]["epochs"] == 1
    monkeypatch.setattr(audit.bank, "make_with_processes", None)  # nothing to make
    assert cli.main([*args, "--models", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines()[0].endswith(f"; 0 of them made now, {rate}")


class Terminal(io.StringIO):
    """What shows the last state of its last line."""

    def isatty(self):
        return True

    def line(self):
        return self.getvalue().split("\n")[-1].split("\r")[-1].rstrip()


def test_the_bar_of_a_terminal():
    times, screen = iter([0, 10, 70, 4000, 4100]), Terminal()
    bar = Bar(screen, lambda: next(times))
    bar.say("before")
    assert screen.getvalue() == "before\n"
    bar(1, 4, "seed 0: made")
    assert screen.line() == "[=======                       ] 1 of 4, 0:30 left"
    bar(2, 4, "seed 1: made")
    assert screen.line() == "[===============               ] 2 of 4, 1:10 left"
    bar.say("seed 2: its process died")
    shown = screen.getvalue().split("\n")
    assert shown[-2].split("\r")[-1] == "seed 2: its process died"
    assert screen.line() == "[===============               ] 2 of 4, 1:10 left"
    bar(3, 4, "seed 2: made")
    assert screen.line() == "[======================        ] 3 of 4, 22:13 left"
    bar(4, 4, "seed 3: made")
    assert screen.getvalue().rstrip().endswith("] 4 of 4")
    assert screen.getvalue().endswith("\n")
    assert "seed 0" not in screen.getvalue()


def test_the_lines_of_a_file():
    times, file = iter([0, 2, 4000]), io.StringIO()
    bar = Bar(file, lambda: next(times))
    bar(1, 3, "seed 0: made in 2.0 s")
    bar.say("seed 1: its process died")
    bar(2, 3, "seed 1: made in 1.0 s")
    assert file.getvalue().splitlines() == [
        "1 of 3, 0:04 left; seed 0: made in 2.0 s",
        "seed 1: its process died",
        "2 of 3, 33:20 left; seed 1: made in 1.0 s",
    ]


def test_hours_are_shown():
    file = io.StringIO()
    times = iter([0, 3661])
    Bar(file, lambda: next(times))(1, 2, "one")
    assert file.getvalue() == "1 of 2, 1:01:01 left; one\n"
