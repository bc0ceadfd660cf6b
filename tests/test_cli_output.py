"""An output that cannot be written to, and arguments that are no paths: one line each."""

import subprocess
import sys

import pytest

from tfunlearn import cli

NOT_FULL = "tfunlearn: error: standard output"
CODE = "import sys; from tfunlearn.cli import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("option", "args"),
    [
        ([], ["--help"]),
        (["-u"], ["--help"]),
        ([], ["--version"]),
        (["-u"], ["methods", "finetune"]),
    ],
    ids=["help", "help unbuffered", "version", "methods unbuffered"],
)
def test_a_full_disk_is_one_line(option, args, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, *option, "-c", CODE, *args],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.stderr.startswith(NOT_FULL)
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


@pytest.mark.parametrize(("closed", "status"), [("1", 0), ("2", 2)])
def test_closed_standard_files_are_no_error(closed, status):
    args = "--version" if closed == "1" else "methods erase"
    command = f'"{sys.executable}" -c "{CODE}" {args} {closed}>&-'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (status, "", "")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["unlearn", "--model", "~nouser/x"], "--model: expected a path. Received: '~nouser/x'"),
        (["demo", "--out", "~nouser/x"], "--out: expected a path. Received: '~nouser/x'"),
        (["audit", "--bank", "~nouser"], "--bank: expected a path. Received: '~nouser'"),
        (["unlearn", "--data", "a" * 5000], "File name too long"),
        (["demo", "--out", "a" * 5000], "--out: expected a folder that can be written to"),
        (["demo", "--out", "a\0b"], "a zero byte"),
        (["methods", "caf\udce9"], r"argument 'caf\udce9': expected UTF-8"),
        (["demo", "--out", "caf\udce9"], r"argument 'caf\udce9': expected UTF-8"),
    ],
)
def test_what_is_no_path_is_one_line(args, words, capsys):
    assert cli.main(args) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_the_data_folder_of_the_environment_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFUNLEARN_DATA_DIR", "~nouser")
    assert cli.main(["run", "mnist-retrain", "--out", str(tmp_path)]) == 1
    assert "TFUNLEARN_DATA_DIR: expected a path. Received: '~nouser'" in capsys.readouterr().err
