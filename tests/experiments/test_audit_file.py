"""Audits of saved models: beside references, beside a bank, alone, and what is refused."""

import json
import pathlib
import shlex
import shutil

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tfunlearn import audit, cli, models
from tfunlearn.audit import bank_key
from tfunlearn.experiments.audit_file import audit_file
from tfunlearn.experiments.bank import bank_of_file
from tfunlearn.experiments.files import make_split
from tfunlearn.report import AuditReport

L = keras.layers
TRAIN, TEST, CLASSES, FORGOTTEN = 150, 120, 10, range(30)
WRITTEN = ["report.html", "report.json", "report.txt"]
RECIPE = ["--epochs", "4", "--batch-size", "32", "--seed", "7"]
BANK = 20  # 19 references, as many as an answer at 0.95 takes, and one that is held out


def _net(seed, head="softmax", units=CLASSES, shape=(64,)):
    keras.utils.set_random_seed(seed)
    net = keras.Sequential([keras.Input(shape), L.Dense(32, "relu"), L.Dense(units, head)])
    losses = {
        "softmax": "categorical_crossentropy",
        None: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "sigmoid": "binary_crossentropy",
    }
    net.compile(keras.optimizers.SGD(0.1, momentum=0.9), losses[head])
    return net


def _data():
    """Returns digits of which the first 30 have a wrong label."""
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype("float32")[: TRAIN + TEST], y[: TRAIN + TEST].copy()
    y[FORGOTTEN] = (y[FORGOTTEN] + 1) % CLASSES
    return x, y


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with originals of both heads, their data, ids, and a bank that the command made."""
    folder = tmp_path_factory.mktemp("trained")
    x, y = _data()
    arrays = {"x_train": x[:TRAIN], "y_train": y[:TRAIN], "x_test": x[TRAIN:], "y_test": y[TRAIN:]}
    np.savez(folder / "data.npz", **arrays)
    one_hot = {name: np.eye(CLASSES)[arrays[name]] for name in ("y_train", "y_test")}
    np.savez(folder / "one_hot.npz", **{**arrays, **one_hot})
    (folder / "ids.txt").write_text("\n".join(map(str, FORGOTTEN)))
    original = _net(0)
    original.fit(x[:TRAIN], one_hot["y_train"], batch_size=32, epochs=60, verbose=0)
    original.save(folder / "original.keras")
    later = _net(0, None)
    later.fit(x[:TRAIN], y[:TRAIN], batch_size=32, epochs=60, verbose=0)
    later.save(folder / "logits.keras")
    for seed in (1, 2):
        again = _net(seed, None)
        again.fit(x[30:TRAIN], y[30:TRAIN], batch_size=32, epochs=4, verbose=0)
        again.save(folder / f"again-{seed}.keras")
    task = ["--model", "original.keras", "--data", "one_hot.npz", "--forget", "ids.txt"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        args = ["bank", *task, *RECIPE, "--models", str(BANK), "--out", "bank"]
        assert cli.main(args) == 0
    return folder


@pytest.fixture
def task(trained, tmp_path, monkeypatch):
    """A folder of one's own with the same files; the process works in it."""
    shutil.copytree(trained, tmp_path / "task")
    monkeypatch.chdir(tmp_path / "task")
    return tmp_path / "task"


def run(*args, original="logits.keras", unlearned="again-1.keras", data="data.npz", forget=None):
    what = forget or ["--forget", "ids.txt"]
    files = ["--original", original, "--unlearned", unlearned, "--data", data, *what]
    return cli.main(["audit", *files, "--out", "out", *args])


def written(task):
    return sorted(path.name for path in (task / "out").iterdir() if path.name != ".tfunlearn")


def test_beside_a_bank_that_the_command_made(task, capsys):
    shutil.copy("original.keras", "nothing.keras")
    whole = [str(task / name) for name in ("original.keras", "nothing.keras", "one_hot.npz")]
    own = dict(zip(("original", "unlearned", "data"), whole, strict=True))
    forget = ["--forget", str(task / "ids.txt")]
    assert run(*RECIPE, "--bank", str(task / "bank"), forget=forget, **own) == 0
    assert written(task) == WRITTEN
    report = AuditReport.load(task / "out" / "report.json")
    assert [row.name for row in report.rows] == ["original", "nothing", "held-out retrain"]
    assert report.reference_seeds == tuple(range(7, 7 + BANK - 1))
    text = (task / "out" / "report.txt").read_text()
    assert text.strip() in capsys.readouterr().out
    assert text == f"{report}\n"

    original = keras.saving.load_model("original.keras")
    split = make_split("one_hot.npz", original, forget="ids.txt")
    bank = audit.ReferenceBank(
        "bank",
        original,
        split,
        epochs=4,
        batch_size=32,
        seed=7,
    )
    known = bank.accuracy("forget")[:-1]
    assert report.reference_values["forget_accuracy"] == pytest.approx(known)
    predicted = original.predict(split.forget[0], verbose=0).argmax(-1)
    assert report.value("nothing", "forget_accuracy") == np.mean(predicted == split.forget[1]) == 1
    assert report.evidence["nothing"].verdict.inside is False
    held_out = report.evidence["held-out retrain"].verdict
    assert (held_out.references, held_out.inside is None) == (BANK - 1, False)


def test_the_report_keeps_the_command_and_no_folder(task):
    out = {name: str(task / name) for name in ("bank", "original.keras", "one_hot.npz")}
    forget = ["--forget", str(task / "ids.txt")]
    files = {"original": out["original.keras"], "unlearned": "again-1.keras"}
    args = [*RECIPE, "--bank", out["bank"], "--unlearned", str(task / "again-2.keras")]
    assert run(*args, forget=forget, data=out["one_hot.npz"], **files) == 0
    report = AuditReport.load(task / "out" / "report.json")
    assert report.command == (
        "tfunlearn audit --original original.keras --unlearned again-1.keras "
        "--unlearned again-2.keras --data one_hot.npz --forget ids.txt --bank bank --epochs 4 "
        "--batch-size 32 --threads 1 --dtype float32 --level 0.95 --seed 7"
    )
    for name in WRITTEN:
        assert str(task) not in (task / "out" / name).read_text()
    before = json.loads((task / "out" / "report.json").read_text())
    assert cli.main([*shlex.split(report.command)[1:], "--out", "out"]) == 0
    after = json.loads((task / "out" / "report.json").read_text())
    for content in (before, after):
        del content["created"]
    assert before == after


def test_beside_references(task):
    references = ["--reference", "again-1.keras", "--reference", "again-2.keras"]
    assert run(*references, "--level", "0.5", unlearned="logits.keras") == 0
    report = AuditReport.load(task / "out" / "report.json")
    assert [row.name for row in report.rows] == ["original", "logits", "again-1", "again-2"]
    assert report.references == ("again-1", "again-2")
    x, y = _data()
    right = [
        np.mean(keras.saving.load_model(name).predict(x[:30], verbose=0).argmax(-1) == y[:30])
        for name in ("logits.keras", "again-1.keras", "again-2.keras")
    ]
    assert report.gap("logits", "forget_accuracy") == pytest.approx(right[0] - np.mean(right[1:]))
    assert set(report.evidence) == {"original", "logits"}
    assert "--level 0.5" in report.command
    assert "--reference again-1.keras --reference again-2.keras" in report.command
    assert "--bank" not in report.command
    assert "--epochs" not in report.command


def test_the_level_reaches_the_verdict(task):
    references = ["--reference", "again-1.keras", "--reference", "again-2.keras"]
    for level, known in (("0.6", True), ("0.9", False)):  # two are enough for 1 / (1 - 0.6) - 1
        assert run(*references, "--level", level, unlearned="logits.keras") == 0
        verdict = AuditReport.load(task / "out" / "report.json").evidence["logits"].verdict
        assert (verdict.level, verdict.inside is not None) == (float(level), known)


def test_a_reference_that_is_given_twice_counts_once_and_is_refused(task, capsys):
    shutil.copy("again-1.keras", "copy.keras")
    pairs = [("again-1.keras", "copy.keras"), ("again-1.keras", "./again-1.keras")]
    for pair in pairs:
        more = [word for path in pair for word in ("--reference", path)]
        assert run(*more, unlearned="logits.keras") == 1
        error = capsys.readouterr().err
        assert "reference: a model counts once" in error
        assert all(repr(path.removeprefix("./")) in error for path in pair)


def test_without_references_the_report_says_what_it_cannot_say(task, capsys):
    assert run(forget=["--class", "3", "4"]) == 0
    assert written(task) == WRITTEN
    report = AuditReport.load(task / "out" / "report.json")
    assert (report.references, report.reference_count, report.evidence) == ((), 0, {})
    assert report.split["kind"] == "class"
    assert report.gap("again-1", "forget_accuracy") is None
    for text in (
        capsys.readouterr().out,
        *((task / "out" / name).read_text() for name in ("report.txt", "report.html")),
    ):
        flat = " ".join(text.split())
        assert "No reference was given" in flat
        assert "with --bank" in flat
    assert report.command.endswith("--data data.npz --class 3 4 --level 0.95 --seed 0")
    assert "original logits.keras, sha256" in report.notes[-1]
    made = keras.saving.load_model("again-1.keras")
    assert report.fingerprints["again-1"] == models.fingerprint(made)


def test_models_of_one_name_are_told_apart(task):
    for folder in ("a", "b"):
        (task / folder).mkdir()
        shutil.copy("again-1.keras", f"{folder}/original.keras")
    shutil.copy("again-2.keras", "a/held-out retrain.keras")
    more = ["--unlearned", "b/original.keras", "--unlearned", "a/held-out retrain.keras"]
    assert run(*more, "--reference", "b/original.keras", unlearned="a/original.keras") == 0
    report = AuditReport.load(task / "out" / "report.json")
    named = ["original", "original'", "original''", "held-out retrain'", "original'''"]
    assert [row.name for row in report.rows] == named
    assert report.references == ("original'''",)


def test_a_bank_that_is_not_there(task, capsys):
    capsys.readouterr()
    args = ["--bank", "bank", "--epochs", "5", "--batch-size", "32"]
    before = sorted(map(str, (task / "bank").rglob("*")))
    assert run(*args, original="original.keras", data="one_hot.npz") == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    [there] = (task / "bank").iterdir()
    assert f"beside it {there.name} ({BANK} models: epochs 4 for 5, seed 7 for 0)." in err
    assert (
        "as made by: tfunlearn bank --model original.keras --data one_hot.npz --forget ids.txt "
        "--epochs 5 --batch-size 32 --seed 0 --threads 1 --dtype float32 --out bank." in err
    )
    assert sorted(map(str, (task / "bank").rglob("*"))) == before
    assert written(task) == []


def test_the_one_bank_that_fits_is_found(task, capsys):
    files = {"original": "original.keras", "data": "one_hot.npz"}
    assert run("--bank", "bank", **files) == 0
    report = AuditReport.load(task / "out" / "report.json")
    assert report.reference_seeds == tuple(range(7, 7 + BANK - 1))
    assert report.command.endswith("--forget ids.txt --bank bank --level 0.95 --seed 0")
    capsys.readouterr()
    assert run("--bank", "bank", forget=["--class", "1"], **files) == 1
    err = capsys.readouterr().err
    assert "--data one_hot.npz --class 1 --epochs N --out bank; of several" in err
    assert "differs in data forget, data retain" in err


def test_banks_of_another_model_data_or_package(task, capsys):
    beside = ["--bank", "bank", *RECIPE]
    assert run(*beside) == 1
    assert f"({BANK} models: another model)" in capsys.readouterr().err
    files = {"original": "original.keras", "data": "one_hot.npz"}
    assert run(*beside, forget=["--class", "1"], **files) == 1
    assert f"({BANK} models: other data)" in capsys.readouterr().err
    [there] = (task / "bank").glob("*/bank.json")
    content = json.loads(there.read_text())
    content["settings"]["code"] = "older"
    there.write_text(json.dumps(content))
    shutil.move(there.parent, task / "bank" / "older")
    assert run(*beside, **files) == 1
    assert f"older ({BANK} models: another version of this package)" in capsys.readouterr().err
    content["settings"]["code"] = bank_key.marks.code()
    content["settings"]["versions"]["keras"] = "4.0"
    (task / "bank" / "older" / "bank.json").write_text(json.dumps(content))
    assert run(*beside, **files) == 1
    assert "models: other software, loss or optimizer)" in capsys.readouterr().err
    (task / "bank" / "older" / "bank.json").write_text("{")
    assert run(*beside, **files) == 1
    assert "older (its bank.json cannot be read)" in capsys.readouterr().err
    shutil.rmtree(task / "bank" / "older")
    assert run(*beside, **files) == 1
    assert "beside it no other bank." in capsys.readouterr().err


def test_a_bank_of_too_few(task, capsys):
    [there] = (task / "bank").iterdir()
    for seed in range(9, 7 + BANK):
        shutil.rmtree(there / f"out-{seed}")
    beside = ["--bank", "bank", *RECIPE]
    assert run(*beside, original="original.keras", data="one_hot.npz") == 1
    assert f"Received: 2 in {there.name}; beside it no other bank" in capsys.readouterr().err


def _text(name, text):
    return lambda: pathlib.Path(name).write_text(text)


def _save(name, **options):
    return lambda: _net(3, **options).save(name)


BAD = {  # what to spoil, more arguments, exit status, words
    "original of text": (_text("logits.keras", "hello"), [], 1, "original: 'logits.keras' cannot"),
    "model of text": (_text("again-1.keras", "hello"), [], 1, "unlearned: 'again-1.keras' cannot"),
    "reference of text": (_text("r.keras", "hello"), ["--reference", "r.keras"], 1, "reference: "),
    "data of text": (_text("data.npz", "hello"), [], 1, "data.npz' cannot be used"),
    "no ids": (_text("ids.txt", "\n"), [], 1, "forget: expected at least one id"),
    "ids out of range": (_text("ids.txt", "150"), [], 1, "Expected: 0 to 149. Received: 150"),
    "a sigmoid head": (_save("logits.keras", head="sigmoid"), [], 1, "logits cannot be read"),
    "more classes": (
        _save("again-1.keras", units=11),
        [],
        1,
        "unlearned: 'again-1.keras' has another number of classes than the original. Expected: 10",
    ),
    "other inputs": (_save("again-1.keras", shape=(63,)), [], 1, "Expected: (63,)"),
    "no original": (None, ["--original", "o.keras"], 2, "--original: expected an existing file"),
    "no model": (None, ["--unlearned", "u.keras"], 2, "--unlearned: expected an existing file"),
    "ids and classes": (None, ["--class", "1"], 2, "not allowed with argument --forget"),
    "references and a bank": (
        None,
        ["--reference", "again-2.keras", "--bank", "bank"],
        2,
        "not allowed with argument --reference",
    ),
    "no bank": (None, ["--bank", "nowhere"], 2, "--bank: expected an existing folder"),
    "no bank in the folder": (
        None,
        ["--bank", "."],
        1,
        "as made by: tfunlearn bank --model logits.keras --data data.npz --forget ids.txt "
        "--epochs N --out .; of several",
    ),
    "half a bank": (
        None,
        ["--bank", "bank", "--batch-size", "32"],
        2,
        "--batch-size: not allowed without --epochs",
    ),
    "epochs without a bank": (None, ["--epochs", "2"], 2, "--epochs: not allowed without --bank"),
    "threads without a bank": (None, ["--threads", "2"], 2, "--threads: not allowed without"),
    "weights without a bank": (None, ["--keep-weights"], 2, "--keep-weights: not allowed without"),
    "a level of one": (None, ["--level", "1"], 2, "--level: expected a share inside (0, 1)"),
    "a negative seed": (None, ["--seed", "-1"], 2, "--seed: expected a whole number"),
}


@pytest.mark.parametrize(("spoil", "args", "status", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_leaves_nothing(spoil, args, status, words, task, capsys):
    if spoil is not None:
        spoil()
    capsys.readouterr()
    assert run(*args) == status
    err = capsys.readouterr().err
    assert err.startswith("tfunlearn: error: ")
    assert err.count("\n") == 1
    assert words in err
    assert not (task / "out").exists() or written(task) == []


def test_required_arguments(capsys):
    assert cli.main(["audit", "--forget", "ids.txt"]) == 2
    assert "expected an existing file" in capsys.readouterr().err
    assert cli.main(["audit"]) == 2
    assert "required: --original, --unlearned, --data" in capsys.readouterr().err


def test_in_python(task, capsys):
    own = {"bank": "bank", "bank_options": {"epochs": 4, "batch_size": 32, "seed": 7}, "say": None}
    files = ("original.keras", "again-1.keras", "one_hot.npz", "out")
    report = audit_file(*files, forget="ids.txt", **own)
    assert [row.name for row in report.rows] == ["original", "again-1", "held-out retrain"]
    assert capsys.readouterr().out == ""
    bank = bank_of_file(*files[::2], "bank", forget="ids.txt", epochs=4, batch_size=32, seed=7)
    assert len(bank) == BANK
    with pytest.raises(ValueError, match="unlearned: expected at least one model"):
        audit_file("original.keras", [], "one_hot.npz", "out", forget="ids.txt")
    with pytest.raises(ValueError, match=r"bank: expected a bank or references\. Received: both"):
        audit_file(*files, forget="ids.txt", references=["again-2.keras"], **own)
