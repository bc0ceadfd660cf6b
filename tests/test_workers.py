"""Several workers, which Keras cannot train on: an error on each, and none of them waits."""

import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfunlearn import training
from tfunlearn.training import workers

JOB = """
import contextlib, json, sys

import numpy as np
import tensorflow as tf

alone = sys.argv[1] == "alone"
strategy = None if alone else tf.distribute.MultiWorkerMirroredStrategy()

import keras
from tfunlearn import audit, data, methods, training

rows = np.random.default_rng(0)
x, y = rows.normal(size=(40, 6)).astype("float32"), np.arange(40) % 3
split = data.by_index(x, y, forget=range(8), test=(x, y))


def network():
    keras.utils.set_random_seed(0)
    layers = [keras.Input((6,)), keras.layers.Dense(5, "relu"), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, jit_compile=False)
    return model


def weights(model):
    return [np.asarray(weight).tolist() for weight in model.get_weights()]


def unlearned(name):
    options = {"epochs": 2, "batch_size": 8, "jit_compile": False}
    return lambda: weights(methods.get(name)(network(), split, **options))


def attempt(act):
    try:
        return act()
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"


stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
acts = {name: unlearned(name) for name in ("retrain", "finetune", "neggrad_plus", "uam")}
acts["audit"] = lambda: len(
    audit.compare({"a": network()}, split, reference=None, original=None).rows
)
acts["fit"] = lambda: training.fit(network(), stream, epochs=1) and None
acts["keras"] = lambda: network().fit(stream, shuffle=False, verbose=0) and None
with contextlib.nullcontext() if alone else strategy.scope():
    found = {name: attempt(act) for name, act in acts.items()}
    outside = network()
found["outside"] = attempt(lambda: training.fit(outside, stream, epochs=1) and None)
print(json.dumps(found))
"""
MANY = "ValueError: strategy: Keras 3 cannot train or predict on several workers"

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a strategy of TensorFlow"
)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def started(count):
    """Starts as many workers as are asked for, or with 0 a process without a strategy."""
    addresses = [f"localhost:{port}" for port in free_ports(count)]
    for rank in range(count or 1):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
        setting = {"TF_CONFIG": json.dumps(task)} if count else {}
        yield subprocess.Popen(
            [sys.executable, "-c", JOB, "together" if count else "alone"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **setting},
        )


def replies(count):
    processes = list(started(count))
    try:
        for process in processes:
            written, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors[-2000:]
            yield json.loads(written.splitlines()[-1])
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_two_workers_are_refused_by_each_of_them_and_nothing_waits():
    for found in replies(2):
        keras_own = found.pop("keras")
        assert keras_own.startswith("ValueError: Attempt to convert a value (PerReplica"), (
            "Keras has changed: see whether training on several workers can be allowed"
        )
        for name, error in found.items():
            assert error.startswith(MANY), (name, error)
            assert error.endswith("Received: 2 replicas, 1 of them on this worker."), (name, error)


@pytest.mark.slow
def test_one_worker_gives_what_no_strategy_gives():
    [together], [alone] = replies(1), replies(0)
    assert list(together) == list(alone)
    for name in ("retrain", "finetune", "neggrad_plus", "uam"):
        for left, right in zip(together[name], alone[name], strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5, err_msg=name)
    assert together["audit"] == alone["audit"] == 1
    assert together["fit"] is alone["fit"] is together["outside"] is None


class Strategy:
    """As much of a strategy as is looked at."""

    def __init__(self, total, own):
        self.num_replicas_in_sync = total
        self.extended = type("Extended", (), {"worker_devices": ("CPU:0",) * own})()


@pytest.fixture
def net(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", Strategy)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("where", ["model", "now"])
def test_other_workers_of_the_model_or_of_the_moment(where, net, monkeypatch):
    import tensorflow as tf

    def place(strategy):
        if where == "model":
            net._distribute_strategy = strategy
        else:
            monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)

    place(Strategy(2, 2))
    workers.check_workers(net)
    place(Strategy(4, 2))
    message = r"^strategy: .*MirroredStrategy.*Received: 4 replicas, 2 of them on this worker\.$"
    with pytest.raises(ValueError, match=message):
        training.check_workers(net)
    with pytest.raises(ValueError, match=message):
        training.fit_steps(net, lambda x, y: {}, [], epochs=1)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    workers.check_workers(net)
