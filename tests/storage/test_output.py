"""An output folder: one owner, no input and no file of another overwritten, a whole set or none."""

import contextlib
import itertools
import os
import stat

import pytest

from tfunlearn.storage import Refused, check_output, output
from tfunlearn.storage.journal import settle
from tfunlearn.storage.manifest import Manifest

NAMES = ("model.keras", "again.keras", "report.json")


def put(folder, text="new", names=NAMES, *, command="unlearn", then=None, **options):
    with output(folder, command, NAMES, **options) as results:
        for name in names:
            results.path(name).write_text(f"{text} {name}")
        if then is not None:
            then()


def raising(error):
    def fail():
        raise error

    return fail


def there(folder):
    """Returns the content of all files to be seen."""
    return {p.name: p.read_text() for p in sorted(folder.iterdir()) if p.is_file()}


def whole(text, names=NAMES):
    return {name: f"{text} {name}" for name in sorted(names)}


def test_a_set_takes_the_place_of_the_earlier_one_and_leaves_other_files(tmp_path):
    (tmp_path / "notes").write_text("mine")
    put(tmp_path, "old")
    assert there(tmp_path) == {**whole("old"), "notes": "mine"}
    put(tmp_path, "new", ["model.keras", "report.json"])
    assert there(tmp_path) == {**whole("new", ["model.keras", "report.json"]), "notes": "mine"}
    assert set(Manifest.of(tmp_path).files) == {"model.keras", "report.json"}
    assert sorted(os.listdir(tmp_path / ".tfunlearn")) == ["lock", "manifest.json"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_earlier_set(error, tmp_path):
    for before in ({}, whole("old")):
        with pytest.raises(error):
            put(tmp_path, "half", ["model.keras"], then=raising(error))
        assert there(tmp_path) == before
        assert os.listdir(tmp_path) == [] or before
        put(tmp_path, "old")


def test_nothing_is_seen_before_the_end_and_only_by_the_owner(tmp_path):
    old = os.umask(0)
    try:
        with output(tmp_path, "unlearn", NAMES) as results:
            results.path("model.keras").write_text("new")
            assert there(tmp_path) == {}
            assert stat.S_IMODE(results.stage.stat().st_mode) == 0o700
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "model.keras").stat().st_mode) == 0o666


def test_another_name_than_those_it_was_opened_for(tmp_path):
    with pytest.raises(ValueError, match=r"names: expected plain file names"):
        check_output(tmp_path, "unlearn", ["../model.keras"])
    with output(tmp_path, "unlearn", NAMES) as results:
        path = results.path
    with pytest.raises(ValueError, match=r"name: expected one of model\.keras"):
        path("other")


def test_two_commands_on_a_folder_in_every_order(tmp_path):
    """Whichever step comes first: one is refused, or both are done, and the set is one of them."""
    steps = ("open", "write", "close")
    for number, order in enumerate(sorted(set(itertools.permutations("AAABBB")))):
        folder = tmp_path / str(number)
        open_folders, done = {}, dict.fromkeys("AB", 0)
        for who in order:
            step, done[who] = steps[done[who]], done[who] + 1
            if step == "open":
                stack = contextlib.ExitStack()
                with contextlib.suppress(Refused):
                    opened = output(folder, "unlearn", NAMES)
                    open_folders[who] = stack, stack.enter_context(opened)
            elif who in open_folders:
                stack, results = open_folders[who]
                if step == "write":
                    for name in NAMES:
                        results.path(name).write_text(f"{who} {name}")
                else:
                    stack.close()
        assert there(folder) in (whole("A"), whole("B")), order


def test_the_second_command_is_refused_at_once(tmp_path):
    put(tmp_path, "old")
    with output(tmp_path, "unlearn", NAMES):
        with pytest.raises(Refused, match="out: another command is at work on the folder"):
            put(tmp_path)
        assert there(tmp_path) == whole("old")
    assert there(tmp_path) == whole("old")  # one that writes nothing changes nothing


LINKS = {
    "itself": lambda target, folder: target,
    "a symbolic link": lambda target, folder: _linked(os.symlink, target, folder),
    "a hard link": lambda target, folder: _linked(os.link, target, folder),
    "dots": lambda target, folder: target.parent / "sub" / ".." / target.name,
    "a linked folder": lambda target, folder: (
        _linked(os.symlink, target.parent, folder) / target.name
    ),
}


def _linked(link, target, folder):
    link(target, folder / "link")
    return folder / "link"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", LINKS)
def test_an_input_is_never_overwritten(kind, force, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.keras").write_text("mine")
    path = LINKS[kind](folder / "model.keras", tmp_path)
    monkeypatch.chdir(tmp_path)
    for given, out in ((path, folder), (os.path.relpath(path), "out"), (path, "out/sub/..")):
        with pytest.raises(Refused, match=r"model: .*would be overwritten.*give another --out"):
            put(out, inputs={"data": "nothing.npz", "model": [given], "ids": None}, force=force)
    assert there(folder) == {"model.keras": "mine"}


def test_a_target_that_is_a_link_to_the_input(tmp_path):
    (tmp_path / "mine.keras").write_text("mine")
    (tmp_path / "out").mkdir()
    os.symlink(tmp_path / "mine.keras", tmp_path / "out" / "model.keras")
    with pytest.raises(Refused, match="would be overwritten"):
        put(tmp_path / "out", inputs={"model": tmp_path / "mine.keras"}, force=True)
    with pytest.raises(Refused, match="does not overwrite files that it did not write"):
        put(tmp_path / "out")
    put(tmp_path / "out", force=True)
    assert (tmp_path / "mine.keras").read_text() == "mine"
    assert there(tmp_path / "out") == whole("new")


def test_an_input_from_the_earlier_set_stays(tmp_path):
    put(tmp_path, "old")
    reference = {"reference": [tmp_path / "again.keras"]}
    with output(tmp_path, "unlearn", ["model.keras", "report.json"], inputs=reference) as results:
        for name in ("model.keras", "report.json"):
            results.path(name).write_text(f"new {name}")
    assert there(tmp_path) == {**whole("new"), "again.keras": "old again.keras"}
    put(tmp_path, "next", ["model.keras"])
    assert there(tmp_path) == whole("next", ["model.keras"])


@pytest.mark.parametrize("origin", ["a stranger", "a change since", "another command"])
def test_files_of_another_origin_are_in_the_way(origin, tmp_path):
    if origin == "a stranger":
        (tmp_path / "report.json").write_text("mine")
    else:
        put(tmp_path, "old", command="audit" if origin == "another command" else "unlearn")
        if origin == "a change since":
            (tmp_path / "report.json").write_text("edited")
    before = there(tmp_path)
    whose = "of tfunlearn audit" if origin == "another command" else "that it did not write"
    message = rf"out: tfunlearn unlearn does not overwrite files {whose}: .*report\.json.*--force"
    for call in (put, lambda folder: check_output(folder, "unlearn", NAMES)):
        with pytest.raises(Refused, match=message):
            call(tmp_path)
        assert there(tmp_path) == before
    put(tmp_path, force=True)
    assert there(tmp_path) == whole("new")
    put(tmp_path, "next")  # they are ours now


def test_a_folder_of_that_name_is_never_replaced(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(Refused, match=r"report\.json"):
        put(tmp_path, force=True)


def test_a_file_that_comes_while_results_are_computed_stays_and_they_are_kept(tmp_path):
    come = (tmp_path / "model.keras").write_text
    with pytest.raises(Refused, match="The new files are in") as caught:
        put(tmp_path, "hours of", ["model.keras"], then=lambda: come("mine"))
    assert there(tmp_path) == {"model.keras": "mine"}
    [kept] = [path for path in tmp_path.iterdir() if path.name.startswith("unlearn-")]
    assert there(kept) == {"model.keras": "hours of model.keras"}
    assert str(kept) in str(caught.value)


@pytest.mark.parametrize(
    "name", [".tfunlearn/manifest.json", ".tfunlearn/commit.json", ".tfunlearn"]
)
def test_our_own_files_when_damaged_or_forged(name, tmp_path):
    folder = tmp_path / "out"
    put(folder, "old")
    (tmp_path / "mine").write_text("mine")
    if name == ".tfunlearn":
        os.rename(folder / name, tmp_path / "moved")
        os.symlink(tmp_path / "moved", folder / name)
        with pytest.raises(Refused, match="is in the way"):
            put(folder)
        return
    forged = (
        '{"schema": "tfunlearn.commit", "stage": "stage-0123456789abcdef", "old": {"../mine": '
        '"x"}, "new": {"schema": "tfunlearn.output", "version": 1, "command": "unlearn", '
        '"files": {"../mine": "' + 64 * "0" + '"}}}'
    )
    for content in ("{", "[]", "[" * 100_000, forged):
        (folder / name).write_text(content)
        settle(folder)
        with contextlib.suppress(Refused):
            put(folder, force=True)
        assert (tmp_path / "mine").read_text() == "mine"
        assert there(folder) == whole("new")
