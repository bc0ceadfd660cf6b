"""Claims: one at a time, given back when their process ends."""

import signal
import subprocess
import sys

from tfunlearn.storage import claimed, lock

HOLD = f"""
import runpy, sys
claimed = runpy.run_path({lock.__file__!r})["claimed"]
with claimed(sys.argv[1]) as mine:
    print(mine, flush=True)
    sys.stdin.readline()
"""


def test_a_claim_ends_with_its_process_however_that_ends(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "True\n"
        with claimed(path) as mine:
            assert not mine
        process.send_signal(signal.SIGKILL)
        process.wait()
    with claimed(path) as mine:
        assert mine
