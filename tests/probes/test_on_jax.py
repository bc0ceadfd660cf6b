"""Every probe on arrays with Keras on JAX, where TensorFlow cannot be imported."""

import importlib.util
import os
import subprocess
import sys

import pytest

JOB = '''
import sys


class Refuse:
    """Makes TensorFlow look as if it were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorboard"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Refuse())
import keras
import numpy as np

assert keras.backend.backend() == "jax"
from tfunlearn import data, models, probes

numbers = np.random.default_rng(0)
y = np.arange(60) % 3
x = (3 * np.eye(3)[y] + numbers.normal(size=(60, 3))).astype("float32")
split = data.by_class(x, y, classes=[2], test=(x, y))
net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "softmax")])
net.set_weights([np.eye(3), np.array([0.0, 0.0, -8.0])])
other = models.copy(net)
before = [weight.tobytes() for weight in net.get_weights()]

options = {"optimizer": "sgd", "learning_rate": 0.5, "batch_size": 8, "target": 0.1}
found = probes.relearn_time(net, split, **options)
weights = [np.eye(3), np.array([0.0, 0.0, -8.0])]
batches = data.batches(split, "forget", batch_size=8, shuffle=True)
for step in range(found.steps + 1):
    scores = split.forget[0].astype("float64") @ weights[0] + weights[1]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert abs(-np.log(p[:, 2]).mean() - found.curve[step].loss) < 1e-4, step
    if step % 3 == 0:
        batches.on_epoch_begin()
    inputs, labels = batches[step % 3]
    scores = inputs.astype("float64") @ weights[0] + weights[1]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True) - np.eye(3)[labels]
    weights[0] -= 0.5 * inputs.T @ p / len(labels)
    weights[1] -= 0.5 * p.mean(0)
assert found.reached and found.steps > 2
assert not probes.relearn_time(net, split, max_steps=1, **options).reached

probe = probes.linear_probe(net, split)
assert probe.model_accuracy == 0.0 and probe.accuracy > 0.9
near = probes.residual_knowledge(net, other, split, radius=1.0, samples=20, smoothing=1)
assert set(near.ratios) == {1.0}
assert probes.backdoor_success(net, x, 2).successes == 0
for dtype in ("float16", "int8"):
    assert np.isfinite(probes.quantized(net, dtype).get_weights()[0]).all()
assert before == [weight.tobytes() for weight in net.get_weights()]
assert "tensorflow" not in sys.modules
print("probed without TensorFlow")
'''


def test_every_probe_on_jax_with_tensorflow_refused():
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed (pip install jax)")
    done = subprocess.run(
        [sys.executable, "-c", JOB],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "probed without TensorFlow" in done.stdout
