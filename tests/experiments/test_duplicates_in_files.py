"""Copies of forgotten rows in files: on the console, in the report, taken along, in a bank."""

import keras
import numpy as np
import pytest

from tfunlearn import audit, cli, data
from tfunlearn.report import AuditReport

TAKEN = "3 exact duplicates of forgotten examples were taken into the forget set: ids 41, 42, 50."
STAY = "3 exact duplicates of forgotten examples, 1 of them with another label, stay in the retain"


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """A model, and data of which rows 41, 42 and 50 are rows 1 and 2 again."""
    folder = tmp_path_factory.mktemp("task")
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(90, 4)).astype("float32"), np.arange(90) % 3
    x[[41, 42, 50]], y[[41, 42, 50]] = x[[1, 2, 2]], [y[1], y[2], (y[2] + 1) % 3]
    arrays = {"x_train": x[:60], "y_train": y[:60], "x_test": x[60:], "y_test": y[60:]}
    np.savez(folder / "data.npz", **arrays)
    (folder / "ids.txt").write_text("\n".join(map(str, range(9))))
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    net.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    net.fit(x[:60], y[:60], epochs=3, verbose=0)
    net.save(folder / "model.keras")
    return folder


def command(task, name, *args):
    data = ["--data", str(task / "data.npz"), "--forget", str(task / "ids.txt")]
    return cli.main([name, *data, *args])


def test_unlearn_and_audit_say_what_stays(task, tmp_path, capsys):
    model, out = str(task / "model.keras"), tmp_path / "out"
    options = ["--method", "finetune", "--set", "epochs=1", "--out", str(out)]
    assert command(task, "unlearn", "--model", model, *options) == 0
    said = capsys.readouterr()
    assert f"Duplicates: {STAY}" in said.out
    assert "DuplicateWarning" not in said.err
    notes = AuditReport.load(out / "report.json").notes
    assert notes[0].startswith(STAY)
    assert notes[0].endswith("Whoever trains on them learns what is to be forgotten.")
    unlearned = ["--unlearned", str(out / "unlearned.keras"), "--out", str(tmp_path / "audited")]
    for choice, words in (("keep", f"{STAY} set, as was asked for"), ("forget", TAKEN)):
        own = ["--original", model, *unlearned, "--duplicates", choice]
        assert command(task, "audit", *own) == 0
        assert f"Duplicates: {words}" in capsys.readouterr().out
        found = AuditReport.load(tmp_path / "audited" / "report.json")
        assert f"--duplicates {choice}" in found.command
        assert (TAKEN in found.notes) == (choice == "forget")
        assert not any(note.startswith(STAY) for note in found.notes)
        assert found.split["sizes"]["forget"] == (9 if choice == "keep" else 12)


def test_a_bank_says_it_and_is_kept_under_it(task, tmp_path, capsys):
    own = ["--model", str(task / "model.keras"), "--epochs", "1", "--models", "1"]
    own += ["--out", str(tmp_path), "--workers", "1"]
    for choice, words in ((None, STAY), ("forget", TAKEN)):
        options = [] if choice is None else ["--duplicates", choice]
        assert command(task, "bank", *own, *options) == 0
        assert words in capsys.readouterr().err  # beside its bar
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


def test_a_report_in_python_says_it(task):
    with np.load(task / "data.npz") as arrays:
        x, y = arrays["x_train"], arrays["y_train"]
        test = arrays["x_test"], arrays["y_test"]
    with pytest.warns(data.DuplicateWarning, match=STAY):
        split = data.by_index(x, y, forget=range(9), test=test)
    net = keras.saving.load_model(task / "model.keras")
    report = audit.compare({"original": net}, split, reference=None)
    assert report.notes[0] == split.duplicates.note()
    assert STAY in str(split)
