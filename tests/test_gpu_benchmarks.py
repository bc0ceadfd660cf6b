"""The benchmarks for a GPU, at a tiny size on the CPU, with TensorFlow refused."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from argparse import Namespace

import keras
import numpy as np
import pytest

from tfunlearn import models

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
TORCH = ["pytorch", "pytorch_compile"]
JOB = '''
"""Runs both benchmarks in this process, with a network of one convolution in place of ResNet50."""

import sys

import run_gpu_bank
import run_gpu_resnet

FOLDER, HAS_TORCH = sys.argv[1], sys.argv[2] == "True"


def small(weights, jit_compile):
    import keras
    from keras import layers

    assert keras.backend.backend() == "jax"
    inputs = keras.Input((32, 32, 3))
    hidden = layers.Conv2D(4, 3, strides=2, padding="same", name="conv1_conv")(inputs)
    hidden = layers.ReLU()(layers.BatchNormalization(name="conv1_bn")(hidden))
    inner = keras.Model(inputs, hidden)
    head = [layers.Dense(8, "relu"), layers.Dense(10, "softmax")]
    model = keras.Sequential([inputs, inner, layers.GlobalAveragePooling2D(), *head])
    loss = "sparse_categorical_crossentropy"
    model.compile("sgd", loss, metrics=["accuracy"], jit_compile=jit_compile)
    return model


def small_in_torch(classes, dense):
    from collections import OrderedDict

    from torch import nn

    parts = {"conv1_conv": nn.Conv2d(3, 4, 3, stride=2, padding=1), "conv1_bn": nn.BatchNorm2d(4)}
    parts |= {"relu": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten()}
    parts |= {"hidden": nn.Linear(4, 8), "hidden_relu": nn.ReLU(), "logits": nn.Linear(8, 10)}
    return nn.Sequential(OrderedDict(parts))


run_gpu_resnet.keras_net = small
torch_names = []
if HAS_TORCH:
    import torch
    import torch_resnet

    torch.set_num_threads(1)
    torch_resnet.resnet50_classifier = small_in_torch
    torch_names = ["pytorch", "pytorch_compile"]
common = ["--here", "--rounds", "1", "--compiler", "eager", "--images", "random"]
only = ["--only", "keras_jit", "keras_no_jit", *torch_names]
size = ["--steps", "2", "--eager-steps", "1", "--passes", "2", "--batch-size", "4"]
out = ["--out", f"{FOLDER}/resnet.json", "--weights", "random"]
run_gpu_resnet.main([*common, *only, *size, *out])
only = ["--only", "tfunlearn_jit", *torch_names, "jax_alone", "jax_stacked"]
size = ["--models", "2", "--limit", "40", "--epochs", "1", "--batch-size", "18"]
run_gpu_bank.main([*common, *only, *size, "--out", f"{FOLDER}/bank.json"])
assert "tensorflow" not in sys.modules
'''


@pytest.fixture
def load(monkeypatch):
    """A function from a benchmark's name to its module."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


@pytest.fixture
def torch():
    """PyTorch, which only these benchmarks use."""
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")


def need_jax():
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed (pip install jax)")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Both results, of a process in which TensorFlow cannot be imported."""
    need_jax()
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "refused").mkdir()
    refusal = "raise ModuleNotFoundError('refused', name='tensorflow')\n"
    (folder / "refused" / "tensorflow.py").write_text(refusal)
    paths = [
        str(folder / "refused"),
        str(FOLDER),
        *os.environ.get("PYTHONPATH", "").split(os.pathsep),
    ]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "JAX_PLATFORMS": "cpu"}
    own["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # what is compiled here runs once
    with_torch = importlib.util.find_spec("torch") is not None
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(folder), str(with_torch)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **own},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in ("resnet", "bank")}


def check_common(result, ours, key):
    """Checks what both results have: device, contestants and the ratio in each round."""
    device = result["device"]
    assert (device["platform"], device["name"], device["memory_mib"]) == ("cpu", "cpu", None)
    assert device["count"] >= 1
    assert "driver" in device
    assert result["environment"]["backend"] == "jax"
    assert "tensorflow" not in result["environment"]
    assert result["settings"]["rounds"] == 1
    name = result["benchmark"]
    assert result["command"].startswith(f"python benchmarks/run_{name}.py --rounds 1 --only ")
    found = result["contestants"]
    assert set(result["ratio"]) == set(found) - {ours}
    for name, ratio in result["ratio"].items():
        pairs = zip(found[name][key]["rounds"], found[ours][key]["rounds"], strict=True)
        assert ratio["rounds"] == [above / below for above, below in pairs]


def test_resnet_result(made):
    result = made["resnet"]
    check_common(result, "keras_jit", "epoch_seconds")
    for name, own in result["contestants"].items():
        steps = 1 if name == "keras_no_jit" else 2
        assert own["steps"]["rounds"] == [steps]
        for seconds, rate, epoch in zip(
            own["pass_seconds"]["rounds"],
            own["examples_a_second"]["rounds"],
            own["epoch_seconds"]["rounds"],
            strict=True,
        ):
            assert rate == pytest.approx(steps * 4 / seconds)
            assert epoch == pytest.approx(45_000 * seconds / (steps * 4))
        assert own["first_pass_seconds"]["min"] > 0
        assert 0 <= own["accuracy"]["min"] <= own["accuracy"]["max"] <= 1
        assert 1 < own["loss"]["min"] < 10  # ten classes, hardly trained


def test_bank_result(made):
    result = made["bank"]
    check_common(result, "tfunlearn_jit", "later_seconds_a_model")
    for own in result["contestants"].values():
        assert own["models"]["median"] == 2
        for later, rate in zip(
            own["later_seconds_a_model"]["rounds"], own["examples_a_second"]["rounds"], strict=True
        ):
            assert rate == pytest.approx(36 / later)  # 40 images, of which 4 are to be forgotten
        assert own["seconds_a_model"]["min"] > 0
        assert 0 <= own["test_accuracy"]["min"] <= 1


@pytest.mark.parametrize("name", ["resnet", "bank"])
def test_pytorch_takes_part(made, torch, name):
    assert set(TORCH) < set(made[name]["contestants"])
    assert made[name]["device"]["torch"] == {"platform": "cpu", "name": "cpu", "memory_mib": None}


def test_rows_of_the_table(made, load):
    speed_table = load("speed_table")
    found = {f"gpu_{name}.json": result for name, result in made.items()}
    text = speed_table.table(found.get)
    assert "| an epoch, CIFAR-10 ResNet50, GPU | Keras on JAX, `jit_compile=False` | " in text
    what = "| a model of 2, 1 epochs, MNIST network, GPU | "
    assert f"{what}a JAX program for all of them, weights stacked | " in text
    assert "- gpu_bank: 1 rounds on one cpu, Keras " in text
    assert "images a second after it: tfunlearn_jit " in text
    assert "needs a GPU" not in text
    machine = {"platform": "gpu", "name": "A", "memory_mib": 60.0, "jax": "1"}
    assert (
        speed_table.device_text(machine | {"torch": {"memory_mib": 2048.0}}) == "one A (2.00 GiB)"
    )


def test_what_is_not_run_needs_a_gpu(load):
    text = load("speed_table").table(lambda name: None)
    assert text.endswith(
        "Not run yet: needs a GPU: `python benchmarks/run_gpu_resnet.py`, "
        "`python benchmarks/run_gpu_bank.py`."
    )


CPU = {"platform": "cpu", "name": "cpu"}
GPU = {"platform": "gpu", "name": "A"}


def on(load, monkeypatch, device):
    """Lets the benchmarks find a device, and everything installed."""
    monkeypatch.setattr(load("gpu"), "probe", lambda: device)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


@pytest.mark.parametrize("name", ["run_gpu_resnet", "run_gpu_bank"])
def test_a_run_without_a_gpu_is_no_committed_result(load, monkeypatch, capsys, name):
    on(load, monkeypatch, CPU)
    with pytest.raises(SystemExit):
        load(name).main([])
    assert "no GPU here, JAX has cpu: --out FILE is wanted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("run_gpu_resnet", ["--steps", "1"]),
        ("run_gpu_resnet", ["--compiler", "eager"]),
        ("run_gpu_bank", ["--models", "2"]),
        ("run_gpu_bank", ["--only", "jax_stacked"]),
    ],
)
def test_a_smaller_run_is_none_either(load, name, option, capsys):
    with pytest.raises(SystemExit):
        load(name).main(option)
    assert f"error: {option[0]}: --out FILE is wanted too" in capsys.readouterr().err


def test_both_libraries_run_on_the_same_device(load, monkeypatch, tmp_path):
    on(load, monkeypatch, {**GPU, "torch": CPU})
    with pytest.raises(SystemExit, match=r"not run on the same device.*JAX A, PyTorch cpu"):
        load("run_gpu_bank").main(["--out", str(tmp_path / "bank.json")])


def test_what_is_not_installed_is_said(load, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install torch"):
        load("run_gpu_bank").main([])
    with pytest.raises(SystemExit, match=r"pip install 'jax\[cuda13\]'"):
        load("run_gpu_bank").main(["--only", "jax_stacked", "--out", "x"])


def test_the_backend_is_set_before_keras_and_in_each_process(load, monkeypatch, tmp_path):
    gpu, rounds = load("gpu"), load("rounds")
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    if keras.backend.backend() != "jax":
        with pytest.raises(SystemExit, match=r"imported already.*Received: tensorflow"):
            gpu.use_jax()
    monkeypatch.delitem(sys.modules, "keras")
    gpu.use_jax()
    script = tmp_path / "script.py"
    script.write_text("import json, os\nprint(json.dumps(os.environ['KERAS_BACKEND']))\n")
    args = Namespace(folder=str(tmp_path), seed=0)
    assert rounds.in_process(str(script), "one", args) == "jax"


def test_the_resnet_in_pytorch_is_that_of_keras(load, torch):
    net = models.resnet50_classifier(weights=None, softmax=False, seed=0)
    rng = np.random.default_rng(0)
    for layer in net.layers[0].layers:  # statistics and biases that are not those of a fresh net
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, layer.moving_variance.shape))
            layer.beta.assign(rng.normal(0, 0.1, layer.beta.shape))
    twin, weights = (
        load("torch_resnet").resnet50_classifier(),
        load("run_gpu_resnet").keras_weights(net),
    )
    load("torch_resnet").adopt(twin, weights)
    trained = sum(own.numel() for own in twin.parameters())
    assert trained == sum(int(np.prod(own.shape)) for own in net.trainable_variables)
    x = rng.normal(size=(2, 32, 32, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(net(x, training=False))
    with torch.no_grad():
        found = twin.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    batch = [part for part in twin.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert {(part.eps, part.momentum) for part in batch} == {(1.001e-5, 0.01)}
    weights.popitem()
    with pytest.raises(ValueError, match="1 too few"):
        load("torch_resnet").adopt(twin, weights)


def test_a_stack_trains_each_model_as_numpy_does(load, monkeypatch):
    need_jax()
    import jax

    stack = load("jax_stack")
    monkeypatch.setattr(stack, "LAYERS", (5, 4, 3))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 6)), rng.integers(0, 3, 7)
    parts = {"retain": (x.astype("float32"), y), "test": (x[:3].astype("float32"), y[:3])}
    found = stack.maker(parts, epochs=2, batch_size=3, dropout=0.0)(np.array([4, 9]))
    assert found["test"].shape == (2, 3, 3)
    for seed, logits in zip((4, 9), found["retain"], strict=True):
        key = jax.random.key(seed)
        orders = [
            np.asarray(jax.random.permutation(own, 7))
            for own in jax.random.split(jax.random.fold_in(key, 1), 2)
        ]
        start = stack.start(jax.random.fold_in(key, 0), 6)
        weights = [[np.asarray(part, "float64") for part in pair] for pair in start]
        for kernel, bias in weights:
            assert np.abs(kernel).max() <= len(kernel) ** -0.5
            assert np.abs(bias).max() <= len(kernel) ** -0.5
        by_hand(
            weights, x, y, [order[first : first + 3] for order in orders for first in (0, 3, 6)]
        )
        np.testing.assert_allclose(logits, forward(weights, x)[-1], rtol=1e-4, atol=1e-5)
    assert not np.allclose(*found["retain"])


def forward(weights, x):
    """Returns the inputs of all layers and the logits."""
    outputs = [x]
    for number, (kernel, bias) in enumerate(weights):
        x = x @ kernel + bias
        outputs.append(x if number == len(weights) - 1 else np.maximum(x, 0))
        x = outputs[-1]
    return outputs


def by_hand(weights, x, y, batches):
    """Takes steps of SGD with momentum 0.9 and learning rate 0.005, in place."""
    speed = [[np.zeros_like(part) for part in pair] for pair in weights]
    for rows in batches:
        outputs = forward(weights, x[rows])
        shares = np.exp(outputs[-1] - outputs[-1].max(1, keepdims=True))
        error = shares / shares.sum(1, keepdims=True)
        error[np.arange(len(rows)), y[rows]] -= 1
        error /= len(rows)
        for number in reversed(range(len(weights))):
            kernel, bias = weights[number]
            gradients = outputs[number].T @ error, error.sum(0)
            error = (error @ kernel.T) * (outputs[number] > 0)
            for part, value, gradient in zip(speed[number], (kernel, bias), gradients, strict=True):
                part *= 0.9
                part -= 0.005 * gradient
                value += part


def test_dropout_keeps_the_mean_and_stops_after_two_layers(load, monkeypatch):
    need_jax()
    import jax

    stack = load("jax_stack")
    weights = [(np.eye(4, dtype="float32"), np.zeros(4, "float32"))] * 4
    x = np.ones((5000, 4), "float32")
    found = np.asarray(stack.forward(weights, x, jax.random.key(0), 0.3))
    np.testing.assert_allclose(np.unique(found), [0, 1 / 0.49], rtol=1e-6)
    assert np.mean(found > 0) == pytest.approx(0.49, abs=0.02)
    np.testing.assert_array_equal(stack.forward(weights, x), x)
