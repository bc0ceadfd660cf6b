"""Notes of banks and of stages: whole, or left out with a reason; never another exception."""

import hashlib
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audit.test_bank_entry import ITEM, FakeTrainer, make_entries
from tfunlearn.audit import marks
from tfunlearn.audit.bank_entry import NOTE
from tfunlearn.audit.bank_make import make
from tfunlearn.experiments.stages import Stages
from tfunlearn.reading.npz import parse_npy

from .mutations import changed, damaged, outcome, places


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    found = make_entries(tmp_path_factory.mktemp("bank"))
    make(FakeTrainer(), found, ITEM)
    return found


@pytest.fixture(scope="module")
def whole(entries):
    return (entries.folder / ITEM.name / NOTE).read_bytes()


def look(entries, content):
    """Reads a model whose note is another."""
    (entries.folder / ITEM.name / NOTE).write_bytes(content)
    fault = entries.fault(ITEM)
    note, error = outcome(entries.note, ITEM)
    assert (error is None) or str(error).startswith(f"{ITEM}: ")
    assert fault is None or isinstance(fault, str)
    assert fault is not None or note is not None
    return fault


@given(st.data())
def test_damaged_notes_of_a_bank(entries, whole, data):
    look(entries, data.draw(damaged(whole)))


@given(st.data(), st.booleans())
def test_changed_notes_of_a_bank(entries, whole, data, sealed):
    """With the sum of what they say, too, as someone else might write them."""
    note = json.loads(whole)
    paths = [path for path in places(note) if path]
    note = data.draw(changed(note, paths))
    if sealed:
        kept = {name: value for name, value in note.items() if name != "sha256"}
        note["sha256"], error = outcome(marks.text_mark, kept, errors=(ValueError, TypeError))
        assert note["sha256"] or error
    text = json.dumps(note, indent=2) + "\n"
    fault = look(entries, text.encode())
    assert fault is not None or json.loads(text) == note


def test_a_whole_note_is_whole(entries, whole):
    assert look(entries, whole) is None


@given(st.data())
def test_damaged_arrays_of_a_bank(entries, whole, data):
    """Their sums right, as someone else might write them."""
    path = entries.folder / ITEM.name / "logits-test.npy"
    before = path.read_bytes()
    content = data.draw(damaged(before))
    note = json.loads(whole)
    note["files"][path.name] = hashlib.sha256(content).hexdigest()
    note["sha256"] = marks.text_mark({k: v for k, v in note.items() if k != "sha256"})
    path.write_bytes(content)
    try:
        (path.parent / NOTE).write_text(json.dumps(note))
        found, error = outcome(entries.logits, ITEM, "test")
        assert str(error) if error else isinstance(found, np.ndarray)
    finally:
        path.write_bytes(before)


SETTINGS = {"epochs": 3, "options": {"rate": 0.1, "layers": ["a", None]}}


@given(st.data())
def test_damaged_notes_of_stages(tmp_path_factory, data):
    stages = Stages(tmp_path_factory.getbasetemp() / "stages", {"seed": 0})
    path = stages.folder / "stage.json"
    path.unlink(missing_ok=True)
    assert stages.noted("stage", lambda: {"rows": [1, 2]}, SETTINGS) == {"rows": [1, 2]}
    content = path.read_bytes()
    if data.draw(st.booleans()):
        content = data.draw(damaged(content))
    else:
        note = json.loads(content)
        paths = [place for place in places(note) if place]
        content = json.dumps(data.draw(changed(note, paths))).encode()
    path.write_bytes(content)
    assert not stages.has_model("stage", SETTINGS)
    stages.noted("stage", lambda: {"rows": [1, 2]}, SETTINGS)  # kept, or made again
    assert json.loads(path.read_bytes())["settings"] == {"seed": 0, **SETTINGS}


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", np.lib.format.MAGIC_PREFIX + b"\x01\0\x02\0{}", b"[" * 100],
    ids=["nothing", "magic", "header", "text"],
)
def test_no_array(content):
    with pytest.raises(ValueError, match=re.escape("here: expected an array in an .npy file")):
        parse_npy(content, "here")
