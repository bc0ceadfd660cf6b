"""Folders for the time of a run: gone at its end, and when its process has died."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from tfunlearn.storage.scratch import clear_scratch, scratch, temporary


def test_a_scratch_folder_goes_at_the_end_and_when_its_process_has_died(tmp_path):
    (tmp_path / ".scratch-0123456789abcdef.tmp").mkdir()
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


def test_a_scratch_folder_is_its_owners_alone_whatever_the_umask(tmp_path):
    for mask in (0o000, 0o022, 0o077):
        old = os.umask(mask)
        try:
            with scratch(tmp_path) as folder, temporary() as other:
                modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, other)}
                (folder / "data").write_text("here")
        finally:
            os.umask(old)
        assert modes == {0o700}


def test_what_others_keep_under_such_names_stays(tmp_path):
    for name in (".scratch-mine.tmp", ".scratch-0123456789abcdef.tmp.gz", ".mine.tmp"):
        (tmp_path / name).write_text("mine")
    assert clear_scratch(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 3


def test_a_temporary_folder_of_a_killed_process_goes_with_the_next(tmp_path, monkeypatch):
    code = (
        "import sys; from tfunlearn.storage.scratch import temporary\n"
        "with temporary() as folder: print(folder, flush=True); sys.stdin.readline()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        left = process.stdout.readline().strip()
        with temporary():
            assert os.path.isdir(left)  # it is alive
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert os.path.isdir(left)
    with temporary() as folder:
        assert not os.path.exists(left)
        assert folder.is_relative_to(tmp_path)
    [base] = tmp_path.iterdir()
    assert [path.name for path in base.iterdir()] == ["locks"]
    base.chmod(0o777)  # somebody may have made it to lie in wait
    with temporary() as folder:
        assert not folder.is_relative_to(base)
