import json
import os
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from stage_harms import cut, nan, swapped

from tfunlearn.experiments.mnist_retrain import BatchLosses, make_split, mnist_retrain
from tfunlearn.metrics import cross_entropy

KEYS = [
    "untrained_test_accuracy",
    "trained_average_loss",
    "trained_test_accuracy",
    "erased_test_accuracy",
    "retrained_average_loss",
    "unlearned_test_accuracy",
    "unlearned_forget_accuracy",
    "performance_drop",
    "forgetting_effectiveness",
    "utility_preservation",
    "seconds",
]
SMALL = {"epochs": 5, "forget_fraction": 0.5, "say": None}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with a small mnist.npz: each class a bright block of its own, and noise."""
    numbers = np.random.default_rng(0)

    def images(count):
        y = np.arange(count) % 10
        x = numbers.integers(0, 60, (count, 28, 28))
        for image, label in zip(x, y, strict=True):
            image[2 * label : 2 * label + 8] += 150
        return x.astype("uint8"), y.astype("uint8")

    folder = tmp_path_factory.mktemp("data")
    (x, y), (x_test, y_test) = images(640), images(120)
    np.savez(folder / "mnist.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    """The folder of a finished run, and its result."""
    out = tmp_path_factory.mktemp("run")
    return out, mnist_retrain(out, data_dir=data_dir, **SMALL)


def figures(result):
    return {key: result[key] for key in KEYS if key != "seconds"}


def test_result_has_the_notebooks_numbers(finished):
    out, result = finished
    assert list(result) == [*KEYS, "settings", "environment"]
    assert json.loads((out / "result.json").read_text()) == result
    drop = result["trained_test_accuracy"] - result["unlearned_test_accuracy"]
    assert result["performance_drop"] == pytest.approx(drop)
    share = result["unlearned_test_accuracy"] / result["trained_test_accuracy"]
    assert result["utility_preservation"] == pytest.approx(share)
    assert result["forgetting_effectiveness"] == result["unlearned_forget_accuracy"]
    assert result["settings"]["epochs"] == 5
    assert result["environment"]["keras"] == keras.__version__


def test_training_teaches_and_erasing_forgets(finished):
    _, result = finished
    assert result["trained_test_accuracy"] > result["untrained_test_accuracy"] + 0.3
    assert result["erased_test_accuracy"] < result["trained_test_accuracy"] - 0.3
    assert 0 < result["trained_average_loss"] < result["retrained_average_loss"] < np.log(10) + 0.1


def test_data_are_normalised_and_in_file_order(data_dir):
    split, (x, y) = make_split(data_dir, 0, 0.9, None)
    assert (x.min(), x.max() <= 1.0, x.shape) == (-1.0, True, (640, 784))
    assert y[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert (split.size("forget"), split.size("retain"), split.size("test")) == (576, 64, 120)


def test_limit_takes_the_first_images(data_dir):
    split, (x, _) = make_split(data_dir, 0, 0.5, 60)
    assert (len(x), split.size("test")) == (60, 10)


def test_another_seed_and_another_init_give_other_numbers(finished, data_dir, tmp_path):
    _, result = finished
    for name, other in {"seed": {"seed": 1}, "init": {"init": "keras"}}.items():
        again = mnist_retrain(tmp_path / name, data_dir=data_dir, **SMALL, **other)
        assert again["trained_average_loss"] != result["trained_average_loss"]
        assert again["retrained_average_loss"] != result["retrained_average_loss"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at", ["trained: started", "retrained: started", "Trained model"])
def test_a_killed_run_goes_on_with_the_missing_stages(finished, data_dir, tmp_path, at):
    def kill(line):
        if line.startswith(at):
            raise Killed

    with pytest.raises(Killed):
        mnist_retrain(tmp_path, data_dir=data_dir, **(SMALL | {"say": kill}))
    lines = []
    result = mnist_retrain(tmp_path, data_dir=data_dir, **(SMALL | {"say": lines.append}))
    made = [line.split(":")[0] for line in lines if line.endswith(": started")]
    expected = {"trained: started": ["trained", "retrained"], "retrained: started": ["retrained"]}
    assert made == expected.get(at, [])
    assert figures(result) == figures(finished[1])


@pytest.mark.parametrize("harm", [cut, swapped, nan], ids=lambda harm: harm.__name__)
def test_stages_that_are_damaged_are_made_again(finished, data_dir, tmp_path, harm):
    out, lines = tmp_path / "run", []
    shutil.copytree(finished[0], out)
    for name in ("trained.keras", "retrained.json"):
        harm(out / "stages" / name)
    result = mnist_retrain(out, data_dir=data_dir, **(SMALL | {"say": lines.append}))
    assert sum("damaged" in line and line.endswith("made again") for line in lines) in (1, 2)
    assert [line for line in lines if line.endswith(": started")] == [
        "trained: started",
        "retrained: started",
    ]
    assert figures(result) == figures(finished[1])


@pytest.mark.slow
def test_a_run_killed_by_the_system_goes_on(finished, data_dir, tmp_path):
    code = (
        "import os, signal\n"
        "from tfunlearn.experiments.mnist_retrain import mnist_retrain\n"
        "def say(line):\n"
        "    if line == 'retrained: started': os.kill(os.getpid(), signal.SIGKILL)\n"
        f"mnist_retrain({str(tmp_path)!r}, data_dir={str(data_dir)!r}, epochs=5,"
        " forget_fraction=0.5, say=say)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "result.json").exists()
    lines = []
    result = mnist_retrain(tmp_path, data_dir=data_dir, **(SMALL | {"say": lines.append}))
    assert "trained: finished before, loaded" in lines
    assert "retrained: started" in lines
    assert figures(result) == figures(finished[1])


def test_average_loss_counts_every_batch_the_same():
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(40, 3)).astype("float32"), numbers.integers(0, 4, 40)
    x[32:] *= 20.0  # the short last batch has a loss of its own
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.0), loss)
    counted = BatchLosses(len(y), 16)
    history = model.fit(
        x, y, batch_size=16, epochs=2, shuffle=False, callbacks=[counted], verbose=0
    )
    kernel, bias = model.get_weights()
    losses = cross_entropy(y, x @ kernel + bias)
    expected = np.mean([losses[:16].mean(), losses[16:32].mean(), losses[32:].mean()])
    assert counted.mean() == pytest.approx(expected, rel=1e-5)
    assert history.history["loss"][-1] != pytest.approx(expected, rel=1e-2)


def test_missing_data_is_an_error_before_anything_is_trained(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected an existing folder"):
        mnist_retrain(tmp_path / "out", data_dir=tmp_path / "nowhere", **SMALL)
    assert not list(tmp_path.rglob("*.keras"))


@pytest.mark.data
@pytest.mark.slow
def test_real_mnist_gives_the_notebooks_numbers(data_file, tmp_path):
    """One seed, so the bands are those of the means, wider by three deviations between seeds."""
    folder = data_file("mnist.npz").parent
    result = mnist_retrain(tmp_path, data_dir=folder, say=None)
    assert os.path.isfile(tmp_path / "result.json")
    bands = {
        "untrained_test_accuracy": (0.02, 0.20),
        "trained_average_loss": (0.26, 0.31),
        "trained_test_accuracy": (0.955, 0.975),
        "erased_test_accuracy": (0.02, 0.20),
        "retrained_average_loss": (0.73, 0.92),
        "unlearned_test_accuracy": (0.87, 0.92),
        "unlearned_forget_accuracy": (0.87, 0.92),
        "utility_preservation": (0.90, 0.96),
    }
    outside = {k: result[k] for k, (low, high) in bands.items() if not low <= result[k] <= high}
    assert outside == {}
