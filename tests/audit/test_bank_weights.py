"""A bank of models that are trained under class and sample weights, as the original was."""

import numpy as np
import pytest

from tfunlearn import audit, data, methods
from tfunlearn.audit import ReferenceBank, bank_spool, find_bank
from tfunlearn.audit.outputs import logits

from . import bank_parts as parts

CLASS_WEIGHT = {np.int64(2): 20, 0: 0.5}
SAMPLES = np.linspace(0, 3, 60)
RECIPE = {"epochs": 2, "batch_size": 16}


def make(folder, split=None, **options):
    options = {**RECIPE, "threads": None, "say": None, **options}
    return ReferenceBank(folder, parts.make_net(), split or parts.make_split(), **options)


def with_samples():
    x, y = (np.zeros((60, 6), "float32"), np.zeros(60, int))
    split = parts.make_split()
    for role in ("forget", "retain"):
        x[split.ids[role]], y[split.ids[role]] = getattr(split, role)
    options = {"forget": split.ids["forget"], "test": split.test, "sample_weight": SAMPLES}
    return data.by_index(x, y, **options)


def test_weights_are_part_of_the_key(tmp_path):
    banks = [
        make(tmp_path),
        make(tmp_path, class_weight=CLASS_WEIGHT),
        make(tmp_path, class_weight={2: 20, 0: 0.25}),
        make(tmp_path, sample_weight=SAMPLES),
        make(tmp_path, class_weight=CLASS_WEIGHT, sample_weight=SAMPLES),
    ]
    assert len({bank.folder for bank in banks}) == 5
    assert make(tmp_path, class_weight={0: 0.5, 2: 20.0}).folder == banks[1].folder
    every_class = {np.int64(0): np.float32(0.5), 1: 1, 2: 20.0}  # a class not named has weight 1
    assert make(tmp_path, class_weight=every_class).folder == banks[1].folder
    assert make(tmp_path, class_weight={0: 1.0, 2: 1}).folder == banks[0].folder
    assert make(tmp_path, with_samples()).folder == banks[3].folder
    assert banks[1].settings["training"]["class_weight"] == {"0": 0.5, "2": 20.0}


def test_its_models_are_those_of_retrain(tmp_path):
    weights = {"class_weight": CLASS_WEIGHT, "sample_weight": SAMPLES}
    bank = make(tmp_path, **weights)
    bank.fill(3)
    split = parts.make_split()
    for place, seed in enumerate(bank.seeds):
        model = methods.retrain(parts.make_net(), split, seed=seed, **RECIPE, **weights)
        found = bank.logits("test")[place]
        np.testing.assert_allclose(found, logits(model, split, "test"), atol=1e-5)
    report = audit.compare({"original": parts.make_net()}, split, bank=bank)
    [note] = [note for note in report.notes if note.startswith("The references are")]
    assert "under class weights {0: 0.5, 2: 20} and sample weights, seeds 0, 1." in note


def test_a_bank_is_found_by_its_weights(tmp_path):
    bank = make(tmp_path, class_weight=CLASS_WEIGHT)
    bank._entries.write_settings(bank.settings)
    net, split = parts.make_net(), parts.make_split()
    assert find_bank(tmp_path, net, split, class_weight=CLASS_WEIGHT).folder == bank.folder
    with pytest.raises(ValueError, match="differs in training class_weight"):
        find_bank(tmp_path, net, split)
    with pytest.raises(ValueError, match="training class_weight, training sample_weights"):
        find_bank(tmp_path, net, split, sample_weight=SAMPLES)


def test_other_processes_are_given_the_weights(tmp_path):
    import contextlib

    bank = make(tmp_path / "bank", class_weight=CLASS_WEIGHT, sample_weight=SAMPLES)
    folder = tmp_path / "job"
    folder.mkdir()
    bank_spool.write(bank._job, folder)
    with contextlib.ExitStack() as stack:
        job = bank_spool.read(folder, stack)
        expected = np.array([0.5, 1.0, 20.0])[job.split.labels("retain")]
        expected = expected * SAMPLES[job.split.ids["retain"]]
        np.testing.assert_allclose(job.split.sample_weights("retain"), expected, rtol=1e-6)


def test_bad_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"class_weight: .*0 to 2"):
        make(tmp_path, class_weight={3: 1})
    with pytest.raises(ValueError, match=r"sample_weight: .*\(60,\)"):
        make(tmp_path, sample_weight=np.ones(3))


def test_a_report_on_weighted_examples_says_that_it_is_unweighted():
    models = {"original": parts.make_net(), "retrained": parts.make_net()}
    plain, weighted = (audit.compare(models, s) for s in (parts.make_split(), with_samples()))
    assert [row.values for row in plain.rows] == [row.values for row in weighted.rows]
    assert any("what is measured here is unweighted" in note for note in weighted.notes)
    assert not any("unweighted" in note for note in plain.notes)
