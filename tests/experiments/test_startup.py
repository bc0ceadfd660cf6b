import os
import subprocess
import sys

import pytest

from tfunlearn.experiments.startup import _stderr_held_back

START = "from tfunlearn.experiments import startup; startup.start(quiet={quiet})"


def test_messages_are_held_back(capfd):
    with _stderr_held_back():
        os.write(2, b"chatter\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_messages_are_shown_if_the_start_fails(capfd):
    @_stderr_held_back()
    def start():
        os.write(2, b"the reason\n")
        raise ImportError("no backend")

    with pytest.raises(ImportError, match="no backend"):
        start()
    assert capfd.readouterr().err == "the reason\n"


@pytest.mark.slow
def test_a_quiet_start_says_nothing_and_sets_the_log_level():
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    code = START.format(quiet=True) + "; import os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=True,
    )
    assert (done.stdout.strip(), done.stderr) == ("3", "")
