"""Processes that fill a bank: what they make, and what becomes of them."""

import json
import pathlib
import signal

import keras
import numpy as np
import pytest

from tfunlearn.audit import ReferenceBank, bank_spool, bank_workers
from tfunlearn.audit.bank_entry import Entries
from tfunlearn.audit.bank_job import Item
from tfunlearn.audit.bank_key import data_marks, model_mark
from tfunlearn.audit.bank_make import DIED, MADE

from . import bank_parts as parts

ITEMS = [Item(seed, False) for seed in range(4)]

# stands in for the worker: notes what it is asked, and ends as the folder's file says
FAKE = """
import json, os, pathlib, signal, sys
folder = pathlib.Path(json.loads(sys.argv[1])["folder"])
acts = json.loads((folder / "acts.json").read_text())
for line in sys.stdin:
    seed = json.loads(line)["seed"]
    with open(folder / "log", "a") as file:
        file.write(f"{seed}\\n")
    times = (folder / "log").read_text().split().count(str(seed))
    act = acts.get(str(seed), ["done"])
    act = act[min(times, len(act)) - 1]
    print("a library prints", flush=True)
    if act == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "exit":
        sys.stderr.write("no such thing")
        sys.exit(3)
    answer = {"error": "it diverged"} if act == "error" else {"kind": "made", "text": "in 0.1 s"}
    print("tfunlearn bank: " + json.dumps(answer), flush=True)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function: what becomes of seeds -> the events of a crew, and the seeds asked for."""
    monkeypatch.setattr(bank_workers, "_PROGRAM", FAKE)

    def call(acts, workers=2, retries=2):
        (tmp_path / "acts.json").write_text(json.dumps(acts))
        entries = Entries(tmp_path, "key", ("test",), weights=False)
        options = {"workers": workers, "threads": 1, "retries": retries}
        events = list(bank_workers.make_with_processes(entries, tmp_path, ITEMS, **options))
        return events, sorted((tmp_path / "log").read_text().split())

    return call


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_each_model_is_asked_for_once(run, workers):
    events, asked = run({}, workers)
    assert sorted(event.item for event in events) == ITEMS
    assert {event.kind for event in events} == {MADE}
    assert asked == ["0", "1", "2", "3"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_dies_is_replaced_and_its_model_tried_again(run, workers):
    events, asked = run({"1": ["kill", "exit", "done"], "2": ["exit", "done"]}, workers)
    died = [(event.item.seed, event.text) for event in events if event.kind == DIED]
    assert sorted(died) == [
        (1, "ended with status 3: ... no such thing"),
        (1, "was ended by SIGKILL (often: out of memory)"),
        (2, "ended with status 3: ... no such thing"),
    ]
    assert sorted(event.item for event in events if event.kind == MADE) == ITEMS
    assert asked == ["0", "1", "1", "1", "2", "2", "3"]


def test_a_model_whose_processes_die_too_often_is_an_error(run):
    words = r"seed 2, without .* its process died 2 times. Expected: at most 1.*by SIGKILL"
    with pytest.raises(RuntimeError, match=words):
        run({"2": ["kill"]}, retries=1)


def test_a_training_that_fails_is_not_tried_again(run, tmp_path):
    with pytest.raises(RuntimeError, match="seed 0, without the forget set: it diverged"):
        run({"0": ["error"]}, workers=1)
    assert (tmp_path / "log").read_text().split() == ["0"]


def test_processes_end_with_whoever_stops_asking(run, tmp_path, monkeypatch):
    started = []
    popen = bank_workers.subprocess.Popen
    monkeypatch.setattr(
        bank_workers.subprocess,
        "Popen",
        lambda *args, **options: started.append(popen(*args, **options)) or started[-1],
    )
    (tmp_path / "acts.json").write_text("{}")
    entries = Entries(tmp_path, "key", ("test",), weights=False)
    options = {"workers": 2, "threads": 1, "retries": 0}
    events = bank_workers.make_with_processes(entries, tmp_path, ITEMS, **options)
    next(events)
    events.close()
    assert [process.poll() for process in started] == [-signal.SIGKILL] * 2


def test_two_processes_of_which_one_dies_give_the_bytes_of_this_one(tmp_path, monkeypatch):
    """Dense layers of this size do not depend on threads, so this process has the same bytes."""
    monkeypatch.setenv("TFUNLEARN_TEST_DEATH", str(tmp_path / "died"))
    layers = [parts.Scale(), keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3)]
    net, split = parts.make_net(*layers, optimizer="adam", loss=parts.dying), parts.make_split()
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
    assert [path.name for path in apart.folder.iterdir() if path.name.startswith(".")] == []


def test_a_job_comes_back_from_its_folder_as_it_was(tmp_path):
    layers = [keras.layers.Dense(4, activation=parts.doubled), parts.Scale(trainable=False)]
    net = parts.make_net(*layers, loss=parts.Weighted(2.0))
    net.optimizer.exclude_from_weight_decay(var_names=["bias"])
    bank = ReferenceBank(tmp_path, net, parts.make_split(), roles=["forget", "test"])
    job = bank._job
    bank_spool.check_spoolable(job)
    bank_spool.write(job, tmp_path)
    with bank_workers.contextlib.ExitStack() as stack:
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
        bank_workers.contextlib.ExitStack() as stack,
        pytest.raises(RuntimeError, match="does not come back from a file as it was"),
    ):
        bank_spool.read(tmp_path, stack)
