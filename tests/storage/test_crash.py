"""A kill at any file-system event leaves the old set of files or the new one."""

import json
import pathlib
import subprocess
import sys

import pytest

DRIVER = pathlib.Path(__file__).parent / "crash_driver.py"


@pytest.mark.skipif(not hasattr(sys, "addaudithook") or sys.platform == "win32", reason="it forks")
def test_a_kill_at_any_event_leaves_the_old_set_or_the_new_one():
    done = subprocess.run(
        [sys.executable, str(DRIVER)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["kills"] > 100
