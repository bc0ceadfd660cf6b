"""A file in the current folder is never run: not by a command, nor by its workers."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

NAMES = (
    *("abc", "h5py", "json", "numpy", "optree", "queue", "random", "secrets", "tempfile", "typing"),
    *("keras", "tensorflow", "sklearn"),
)
FILES = "--data data.npz --forget ids.txt"
COMMANDS = (
    "methods finetune",
    f"unlearn --model model.keras {FILES} --method finetune --set epochs=1 --out unlearned",
    f"bank --model model.keras {FILES} --epochs 1 --batch-size 32 --models 3 --out bank",
    f"audit --original model.keras --unlearned unlearned/unlearned.keras {FILES} --bank bank",
    "compare --task random --methods finetune --seeds 1 --references 2 --limit 60 --epochs 1 "
    "--set finetune.epochs=1 --workers 2 --threads 1",
    "demo --limit 60 --epochs 1 --methods finetune",
    "run mnist-retrain --data-dir . --epochs 1 --limit 40",
)
# as the console script, which has its own folder first on the path
CODE = """
import sys
from tfunlearn.cli import main
for line in sys.argv[1:]:
    print(line, main(line.split()), file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path):
    rows = np.random.default_rng(0)
    x, y = rows.normal(size=(60, 4)).astype("float32"), np.arange(60) % 3
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:30] + 1, y_test=y[:30])
    images, labels = rows.integers(0, 256, (60, 28, 28), "uint8"), np.arange(60) % 10
    own = {"x_train": images, "y_train": labels, "x_test": images[:20], "y_test": labels[:20]}
    np.savez(tmp_path / "mnist.npz", **own)
    (tmp_path / "ids.txt").write_text("".join(f"{number}\n" for number in range(6)))
    for name in NAMES:
        text = "import pathlib\npathlib.Path('RAN_' + __name__).touch()\nraise ImportError"
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


@pytest.mark.slow
def test_no_command_runs_a_file_of_the_current_folder(folder):
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE, *COMMANDS],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert list(folder.glob("RAN_*")) == []
    ended = [line for line in done.stderr.splitlines() if line.startswith(COMMANDS)]
    # the last one trains on noise, which may leave no accuracy to report
    assert [line.rpartition(" ")[0] for line in ended] == list(COMMANDS), done.stderr[-2000:]
    assert ended[:-1] == [f"{line} 0" for line in COMMANDS[:-1]], done.stderr[-2000:]
