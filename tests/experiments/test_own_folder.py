"""An output folder of a command: inputs survive, sets are whole, and a model fits its report."""

import hashlib
import json
import os
import shutil

import keras
import numpy as np
import pytest

from tfunlearn import cli
from tfunlearn.report import AuditReport
from tfunlearn.storage.journal import commit
from tfunlearn.storage.manifest import Manifest

L = keras.layers
CLASSES, COUNT = 3, 45
QUICK = ["--method", "finetune", "--set", "epochs=1", "batch_size=20"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a model, its data and ids, and what the command made of them in `o`."""
    folder = tmp_path_factory.mktemp("made")
    keras.utils.set_random_seed(0)
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(COUNT + 15, 8)).astype("float32"), np.arange(COUNT + 15) % CLASSES
    arrays = {"x_train": x[:COUNT], "y_train": y[:COUNT], "x_test": x[COUNT:], "y_test": y[COUNT:]}
    np.savez(folder / "data.npz", **arrays)
    arrays["x_test"] = np.full_like(arrays["x_test"], np.nan)
    np.savez(folder / "late.npz", **arrays)
    (folder / "ids.txt").write_text("\n".join(map(str, range(9))))
    net = keras.Sequential([keras.Input((8,)), L.Dense(CLASSES, "softmax")])
    net.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    net.save(folder / "model.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert unlearn("--retrain", "epochs=1") == 0
    return folder


@pytest.fixture
def task(made, tmp_path, monkeypatch):
    """The same in a folder of one's own, in which the process works."""
    shutil.copytree(made, tmp_path / "task")
    monkeypatch.chdir(tmp_path / "task")
    return tmp_path / "task"


def unlearn(*args, model="model.keras", data="data.npz", forget="ids.txt", out="o"):
    files = ["--model", model, "--data", data, "--forget", forget, "--out", out]
    return cli.main(["unlearn", *map(str, files), *QUICK, *args])


def audit(*args, original="model.keras", unlearned="o/unlearned.keras", out="a", data="data.npz"):
    files = ["--original", original, "--unlearned", unlearned, "--data", data, "--out", out]
    return cli.main(["audit", *map(str, files), "--forget", "ids.txt", *args])


def there(folder):
    """Returns the sha256 of every file, the private ones left out."""
    return {
        str(path.relative_to(folder)): sha256(path)
        for path in folder.rglob("*")
        if path.is_file() and ".tfunlearn" not in path.parts
    }


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_a_folder(name):
    """Puts an input into a folder that nothing was written to, under a name of the results."""

    def spoil(task):
        os.mkdir("own")
        shutil.copy(name[0], f"own/{name[1]}")
        return f"own/{name[1]}"

    return spoil


REFUSED = {
    "a request again": (lambda task: "o/unlearned.keras", "model", "o"),
    "by dots": (lambda task: "o/../o/unlearned.keras", "model", "./o"),
    "by its whole path": (lambda task: task / "o" / "unlearned.keras", "model", "o"),
    "a link": (lambda task: os.symlink("o/unlearned.keras", "l.keras") or "l.keras", "model", "o"),
    "a hard link": (
        lambda task: os.link("o/unlearned.keras", "l.keras") or "l.keras",
        "model",
        "o",
    ),
    "a link to the folder": (
        lambda task: os.symlink("o", "p") or "o/unlearned.keras",
        "model",
        "p",
    ),
    "a model": (in_a_folder(("model.keras", "unlearned.keras")), "model", "own"),
    "ids": (in_a_folder(("ids.txt", "report.txt")), "forget", "own"),
    "a reference": (lambda task: "o/unlearned.keras", "--reference", "o"),
}


@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "forced"])
@pytest.mark.parametrize("case", REFUSED)
def test_unlearn_overwrites_no_input(case, force, task, capsys):
    make, argument, out = REFUSED[case]
    path = make(task)
    before = there(task)
    given = {argument: path} if argument in ("model", "forget") else {}
    assert unlearn(*([] if given else [argument, str(path)]), *force, out=out, **given) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"tfunlearn: error: {argument.strip('-')}: '{path}' would be overwritten")
    assert "give another --out" in err
    assert err.count("\n") == 1
    assert there(task) == before


def test_audit_overwrites_no_input(task, capsys):
    shutil.copytree("o", "own")
    shutil.copy("data.npz", "own/report.json")
    shutil.rmtree("own/.tfunlearn")
    before = there(task)
    assert audit(data="own/report.json", out="own") == 2
    assert "data: 'own/report.json' would be overwritten" in capsys.readouterr().err
    assert audit(out="o") == 2  # a model may lie there, but the folder is another command's
    assert "audit does not overwrite files of tfunlearn unlearn" in capsys.readouterr().err
    assert there(task) == before


def test_unlearning_what_was_unlearned(task):
    assert unlearn(model="o/unlearned.keras", out="o2") == 0
    report = AuditReport.load("o2/report.json")
    assert report.files["original"].sha256 == sha256(task / "o" / "unlearned.keras")
    assert report.files["finetune"].sha256 == sha256(task / "o2" / "unlearned.keras")
    shown = {name: (file.name, file.beside) for name, file in report.files.items()}
    assert shown == {"original": ("unlearned.keras", False), "finetune": ("unlearned.keras", True)}
    for name in ("report.html", "report.txt"):
        text = (task / "o2" / name).read_text()
        assert all(file.sha256 in text.replace("\n", " ") for file in report.files.values())


def test_a_late_error_leaves_the_earlier_set(task, capsys):
    before = there(task)
    assert unlearn(data="late.npz") == 1
    assert there(task) == before
    assert sorted(os.listdir("o/.tfunlearn")) == ["lock", "manifest.json"]
    assert unlearn(data="late.npz", out="fresh") == 1
    assert os.listdir("fresh") == []


def test_files_that_the_command_did_not_write(task, capsys):
    (task / "o" / "report.html").write_text("my notes on it")
    before = there(task)
    assert unlearn() == 2
    err = capsys.readouterr().err
    assert (
        "out: tfunlearn unlearn does not overwrite files that it did not write: report.html" in err
    )
    assert "--force" in err
    assert there(task) == before
    assert unlearn("--force") == 0
    assert (task / "o" / "report.html").read_text() != "my notes on it"


def test_an_audit_takes_a_model_with_its_own_report_alone(task, capsys):
    assert audit() == 0
    report = AuditReport.load("a/report.json")
    assert report.files["unlearned"].sha256 == sha256(task / "o" / "unlearned.keras")
    assert not any(file.beside for file in report.files.values())
    shutil.copytree("o", "without")
    shutil.rmtree("without/.tfunlearn")  # as a plain copy has it, with the report alone
    for folder, says in (("o", "manifest.json"), ("without", "report.json")):
        shutil.copy("model.keras", f"{folder}/unlearned.keras")
        before = there(task)
        for given in (
            {"unlearned": f"{folder}/unlearned.keras"},
            {"original": "o/unlearned.keras"},
        ):
            assert audit(**given) == 1
        err = capsys.readouterr().err
        assert f"unlearned: '{folder}/unlearned.keras' is not the model that" in err
        assert says in err
        assert sha256(task / "model.keras") in err
        assert there(task) == before


def test_an_audit_completes_what_a_kill_left(task):
    """The record was on the disk, no file was moved: the audit reads the new model."""
    stage = task / "o" / ".tfunlearn" / "stage-0123456789abcdef"
    stage.mkdir()
    shutil.copy("o/retrained.keras", stage / "unlearned.keras")
    expected, earlier = sha256(stage / "unlearned.keras"), Manifest.of(task / "o")
    new = Manifest("unlearn", {"unlearned.keras": expected})
    commit(task / "o", stage.name, earlier.files, new)
    assert audit() == 0
    assert (
        json.loads((task / "a/report.json").read_text())["files"]["unlearned"]["sha256"] == expected
    )
    assert there(task / "o") == {"unlearned.keras": expected}
