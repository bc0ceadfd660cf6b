"""Folders for the time of a run: gone at its end, and when its process has died."""

import pytest

from tfunlearn.storage.scratch import clear_scratch, scratch


def test_a_scratch_folder_goes_at_the_end_and_when_its_process_has_died(tmp_path):
    (tmp_path / ".scratch-dead.tmp").mkdir()
    with scratch(tmp_path) as alive:
        (alive / "file").write_text("here")
        assert clear_scratch(tmp_path) == 1
        assert (alive / "file").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]
    assert list((tmp_path / "locks").iterdir()) == []


def test_a_scratch_folder_goes_after_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="no"), scratch(tmp_path):
        raise RuntimeError("no")
    assert [path.name for path in tmp_path.rglob("*")] == ["locks"]
