"""A bank's files: whole or not there, checked when read, claimed by one process at a time."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from tfunlearn.audit import bank_entry
from tfunlearn.audit.bank_entry import ABSENT, Entries
from tfunlearn.audit.bank_job import Item, Made
from tfunlearn.audit.bank_make import make
from tfunlearn.pool import BUSY, MADE, THERE
from tfunlearn.storage import Refused

ROLES = ("forget", "test")
ITEM = Item(3, False)
FILES = ["note.json", "logits-forget.npy", "logits-test.npy", "model.weights.h5"]


class FakeTrainer:
    """Makes a model at once, and counts."""

    def __init__(self):
        self.made = []

    def make(self, item):
        self.made.append(item)
        logits = {role: np.full((2, 3), item.seed, "float32") for role in ROLES}
        return Made(logits, dict.fromkeys(ROLES, 0.5), 1.25, b"weights", {"keras": "9"})


def make_entries(folder, key="key"):
    return Entries(folder, key, ROLES, weights=True)


@pytest.fixture
def entries(tmp_path):
    """One model on disk."""
    found = make_entries(tmp_path)
    assert make(FakeTrainer(), found, ITEM).kind == MADE
    return found


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_what_lies_in_the_folder(entries):
    assert names(entries.folder) == ["locks", "out-3"]
    assert names(entries.folder / "out-3") == sorted(FILES)
    assert entries.fault(ITEM) is None
    assert entries.fault(Item(3, True)) == ABSENT
    np.testing.assert_array_equal(entries.logits(ITEM, "test"), np.full((2, 3), 3, "float32"))
    note = json.loads((entries.folder / "out-3" / "note.json").read_text())
    assert (note["seed"], note["seconds"], note["accuracy"]["test"]) == (3, 1.25, 0.5)
    for name in FILES[1:]:
        content = (entries.folder / "out-3" / name).read_bytes()
        assert note["files"][name] == hashlib.sha256(content).hexdigest()


def test_arrays_are_read_without_pickle(entries):
    path = entries.folder / "out-3" / "logits-test.npy"
    np.save(path, np.array([{}], object), allow_pickle=True)
    note_path = entries.folder / "out-3" / "note.json"
    note = json.loads(note_path.read_text())
    note["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    del note["sha256"]
    note["sha256"] = bank_entry.marks.text_mark(note)
    note_path.write_text(json.dumps(note))
    with pytest.raises(ValueError, match="an array of object, which are no plain numbers"):
        entries.logits(ITEM, "test")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "harm", [cut, flip, pathlib.Path.unlink, lambda path: path.write_bytes(b"")]
)
def test_a_file_that_is_not_as_it_was_is_seen_and_made_again(entries, name, harm):
    before = {path.name: path.read_bytes() for path in (entries.folder / "out-3").iterdir()}
    harm(entries.folder / "out-3" / name)
    for look in (entries, make_entries(entries.folder)):
        assert look.fault(ITEM).startswith(name)
        with pytest.raises(ValueError, match=r"seed 3, .* fill the bank again"):
            look.file(ITEM, name) if name != "note.json" else look.note(ITEM)
    assert make(FakeTrainer(), entries, ITEM).kind == MADE
    after = {path.name: path.read_bytes() for path in (entries.folder / "out-3").iterdir()}
    assert after == before
    assert names(entries.folder) == ["locks", "out-3"]


def test_a_byte_that_changes_without_a_trace_is_seen_when_it_is_read(entries):
    path = entries.folder / "out-3" / "logits-test.npy"
    assert entries.fault(ITEM) is None
    look = path.stat()
    flip(path)
    os.utime(path, ns=(look.st_atime_ns, look.st_mtime_ns))
    assert entries.fault(ITEM) is None  # nothing shows it but the bytes
    with pytest.raises(ValueError, match="torn or altered"):
        entries.logits(ITEM, "test")
    assert "torn or altered" in entries.fault(ITEM)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda note: note | {"seconds": 0.1}, "note.json is altered"),
        (lambda note: [note], "note.json is torn"),
        (lambda note: {}, "note.json is torn"),
    ],
)
def test_a_note_that_is_not_as_it_was_is_seen(entries, change, words):
    path = entries.folder / "out-3" / "note.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert entries.fault(ITEM).startswith(words)


def test_a_model_of_other_settings_seed_or_side_is_not_taken(entries):
    assert make_entries(entries.folder, "other").fault(ITEM) == "it was made under other settings"
    for item in (Item(4, False), Item(3, True)):
        shutil.copytree(entries.folder / "out-3", entries.folder / item.name)
        assert entries.fault(item) == "it was made under other settings"


def test_models_are_listed_by_seed(entries):
    for seed in (20, 1):
        make(FakeTrainer(), entries, Item(seed, False))
    make(FakeTrainer(), entries, Item(2, True))
    (entries.folder / "out-of-place").mkdir()
    assert [item.seed for item in entries.items(False)] == [1, 3, 20]
    assert [item.seed for item in entries.items(True)] == [2]


def test_a_model_is_made_once_and_by_one(entries):
    trainer = FakeTrainer()
    assert make(trainer, entries, ITEM).kind == THERE
    with entries.claim(Item(4, False)) as mine:
        assert mine
        assert make(trainer, make_entries(entries.folder), Item(4, False)).kind == BUSY
    assert trainer.made == []
    assert make(trainer, entries, Item(4, False)).kind == MADE
    assert trainer.made == [Item(4, False)]


class Killed(BaseException):
    """What takes the place of a kill: nothing in the package catches it."""


@pytest.mark.parametrize("damaged", [False, True])
def test_a_writing_may_stop_at_any_step(tmp_path, monkeypatch, damaged):
    """Stops before each system call that changes files, once; nothing tidies up afterwards."""
    steps, limit = [], [None]

    def guarded(function):
        def call(*args, **options):
            steps.append(function.__name__)
            if limit[0] is not None and len(steps) > limit[0]:
                raise Killed
            return function(*args, **options)

        return call

    def attempt(folder, allowed):
        steps.clear()
        limit[0] = allowed
        entries = make_entries(folder)
        if damaged:
            limit[0] = None
            make(FakeTrainer(), entries, ITEM)
            flip(folder / "out-3" / "logits-test.npy")
            steps.clear()
            limit[0] = allowed
        with contextlib.suppress(Killed):
            make(FakeTrainer(), entries, ITEM)
        limit[0] = None
        return len(steps)

    monkeypatch.setattr(bank_entry, "_remove", guarded(bank_entry._remove))
    for place, name in (
        (os, "fsync"),
        (os, "rename"),
        (bank_entry, "_write"),
        (pathlib.Path, "mkdir"),
    ):
        monkeypatch.setattr(place, name, guarded(getattr(place, name)))
    total = attempt(tmp_path / "whole", None)
    assert total >= 10
    for allowed in range(total):
        folder = tmp_path / str(allowed)
        folder.mkdir()
        attempt(folder, allowed)
        entries = make_entries(folder)
        left = [name for name in names(folder) if name.startswith(".")]
        fault = entries.fault(ITEM)  # the whole of the new one, or of the old, or nothing
        assert fault in (None, ABSENT) or (damaged and fault.startswith("logits-test.npy is torn"))
        finished = fault is None
        assert entries.clear_all() == len(left)
        trainer = FakeTrainer()
        assert make(trainer, entries, ITEM).kind == (THERE if finished else MADE)
        assert len(trainer.made) == (0 if finished else 1)
        assert entries.fault(ITEM) is None
        assert names(folder) == ["locks", "out-3"]


def test_leftovers_of_the_living_stay(entries):
    part = entries.folder / ".out-4.0123456789abcdef.tmp"
    part.mkdir()
    with entries.claim(Item(4, False)), entries.scratch() as scratch:
        assert make_entries(entries.folder).clear_all() == 0
        assert part.is_dir()
        assert scratch.is_dir()
    assert not scratch.exists()
    assert entries.clear_all() == 1
    assert names(entries.folder) == ["locks", "out-3"]
    assert "scratch" not in " ".join(names(entries.folder / "locks"))


def test_a_scratch_folder_of_the_dead_goes_with_its_lock(entries):
    (entries.folder / ".scratch-0123456789abcdef.tmp").mkdir()
    (entries.folder / ".bank.json.77.tmp").write_text("half")
    assert entries.clear_all() == 2
    assert names(entries.folder) == ["locks", "out-3"]
    assert "scratch-0123456789abcdef" not in names(entries.folder / "locks")


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 1000])
def test_settings_that_are_damaged_are_written_again(entries, content):
    entries.write_settings({"epochs": 1})
    path = entries.folder / "bank.json"
    before = path.read_bytes()
    path.write_text(content)
    entries.write_settings({"epochs": 1})
    assert path.read_bytes() == before


def test_a_folder_in_the_place_of_the_settings_is_refused(entries):
    (entries.folder / "bank.json").mkdir()
    with pytest.raises(Refused, match=r"bank.json.*Expected: a file"):
        entries.write_settings({"epochs": 1})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("seconds", value) for value in ({}, None, True)),
        *(("accuracy", value) for value in (None, "x", {"test": "x"}, {})),
    ],
)
def test_a_note_of_another_kind_is_damaged(entries, key, value):
    path = entries.folder / "out-3" / "note.json"
    note = json.loads(path.read_text())
    del note["sha256"]
    note[key] = value
    note["sha256"] = bank_entry.marks.text_mark(note)
    path.write_text(json.dumps(note))
    assert make_entries(entries.folder).fault(ITEM).startswith("note.json holds no ")


def test_settings_are_written_once(entries):
    entries.write_settings({"epochs": 1})
    path = entries.folder / "bank.json"
    content = json.loads(path.read_text())
    assert content["settings"] == {"epochs": 1}
    assert content["key"] == "key"
    before = path.stat()
    entries.write_settings({"epochs": 1})
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_what_others_keep_under_such_names_stays(entries):
    kept = [".mine.tmp", ".out-x.tmp", ".out-3.mine.tmp", ".scratch-mine.tmp", ".bank.json.tmp"]
    for name in kept:
        (entries.folder / name).write_text("mine")
    assert entries.clear_all() == 0
    entries.clear(ITEM)
    assert [name for name in names(entries.folder) if name.startswith(".")] == sorted(kept)


@pytest.mark.parametrize("kind", ["a file", "files in a folder", "a link"])
def test_what_others_put_where_a_model_goes_is_not_replaced(kind, entries, tmp_path):
    item, place = Item(9, False), entries.folder / "out-9"
    (tmp_path / "kept").mkdir()
    if kind == "a file":
        place.write_text("mine")
    elif kind == "a link":
        place.symlink_to(tmp_path / "kept")
    else:
        place.mkdir()
        (place / "notes").write_text("mine")
    trainer = FakeTrainer()
    with pytest.raises(Refused, match=r"out: .*out-9' is where a model of the bank goes"):
        make(trainer, entries, item)
    assert trainer.made == []
    assert place.exists()
