"""Ways in which a stage's file can be not what was written: what is done to it, by name."""

import json
import shutil

import keras
import numpy as np

from tfunlearn.experiments.stage_files import write_note
from tfunlearn.storage.atomic import file_sha256


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def text(path):
    path.write_text("hello\n")


def arrays(path):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


def folder(path):
    path.unlink()
    path.mkdir()
    (path / "own.txt").write_text("somebody's")


def swapped(path):
    """Puts another stage's file of the same kind in its place, which is whole by itself."""
    others = sorted(own for own in path.parent.glob(f"*{path.suffix}") if own != path)
    other = next((own for own in others if own.read_bytes() != path.read_bytes()), None)
    if other is None and path.suffix == ".keras":
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    elif other is None:
        write_note(path, {"settings": {}, "content": {}})
    else:
        shutil.copy(other, path)


def _note(path):
    return path.with_suffix(".json")


def _resigned(path, change):
    """Changes a note and signs it anew, as somebody would who knows how."""
    note = json.loads(path.read_text())
    del note["sha256"]
    change(note)
    write_note(path, note)


def without_sum(path):
    """Takes away the sha256 that vouches for the file."""
    note = json.loads(_note(path).read_text())
    if path.suffix == ".keras":
        _resigned(_note(path), lambda note: note.pop("files"))
    else:
        del note["sha256"]
        path.write_text(json.dumps(note))


def nan(path):
    """Puts NaN into it; a model's file is vouched for anew."""
    if path.suffix == ".json":
        path.write_text(path.read_text().replace("0.", "NaN, 0.", 1) + " NaN")
        return
    model = keras.models.load_model(path)
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    model.save(path)
    mark = file_sha256(path)
    _resigned(_note(path), lambda note: note["files"].update({path.name: mark}))


def infinite(path):
    note = json.loads(path.read_text())
    path.write_text(json.dumps({**note, "seconds": 1e308}).replace("1e+308", "1e999"))


def other_types(path):
    """Signs a note whose parts are of other kinds."""

    def change(note):
        kept = {"content": ["a list"]} if "content" in note else {"seconds": "two", "figures": 3}
        note.update(kept)

    _resigned(path, change)


def deep(path):
    path.write_text("[" * 100_000)


def is_json(content):
    def harm(path):
        path.write_text(content)

    harm.__name__ = f"json {content}"
    return harm


ANY = [cut, half, empty, flip, text, arrays, folder, swapped, without_sum, nan]
NOTES = [
    infinite,
    other_types,
    deep,
    *map(is_json, ["[]", "3", "null", '"a"', "{}", "{", '{"settings": {}, "sha256": null}']),
]


def harms_of(path_name):
    """Returns what can be done to a file of a name."""
    return ANY + (NOTES if path_name.endswith(".json") else [])
