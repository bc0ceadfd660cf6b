import hashlib
import json

import keras
import numpy as np
import pytest

from tfunlearn.audit.marks import text_mark
from tfunlearn.experiments.stages import Stages, read_json, write_json
from tfunlearn.storage.folder import writable_folder

SETTINGS = {"experiment": "test", "seed": 0}


def tiny(value=1.0):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((2, 1), value, "float32")])
    return model


class Maker:
    """Makes a model and counts how often it was asked."""

    def __init__(self, value=1.0):
        self.value, self.calls = value, 0

    def __call__(self):
        self.calls += 1
        return tiny(self.value)


def value_of(model):
    return float(model.get_weights()[0][0, 0])


def test_a_finished_stage_is_loaded_not_made(tmp_path):
    first = Stages(tmp_path, SETTINGS)
    first.model("one", Maker(3.0), {"epochs": 2})
    lines, again = [], Maker(4.0)
    second = Stages(tmp_path, SETTINGS, lines.append)
    assert value_of(second.model("one", again, {"epochs": 2})) == 3.0
    assert again.calls == 0
    assert second.seconds == first.seconds
    assert lines == ["one: finished before, loaded"]


@pytest.mark.parametrize(
    ("common", "own"), [({"seed": 1}, {"epochs": 2}), ({}, {"epochs": 3}), ({}, {})]
)
def test_other_settings_make_the_stage_again(tmp_path, common, own):
    Stages(tmp_path, SETTINGS).model("one", Maker(3.0), {"epochs": 2})
    again = Maker(4.0)
    stages = Stages(tmp_path, SETTINGS | common)
    assert value_of(stages.model("one", again, own)) == 4.0
    assert again.calls == 1


@pytest.mark.parametrize("harm", ["no note", "no model", "half a note"])
def test_a_stage_that_is_not_whole_is_made_again(tmp_path, harm):
    Stages(tmp_path, SETTINGS).model("one", Maker(3.0), {})
    note = tmp_path / "one.json"
    if harm == "no note":
        note.unlink()
    elif harm == "no model":
        (tmp_path / "one.keras").unlink()
    else:
        note.write_text(note.read_text()[:20])
    again = Maker(4.0)
    assert value_of(Stages(tmp_path, SETTINGS).model("one", again, {})) == 4.0
    assert again.calls == 1


def test_a_model_stage_keeps_settings_and_seconds_and_nothing_else(tmp_path):
    stages = Stages(tmp_path, SETTINGS)
    stages.model("one", Maker(), {"epochs": 2})
    note = json.loads((tmp_path / "one.json").read_text())
    content = (tmp_path / "one.keras").read_bytes()
    assert note.pop("sha256") == text_mark(note)
    assert note == {
        "settings": {"experiment": "test", "seed": 0, "epochs": 2},
        "seconds": stages.seconds["one"],
        "files": {"one.keras": hashlib.sha256(content).hexdigest()},
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "one.keras"]


def test_a_measured_stage_keeps_its_figures(tmp_path):
    made = Stages(tmp_path, SETTINGS).measured("one", lambda: (tiny(2.0), {"loss": 0.25}), {})
    found = Stages(tmp_path, SETTINGS).measured("one", Maker(), {})
    assert made[1] == found[1] == {"loss": 0.25}
    assert value_of(found[0]) == 2.0


def test_a_failed_stage_leaves_nothing(tmp_path):
    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        Stages(tmp_path, SETTINGS).model("one", fail, {})
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_save_leaves_nothing(tmp_path, monkeypatch):
    def half(self, path, **options):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "save", half)
    with pytest.raises(KeyboardInterrupt):
        Stages(tmp_path, SETTINGS).model("one", Maker(), {})
    assert list(tmp_path.iterdir()) == []


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("here")
    for path in (file, file / "below"):
        with pytest.raises(OSError, match="expected a folder that can be written to"):
            Stages(path, SETTINGS)
    assert file.read_text() == "here"


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path):
    folder = writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_a_noted_stage_keeps_its_content_alone(tmp_path):
    made = Stages(tmp_path, SETTINGS).noted("row", lambda: {"values": [1, None]}, {"epochs": 2})
    again = Stages(tmp_path, SETTINGS)
    assert again.noted("row", lambda: {"values": []}, {"epochs": 2}) == made
    assert [path.name for path in tmp_path.iterdir()] == ["row.json"]
    assert again.noted("row", lambda: {"values": [2]}, {"epochs": 3}) == {"values": [2]}


def test_a_failed_noted_stage_leaves_what_was_there(tmp_path):
    def fail():
        raise RuntimeError("no")

    stages = Stages(tmp_path, SETTINGS)
    with pytest.raises(RuntimeError, match="no"):
        stages.noted("row", fail, {})
    assert list(tmp_path.iterdir()) == []
