"""Class weights on the command line, and sample weights in a data file."""

import argparse
import os

import keras
import numpy as np
import pytest

from tfunlearn import cli, methods
from tfunlearn.commands.arguments import class_weight
from tfunlearn.data import datasets
from tfunlearn.experiments.files import make_split
from tfunlearn.experiments.settings import parse
from tfunlearn.report import AuditReport

TRAIN, WEIGHTS = 60, ["--class-weight", "0=1", "2=20"]


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A model, its data with sample weights, and ids, in the folder where the process works."""
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    net.save(tmp_path / "m.keras")
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(TRAIN + 30, 4)).astype("float32"), np.arange(TRAIN + 30) % 3
    rows = {"x_train": x[:TRAIN], "y_train": y[:TRAIN], "x_test": x[TRAIN:], "y_test": y[TRAIN:]}
    np.savez(tmp_path / "plain.npz", **rows)
    np.savez(tmp_path / "d.npz", **rows, sample_weight_train=numbers.uniform(0, 2, TRAIN))
    (tmp_path / "ids.txt").write_text("0\n3\n7\n8\n11\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def unlearn(*args, data="d.npz", method="finetune"):
    what = ["--model", "m.keras", "--data", data, "--forget", "ids.txt"]
    return cli.main(["unlearn", *what, "--method", method, "--out", "out", *args])


def gap(path, model):
    pairs = zip(keras.saving.load_model(path).get_weights(), model.get_weights(), strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


def test_they_are_those_of_the_method_and_of_retrain(task):
    recipe = ["epochs=2", "batch_size=8"]
    assert unlearn("--set", *recipe, *WEIGHTS, "--retrain", *recipe) == 0
    net, own = keras.saving.load_model("m.keras"), np.load("d.npz")["sample_weight_train"]
    split = make_split("plain.npz", net, forget="ids.txt")
    options = {"epochs": 2, "batch_size": 8, "class_weight": {0: 1, 2: 20}, "sample_weight": own}
    assert gap("out/unlearned.keras", methods.finetune(net, split, **options)) < 1e-6
    retrained = methods.retrain(net, split, seed=1, **options)
    assert gap("out/retrained.keras", retrained) < 1e-6
    notes = "\n".join(AuditReport.load(task / "out" / "report.json").notes)
    assert notes.count("class_weight={0: 1.0, 2: 20.0}") == 2
    assert "sample weights as the data holds them" in notes


def test_a_method_that_does_not_take_them(task, capsys):
    assert unlearn(*WEIGHTS, method="ssd") == 2
    assert "--class-weight: ssd does not take it" in capsys.readouterr().err
    assert unlearn(*WEIGHTS, "--set", "class_weight={0: 1}") == 2
    assert "--class-weight: expected class weights once" in capsys.readouterr().err
    assert unlearn(*WEIGHTS, "0=3") == 2
    assert "--class-weight: expected every class once. Received 0" in capsys.readouterr().err
    assert unlearn("--class-weight", "7=3") == 1
    assert "class_weight: expected classes of the data" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"sample_weight is not set here.*sample_weight_train"):
        parse("finetune", ["sample_weight=[1, 2]"])


def test_a_bank_is_made_and_found_by_them(task, capsys):
    files = ["--data", "d.npz", "--forget", "ids.txt"]
    recipe = ["--epochs", "1", "--batch-size", "16"]
    args = ["--model", "m.keras", *files, *recipe, *WEIGHTS, "--models", "3", "--out", "bank"]
    assert cli.main(["bank", *args]) == 0
    audit = ["audit", "--original", "m.keras", "--unlearned", "m.keras", *files, "--bank", "bank"]
    for described in ([], recipe):
        assert cli.main([*audit, *described, *WEIGHTS, "--out", "out"]) == 0
    report = AuditReport.load(task / "out" / "report.json")
    assert "--class-weight 0=1 2=20" in report.command
    words = "under class weights {2: 20} and sample weights"
    assert any(words in note for note in report.notes)
    capsys.readouterr()
    assert cli.main([*audit, "--out", "out"]) == 1
    assert "differs in training class_weight" in capsys.readouterr().err
    assert cli.main([*audit, *recipe, "--class-weight", "1=2.5", "--out", "out"]) == 1
    err = capsys.readouterr().err
    assert "--class-weight 1=2.5 --out bank" in err
    assert "class_weight {'2': 20.0} for {'1': 2.5}" in err


def test_where_they_do_not_belong(task, capsys):
    files = ["--original", "m.keras", "--unlearned", "m.keras", "--data", "d.npz"]
    assert cli.main(["audit", *files, "--forget", "ids.txt", *WEIGHTS]) == 2
    assert "--class-weight: not allowed without --bank" in capsys.readouterr().err
    assert cli.main(["bank", "--task", "random", *WEIGHTS]) == 2
    assert "--class-weight: not allowed with argument --task" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["1", "1=", "=2", "a=1", "-1=2", "1=-2", "1=nan", "1=inf", "1=2=3"]
)
def test_what_is_no_class_weight(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected .*Received: "):
        class_weight(text)
    assert class_weight("1=2.5") == (1, 2.5)


BAD = {
    "short": (np.ones(3), ValueError, r"sample_weight_train: .*\(60,\)"),
    "negative": (-np.ones(TRAIN), ValueError, "sample_weight_train: .*-1.0"),
    "text": (np.full(TRAIN, "a"), TypeError, "sample_weight_train: .*numbers"),
    "pickled": (np.full(TRAIN, None), ValueError, "cannot be used"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_weights_in_a_file(task, case):
    weights, error, words = BAD[case]
    np.savez("bad.npz", **np.load("plain.npz"), sample_weight_train=weights)
    with pytest.raises(error, match=words):
        datasets.read_weights("bad.npz")
    assert datasets.read_weights("plain.npz") is None
    assert unlearn(data="bad.npz") == 1


@pytest.mark.parametrize("name", ["sample_weight", "sample_weights_train", "class_weight"])
def test_weights_under_a_name_that_is_not_read_are_not_passed_over(task, name, capsys):
    np.savez("bad.npz", **np.load("plain.npz"), **{name: np.ones(TRAIN)})
    assert unlearn("--set", "epochs=1", data="bad.npz") == cli.FAILED
    assert (
        f"Expected: sample_weight_train, one for each training example; class weights are an "
        f"option. Received: {name}." in capsys.readouterr().err
    )


def test_texts_for_a_model_of_numbers_are_refused_by_name(task, capsys):
    rows = dict(np.load("plain.npz"))
    np.savez("bad.npz", **rows | {"x_train": rows["x_train"].astype("U9")})
    assert unlearn("--set", "epochs=1", data="bad.npz") == cli.FAILED
    assert "data: 'bad.npz': x_train holds texts. Expected: numbers" in capsys.readouterr().err


def test_an_empty_out_is_not_the_current_folder(task, capsys):
    before = sorted(task.iterdir())
    assert unlearn("--out", "") == cli.BAD_ARGUMENTS
    assert "--out: expected a path. Received: '' (empty)." in capsys.readouterr().err
    assert sorted(task.iterdir()) == before


def test_a_pipe_is_not_called_absent(task, capsys):
    os.mkfifo("pipe")
    assert unlearn("--forget", "pipe") == cli.BAD_ARGUMENTS
    assert (
        "expected an existing file. Received: 'pipe', a pipe or a device" in capsys.readouterr().err
    )
