"""Banks of tasks and of saved models."""

import keras
import numpy as np
import pytest

from tfunlearn.audit import ReferenceBank
from tfunlearn.data import scenarios
from tfunlearn.experiments.bank import bank_of_file, bank_of_task, fill


@pytest.fixture
def files(tmp_path):
    """A model with one-hot labels, its data and a list of ids; returns the folder."""
    x, y = np.random.default_rng(0).normal(size=(40, 4)).astype("float32"), np.arange(40) % 2
    np.savez(tmp_path / "d.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    (tmp_path / "ids.txt").write_text("0\n3\n7\n")
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
    net.compile("adam", "categorical_crossentropy")
    net.save(tmp_path / "m.keras")
    return tmp_path


def test_a_tasks_bank_is_that_of_its_original(tmp_path, monkeypatch):
    own = {"limit": 60, "epochs": 1}
    with monkeypatch.context() as patch:
        patch.setattr(scenarios.Scenario, "train", None)  # the original is not needed
        bank = bank_of_task("random", tmp_path, seed=2, say=None, **own)
    assert bank.missing(2) == [1_000_002, 1_000_003]
    scenario = scenarios.random(seed=2, **own)
    options = {"seed": 1_000_002, **scenario.fit_options}
    same = ReferenceBank(tmp_path, scenario.model, scenario.split, **options)
    assert same.folder == bank.folder


def test_a_saved_models_bank_is_filled_and_mended(files):
    said, heard = [], []
    own = {"epochs": 1, "batch_size": 8, "threads": None, "say": heard.append, "seed": 4}
    out = files / "out"
    bank = bank_of_file(files / "m.keras", files / "d.npz", out, forget=files / "ids.txt", **own)
    fill(bank, 2, 1, say=said.append)
    assert bank.logits("forget").shape == (2, 3, 2)
    assert bank.logits("forget", include_forget=True).shape == (1, 3, 2)
    assert said[0].startswith("2 models without the forget set, seeds 4 to 5, ")
    values = bank.accuracy("test")
    assert said[3] == (
        f"  test accuracy {values.mean():.4f}, standard deviation {values.std(ddof=1):.4f} (N=2)"
    )
    assert said[4].startswith("1 models with the forget set, seeds 500004 to 500004")
    assert said[5].endswith("(N=1)")
    assert "deviation" not in said[5]
    assert said[-1] == f"Kept in {bank.folder}"
    by_class = bank_of_file(files / "m.keras", files / "d.npz", out, classes=[1], **own)
    assert by_class.folder != bank.folder
    assert len(by_class) == 0
    logits = bank.logits("test")
    (bank.folder / "out-5" / "logits-test.npy").write_bytes(b"torn")
    heard.clear()
    assert bank.seeds == [4]
    assert heard == [
        "seed 5, without the forget set: logits-test.npy is torn or altered, its sha256 is not "
        "the note's; left out"
    ]
    fill(bank, 2, say=None)
    assert heard[-1].endswith("; made again")
    assert bank.seeds == [4, 5]
    np.testing.assert_array_equal(bank.logits("test"), logits)


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="task: expected one of"):
        bank_of_task("magic", tmp_path)
    with pytest.raises(FileNotFoundError, match="model: expected a file"):
        bank_of_file("nowhere.keras", "nowhere.npz", tmp_path, classes=[0])
