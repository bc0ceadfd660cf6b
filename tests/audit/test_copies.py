"""One model under several names: an error by name, in a bank and among references."""

import json
import shutil

import keras
import numpy as np
import pytest

from tfunlearn import audit, models
from tfunlearn.audit import ReferenceBank, bank_entry, marks
from tfunlearn.audit.bank_entry import Entries
from tfunlearn.audit.bank_job import Item
from tfunlearn.audit.bank_key import item_key
from tfunlearn.audit.bank_make import make

from . import bank_parts as parts
from .conftest import make_model
from .many import FakeBank, make_logits
from .test_bank_entry import ROLES, FakeTrainer

FAST = {"epochs": 1, "batch_size": 12, "threads": None, "keep_weights": True}
MISNAMED = [
    "out-01",
    "out-001",
    "out-+1",
    "out-1 ",
    "out-1_0",
    "out-１",
    "out-١",
    "out- 1",
    "out-1x",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a bank of three models with the forget set, and two without."""
    folder = tmp_path_factory.mktemp("bank")
    bank = make_bank(folder)
    bank.fill(3)
    bank.fill(2, include_forget=True)
    return folder


def make_bank(folder, say=None):
    return ReferenceBank(folder, parts.make_net(), parts.make_split(), **FAST, say=say)


@pytest.fixture
def bank(made, tmp_path):
    """A bank that a test may spoil."""
    shutil.copytree(made, tmp_path / "bank")
    return make_bank(tmp_path / "bank")


def renote(folder, key, item, **change):
    """Writes a model's note anew, as somebody would who knows how."""
    path = folder / item.name / "note.json"
    note = json.loads(path.read_text()) | change
    note |= {"key": item_key(key, item), "seed": item.seed, "include_forget": item.include_forget}
    del note["sha256"]
    path.write_text(json.dumps({**note, "sha256": marks.text_mark(note)}))


@pytest.mark.parametrize("name", MISNAMED)
def test_a_copy_under_another_spelling_is_an_error_that_names_both(bank, name):
    shutil.copytree(bank.folder / "out-1", bank.folder / name)
    for look in (lambda: bank.seeds, lambda: bank.logits("test"), lambda: bank.fill(4)):
        with pytest.raises(ValueError, match=r"bank: a model counts once.*'out-1' = ") as error:
            look()
        assert repr(name) in str(error.value)
    assert "3 models" in repr(bank)


def test_a_folder_that_is_no_model_is_named_once_and_not_counted(bank):
    said = []
    (bank.folder / "out-01").mkdir()
    (bank.folder / "notes").mkdir()
    (bank.folder / "out-9.txt").write_text("a file of one's own")
    again = make_bank(bank.folder.parent, said.append)
    assert again.seeds == again.seeds == [0, 1, 2]
    assert [line.split(" is no model")[0] for line in said] == ["'notes'", "'out-01'"]


@pytest.mark.parametrize("target", [Item(3, False), Item(500_002, True)], ids=str)
def test_a_copy_whose_note_was_written_anew_is_an_error(bank, target):
    shutil.copytree(bank.folder / "out-1", bank.folder / target.name)
    renote(bank.folder, bank._entries.key, target)
    assert bank._entries.fault(target) is None
    with pytest.raises(ValueError, match=f"'{target.name}' = 'out-1'|'out-1' = '{target.name}'"):
        bank.finished(include_forget=target.include_forget)


def test_weights_alone_that_are_the_same_are_an_error(bank):
    folder, weights = bank.folder, (bank.folder / "out-1" / "model.weights.h5").read_bytes()
    (folder / "out-2" / "model.weights.h5").write_bytes(weights)
    note = json.loads((folder / "out-2" / "note.json").read_text())
    same = json.loads((folder / "out-1" / "note.json").read_text())["files"]["model.weights.h5"]
    files = note["files"] | {"model.weights.h5": same}
    renote(folder, bank._entries.key, Item(2, False), files=files)
    with pytest.raises(ValueError, match="'out-1' = 'out-2'"):
        len(bank)


def test_the_seed_of_a_note_is_that_of_its_name(tmp_path):
    entries, item = Entries(tmp_path, "key", ROLES, weights=True), Item(1, False)
    make(FakeTrainer(), entries, item)
    path = tmp_path / "out-1" / "note.json"
    note = json.loads(path.read_text()) | {"seed": 2}
    del note["sha256"]
    path.write_text(json.dumps({**note, "sha256": marks.text_mark(note)}))
    assert entries.fault(item) == "note.json is that of another seed"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((2, 3), np.nan, "float32"), "not finite"),
        (np.zeros((2, 3), "int64"), "holds no logits"),
        (np.zeros(6, "float32"), "holds no logits"),
    ],
    ids=["nan", "whole numbers", "flat"],
)
def test_logits_of_another_kind_are_no_logits_whatever_their_sum_is(tmp_path, array, words):
    entries, item = Entries(tmp_path, "key", ROLES, weights=True), Item(1, False)
    make(FakeTrainer(), entries, item)
    path, note_path = (tmp_path / "out-1" / name for name in ("logits-test.npy", "note.json"))
    path.write_bytes(bank_entry._npy(array))
    note = json.loads(note_path.read_text())
    note["files"][path.name] = bank_entry.hashlib.sha256(path.read_bytes()).hexdigest()
    del note["sha256"]
    note_path.write_text(json.dumps({**note, "sha256": marks.text_mark(note)}))
    assert words in entries.fault(item)


def test_a_banks_models_of_equal_logits_are_an_error(split):
    logits = make_logits({role: split.labels(role) for role in split.roles}, 5)
    for own in logits.values():
        own[3] = own[1]
    with pytest.raises(ValueError, match=r"bank: a model counts once.*seed 1 = seed 3"):
        audit.compare({"original": make_model(0)}, split, bank=FakeBank(logits))


def test_references_of_equal_weights_or_outputs_are_an_error(split):
    nets = {"original": make_model(0), **{f"r{seed}": make_model(seed) for seed in (1, 2)}}
    same = models.copy(nets["r2"])
    with pytest.raises(ValueError, match=r"reference: a model counts once.*Received: r2 = r3"):
        audit.compare({**nets, "r3": same}, split, reference=["r1", "r2", "r3"])
    with pytest.raises(ValueError, match=r"reference: a model counts once.*r2 = r3"):
        audit.compare({**nets, "r3": same}, split, reference=["r1", "r2"], original="r3")
    same_outputs = keras.layers.Dense(4, kernel_initializer="identity")
    wrapped = keras.Sequential([keras.Input((4,)), same_outputs, same.layers[-1]])
    assert models.fingerprint(wrapped) != models.fingerprint(nets["r2"])
    with pytest.raises(ValueError, match=r"reference: a model counts once.*Received: r2 = r3"):
        audit.compare({**nets, "r3": wrapped}, split, reference=["r1", "r2", "r3"])
    assert (
        audit.compare({**nets, "again": same}, split, reference=["r1", "r2"]).reference_count == 2
    )
