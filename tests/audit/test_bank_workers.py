"""Processes that fill a bank: what they make, and what becomes of them."""

import collections
import contextlib
import os
import pathlib

import keras
import numpy as np
import pytest

from tfunlearn import audit
from tfunlearn.audit import ReferenceBank, bank_spool
from tfunlearn.audit.bank_key import data_marks, model_mark
from tfunlearn.audit.bank_training import TRAININGS
from tfunlearn.pool import ERROR, LOST, Event
from tfunlearn.training import in_graph, xla

from . import bank_parts as parts


def test_two_processes_of_which_one_dies_give_the_bytes_of_this_one(tmp_path, monkeypatch):
    """Dense layers of this size do not depend on threads, so this process has the same bytes."""
    monkeypatch.setenv("TFUNLEARN_TEST_DEATH", str(tmp_path / "died"))
    layers = [parts.Scale(), keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3)]
    net, split = parts.make_net(*layers, optimizer="adam", loss=parts.deadly()), parts.make_split()
    own = {"epochs": 2, "batch_size": 16}
    lines = []
    apart = ReferenceBank(tmp_path, net, split, **own, say=lines.append)
    assert apart.fill(4, workers=2) == 4
    assert len(lines) == 1
    assert "SIGKILL (often: out of memory)" in lines[0]
    assert lines[0].endswith("; tried again")
    here = ReferenceBank(tmp_path, net, split, **own, threads=None)
    assert here.fill(4) == 4
    for role in split.roles:
        np.testing.assert_array_equal(apart.logits(role), here.logits(role))
    traces = collections.Counter((tmp_path / "died").read_text().split())
    once = traces.pop(str(os.getpid()))  # four models
    assert sorted(traces.values()) == [1, once, once]  # one died at its first
    assert [path.name for path in apart.folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [(LOST, "its process died 3 times"), (ERROR, "died 3 times")],
)
def test_a_model_that_processes_cannot_make_is_an_error(tmp_path, monkeypatch, kind, words):
    ended = []

    def make(entries, job, items, **options):
        try:
            yield Event(kind, items[0], "died 3 times")
        finally:
            ended.append(options)

    monkeypatch.setattr(audit.bank, "make_with_processes", make)
    bank = ReferenceBank(tmp_path, parts.make_net(), parts.make_split(), say=None)
    with pytest.raises(RuntimeError, match=f"^seed 0, without the forget set: {words}$"):
        bank.fill(2, workers=3, retries=2)
    assert ended == [{"workers": 3, "threads": 1, "retries": 2}]
    assert [path.name for path in bank.folder.iterdir() if path.name.startswith(".")] == []


def test_processes_that_compile_whole_epochs_give_the_bytes_of_this_one(tmp_path, monkeypatch):
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3)]
    net, split = parts.make_net(*layers, optimizer="adam"), parts.make_split()
    own = {"epochs": 45, "batch_size": 3}
    assert TRAININGS * 45 * 17 >= xla.STEPS
    apart = ReferenceBank(tmp_path, net, split, **own)
    assert apart.fill(3, workers=2) == 3
    compiled, hashed = [], xla.hashed_dropout
    monkeypatch.setattr(in_graph, "hashed_dropout", lambda net: compiled.append(1) or hashed(net))
    here = ReferenceBank(tmp_path, net, split, **own, threads=None)
    assert here.fill(3) == 3
    assert compiled
    for role in split.roles:
        np.testing.assert_array_equal(apart.logits(role), here.logits(role))
    assert "scikit-learn" not in apart.notes()[0]["environment"]  # nobody asked for it


def test_a_job_comes_back_from_its_folder_as_it_was(tmp_path):
    layers = [keras.layers.Dense(4, activation=parts.doubled), parts.Scale(trainable=False)]
    net = parts.make_net(*layers, loss=parts.Weighted(2.0))
    net.optimizer.exclude_from_weight_decay(var_names=["bias"])
    bank = ReferenceBank(tmp_path, net, parts.make_split(), roles=["forget", "test"])
    job = bank._job
    bank_spool.check_spoolable(job)
    bank_spool.write(job, tmp_path)
    with contextlib.ExitStack() as stack:
        again = bank_spool.read(tmp_path, stack)
        assert isinstance(again.split.source("forget").x, np.memmap)
        assert again.split.source("forget") is again.split.source("retain")
        assert data_marks(again.split, job.roles) == data_marks(job.split, job.roles)
        assert model_mark(again.model, named=True) == model_mark(job.model, named=True)
        assert again.recipe.loss.weight == 2.0
        assert again.recipe.no_decay == "bias"
        for name in ("epochs", "batch_size", "jit_compile", "roles", "dtype", "keep_weights"):
            assert getattr(again, name) == getattr(job, name)
        assert again.recipe.optimizer == job.recipe.optimizer


def test_a_part_that_no_other_process_can_import_is_an_error(tmp_path):
    class Local(parts.Scale):
        pass

    net = parts.make_net(Local())
    bank = ReferenceBank(tmp_path, net, parts.make_split(), say=None)
    words = "other processes cannot import 'Local' .* threads=None"
    with pytest.raises(ValueError, match=words):
        bank.fill(1)
    assert not pathlib.Path(bank.folder).exists()


def test_a_model_that_comes_back_as_another_is_an_error(tmp_path):
    bank = ReferenceBank(tmp_path, parts.make_net(), parts.make_split(), say=None)
    bank_spool.write(bank._job, tmp_path)
    parts.make_net(keras.layers.Dense(6)).save(tmp_path / "model.keras")
    with (
        contextlib.ExitStack() as stack,
        pytest.raises(RuntimeError, match="does not come back from a file as it was"),
    ):
        bank_spool.read(tmp_path, stack)
