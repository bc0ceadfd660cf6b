import json

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.data import ForgetSplit, datasets
from tfunlearn.experiments import cifar10_confuser as experiment
from tfunlearn.experiments.stage_files import write_note
from tfunlearn.experiments.stages import SEED_STEP
from tfunlearn.report import AuditReport
from tfunlearn.storage import Refused
from tfunlearn.storage.atomic import file_sha256


def test_rows_may_have_their_own_epochs():
    assert experiment.parse_row("finetune", 2) == ("finetune", 2)
    assert experiment.parse_row("confuser-stem@5", 2) == ("confuser-stem", 5)


@pytest.mark.parametrize("row", ["magic", "finetune@", "finetune@0", "finetune@x", "@2", "magic@2"])
def test_other_rows_are_refused(row):
    with pytest.raises(ValueError, match="rows: expected some of finetune,confuser-stem"):
        experiment.parse_row(row, 2)


def test_unknown_rows_are_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match="Received: 'magic'"):
        experiment.cifar10_confuser(tmp_path / "run", rows=["magic"], say=None)
    assert not (tmp_path / "run").exists()


def test_the_notebooks_own_loss_weight_is_the_mean_of_its_class_weights():
    assert np.mean(experiment.CLASS_WEIGHTS) == pytest.approx(0.55)


@pytest.fixture
def small(monkeypatch):
    """The experiment on digits with a small network in the place of ResNet50."""
    (x, y), (x_test, y_test) = datasets.load("digits")
    x, x_test = (pixels[..., None].astype("float32") / 128 - 1 for pixels in (x, x_test))
    split = ForgetSplit.random(x[:200], y[:200], test=(x_test, y_test), num_classes=10)

    def network(weights, seed, jit_compile):
        net = keras.Sequential([models.small_cnn(seed=seed), keras.layers.Softmax()])
        net.compile("adam", keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
        return net

    monkeypatch.setattr(experiment, "make_split", lambda *args: split)
    monkeypatch.setattr(experiment.models, "resnet50_classifier", network)
    return {"epochs": 1, "say": None, "rows": ["finetune", "confuser-relative-0.3"]}


def test_the_report_is_kept_and_made_again_when_it_must_be(small, tmp_path):
    report = experiment.cifar10_confuser(tmp_path, **small)
    again = experiment.cifar10_confuser(tmp_path, **small)
    assert [row.values for row in again.rows] == [row.values for row in report.rows]
    (tmp_path / "report.html").unlink()
    experiment.cifar10_confuser(tmp_path, **small)
    assert (tmp_path / "report.html").is_file()
    (tmp_path / "report.json").write_text('{"half":')
    with pytest.raises(Refused, match=r"files that it did not write: report\.json"):
        experiment.cifar10_confuser(tmp_path, **small)
    said, forced = [], {**small, "force": True}
    assert len(experiment.cifar10_confuser(tmp_path, **{**forced, "say": said.append}).rows) == 4
    assert any(
        line.startswith("report: damaged (report.json is torn") and line.endswith("; made again")
        for line in said
    )
    assert len(AuditReport.load(tmp_path / "report.json").rows) == 4
    html = (tmp_path / "report.html").read_bytes()
    (tmp_path / "report.html").write_bytes(html[:100])
    (tmp_path / "stages" / "original.keras").write_bytes(b"torn")
    again = experiment.cifar10_confuser(tmp_path, **forced)
    assert not any("failed" in note for note in again.notes)  # no row is blamed for it
    assert len((tmp_path / "report.html").read_bytes()) > 1000
    fewer = experiment.cifar10_confuser(tmp_path, **{**small, "rows": ["finetune"]})
    assert [row.name for row in fewer.rows] == ["original", "retrained", "finetune"]


def test_a_row_that_diverges_is_named_and_the_others_stand(small, tmp_path, monkeypatch):
    monkeypatch.setitem(experiment.ROWS, "confuser-relative-0.3", {"stddev": 1e30})
    report = experiment.cifar10_confuser(tmp_path, **small)
    assert [row.name for row in report.rows] == ["original", "retrained", "finetune"]
    assert any(
        note.startswith("confuser-relative-0.3: failed: training diverged") for note in report.notes
    )


def test_a_row_may_be_a_reference_of_more_epochs(small, tmp_path):
    report = experiment.cifar10_confuser(tmp_path, **{**small, "rows": ["retrain@2"]})
    assert [row.name for row in report.rows] == ["original", "retrained", "retrain@2"]
    original, made = (
        keras.models.load_model(tmp_path / "stages" / f"{name}.keras")
        for name in ("original", "retrain-2")
    )
    by_hand = methods.retrain(
        original,
        experiment.make_split(),
        seed=2 * SEED_STEP,
        epochs=2,
        initialize=lambda seed: experiment.models.resnet50_classifier(None, seed, "auto"),
    )
    assert models.fingerprint(made) == models.fingerprint(by_hand)


def test_a_row_of_another_original_is_made_again(small, tmp_path):
    options = {**small, "rows": ["finetune"]}
    experiment.cifar10_confuser(tmp_path, **options)
    folder = tmp_path / "stages"
    other = keras.models.load_model(folder / "retrained.keras")
    other.set_weights([0.9 * weight for weight in other.get_weights()])
    other.save(folder / "original.keras")
    note = json.loads((folder / "original.json").read_text())
    del note["sha256"]
    note["files"]["original.keras"] = file_sha256(folder / "original.keras")
    write_note(folder / "original.json", note)  # another whole original
    said = []
    experiment.cifar10_confuser(tmp_path, **{**options, "say": said.append})
    assert "original: finished before, loaded" in said
    assert "finetune-1: started" in said


@pytest.mark.data
def test_split_is_normalised_and_seeded(data_file):
    folder = data_file("cifar10.npz").parent
    split = experiment.make_split(folder, seed=3, forget_fraction=0.1, limit=500)
    again = experiment.make_split(folder, seed=3, forget_fraction=0.1, limit=500)
    other = experiment.make_split(folder, seed=4, forget_fraction=0.1, limit=500)
    assert [split.size(role) for role in ("forget", "retain", "test")] == [50, 450, 100]
    assert split.fingerprint() == again.fingerprint() != other.fingerprint()
    x = np.concatenate([split.forget[0], split.retain[0]])
    assert np.abs(x.mean(axis=(0, 1, 2))).max() < 0.1  # about the mean of all of CIFAR-10
    assert np.abs(x.std(axis=(0, 1, 2)) - 1.25).max() < 0.1  # the notebook's deviations are small


@pytest.mark.slow
@pytest.mark.data
def test_a_small_run_and_its_resumption(data_file, tmp_path):
    data_file("resnet50_notop.h5")
    folder = data_file("cifar10.npz").parent
    options = {"data_dir": folder, "epochs": 1, "limit": 160, "rows": ["confuser-relative-0.3@1"]}
    said = []
    report = experiment.cifar10_confuser(tmp_path, say=said.append, **options)
    names = [row.name for row in report.rows]
    assert names == ["original", "retrained", "confuser-relative-0.3@1"]
    assert report.value(names[2], "weight_distance") > 0
    stages = ["original", "retrained", "confuser-relative-0.3-1"]
    assert sorted(path.stem for path in (tmp_path / "stages").glob("*.keras")) == sorted(stages)
    written = AuditReport.load(tmp_path / "report.json")
    assert written.row(names[2]).values == report.row(names[2]).values
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    said.clear()
    again = experiment.cifar10_confuser(tmp_path, say=said.append, **options)
    assert said == [f"{stage}: finished before, loaded" for stage in stages]
    assert [row.values for row in again.rows] == [row.values for row in report.rows]
    assert again.created == report.created  # read, not measured again
    note = json.loads((tmp_path / "stages" / f"{stages[2]}.json").read_text())
    assert note["settings"]["options"] == {"stddev": 0.3}
