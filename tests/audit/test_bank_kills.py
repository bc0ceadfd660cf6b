"""`kill -9` at random moments while a bank fills with two processes."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tfunlearn.audit import ReferenceBank, marks

from . import bank_parts as parts

MODELS, KILLS = 24, 20

DRIVER = """
import sys
from tests.audit.test_bank_kills import make_bank, MODELS

def note(done, total, line):
    with open(sys.argv[2], "a") as file:
        file.write(line + "\\n")

make_bank(sys.argv[1]).fill(MODELS, workers=2, retries=1000, progress=note)
"""


def make_bank(folder):
    """Returns a bank of a convolutional network, the same one in every process."""
    marks.code = lambda: "the code as it is"  # the files may be edited meanwhile
    own = {"epochs": 2, "batch_size": 16, "keep_weights": True, "say": None}
    return ReferenceBank(folder, parts.make_cnn(), parts.make_split(shape=(8, 8, 1)), **own)


class Killer:
    """Starts the driver, kills it and its workers, and watches what is finished."""

    def __init__(self, folder, log):
        self.folder, self._log = folder, log
        self._numbers = np.random.default_rng(4)
        self.kills, self.finished, self.hit = 0, {}, {"driver": 0, "worker": 0, "writing": 0}
        self.start()

    def start(self):
        root = pathlib.Path(__file__).parents[2]
        paths = os.pathsep.join([str(root), *filter(None, sys.path)])
        command = [sys.executable, "-c", DRIVER, str(self.folder.parent), str(self._log)]
        self.driver = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL
        )

    def look(self):
        """Notes what is finished; what was noted before must not have been made again."""
        for path in self.folder.glob("out-*"):
            note = path / "note.json"
            mark = (path.stat().st_ino, note.stat().st_mtime_ns, note.read_bytes())
            assert self.finished.setdefault(path.name, mark) == mark, f"{path.name} made twice"

    def run(self):
        """Kills until there were enough kills, then lets the driver finish."""
        while self.kills < KILLS:
            self._wait()
            self._kill()
        deadline = time.monotonic() + 300
        while self.driver.poll() is None and time.monotonic() < deadline:
            self.look()
            time.sleep(0.01)
        assert self.driver.returncode == 0
        self.look()

    def _wait(self):
        """Waits for a random time, for a file being written, or until models outrun kills."""
        patience = time.monotonic() + self._numbers.uniform(0, 4)
        for_writing = self._numbers.random() < 0.5
        while time.monotonic() < patience or for_writing:
            self.look()
            if len(self.finished) > self.kills + 2 or self.driver.poll() is not None:
                return
            if for_writing and any(self.folder.glob(".out-*.tmp")):
                time.sleep(self._numbers.uniform(0, 0.004))
                return
            time.sleep(0.0005)

    def _kill(self):
        """Kills a worker, both, or the driver, whose workers then end by themselves."""
        assert self.driver.poll() is None, "the driver ended before it was killed often enough"
        self.kills += 1
        workers = children(self.driver.pid)
        self.hit["writing"] += any(self.folder.glob(".out-*.tmp"))
        if not workers or self._numbers.random() < 0.2:
            self.hit["driver"] += 1
            self.driver.kill()
            self.driver.wait()
            self.start()
            return
        self.hit["worker"] += 1
        count = 2 if self._numbers.random() < 0.3 else 1
        for worker in self._numbers.permutation(workers)[:count]:
            os.kill(int(worker), signal.SIGKILL)


def children(parent):
    """Returns the processes that a process started and that are not dead."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, mother = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(mother) == parent and state != "Z":
            found.append(int(path.parent.name))
    return sorted(found)


@pytest.mark.slow
def test_twenty_kills_leave_the_bank_of_an_undisturbed_run(tmp_path, monkeypatch):
    if not pathlib.Path("/proc/self/stat").is_file():
        pytest.skip("needs /proc to find the processes of another one")
    monkeypatch.setattr(marks, "code", marks.code)  # put back afterwards
    calm, killed = make_bank(tmp_path / "calm"), make_bank(tmp_path / "killed")
    killer = Killer(killed.folder, tmp_path / "log")
    try:
        killer.run()
    finally:
        killer.driver.kill()
        killer.driver.wait()
    assert killer.kills == KILLS
    assert killer.hit["driver"] > 0
    assert killer.hit["worker"] > 0
    assert killed.seeds == list(range(MODELS))
    lines = (tmp_path / "log").read_text().splitlines()
    seeds = [line.split(",")[0] for line in lines if ": made" in line]
    assert len(set(seeds)) == len(seeds)  # none was made twice
    assert calm.fill(MODELS, workers=1) == MODELS
    for seed, ours, theirs in zip(calm.seeds, calm.notes(), killed.notes(), strict=True):
        assert ours["files"] == theirs["files"], f"seed {seed} has other bytes"  # their sha256
        assert ours["accuracy"] == theirs["accuracy"]
    left = [path.name for path in killed.folder.iterdir() if path.name.startswith(".")]
    assert left == []
