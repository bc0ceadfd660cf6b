"""A bank that is told to end: one line, its status, no worker and no temporary file left."""

import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

# of JAX, once it is in use; the child replaces itself at once, or is killed
pytestmark = pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning")

KEPT = "models finished before are kept, and the same command goes on from there"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGTERM, "ended by SIGTERM"), (signal.SIGINT, "interrupted")]
)
def test_it_ends_and_its_workers_with_it(tmp_path, number, words):
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    net.save(tmp_path / "m.keras")
    x, y = np.random.default_rng(0).normal(size=(40, 4)).astype("float32"), np.arange(40) % 2
    np.savez(tmp_path / "d.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    files = ["--model", "m.keras", "--data", "d.npz", "--class", "1", "--out", "bank"]
    many = ["--epochs", "1", "--models", "100000", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tfunlearn.cli", "bank", *files, *many],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        # also where the tests run in the background of a shell, which ignores it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stderr:
        if line.startswith("1 of 100000"):
            break
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [int(pid) for pid in children.read_text().split()]
    assert workers
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert errors.splitlines()[-1] == f"tfunlearn: error: {words}; {KEPT}"
    assert "Traceback" not in errors
    assert process.returncode == 128 + number
    assert not [pid for pid in workers if pathlib.Path(f"/proc/{pid}").exists()]
    left = [path.name for path in (tmp_path / "bank").rglob("*") if path.name.endswith(".tmp")]
    assert left == []
