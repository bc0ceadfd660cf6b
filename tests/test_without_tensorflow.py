"""With arrays and Keras on JAX, nothing but tf.data pipelines needs TensorFlow.

A subprocess refuses every import of TensorFlow and then does the package's whole job.
"""

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
import tfunlearn
from tfunlearn import audit, callbacks, data, losses, methods, models, report

(x, y), (x_test, y_test) = data.datasets.load("digits")
normalize = data.Normalizer.named("digits")
x, x_test = normalize(x)[..., None], normalize(x_test)[..., None]
split = data.random(x, y, fraction=0.1, seed=0, test=(x_test, y_test))
assert abs(float(np.mean(normalize.layer()(x[:2] * 0))) + 1.0) < 1e-6

original = models.small_cnn(seed=0)
original.compile(
    keras.optimizers.Adam(3e-3),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
original.fit(x, y, epochs=2, batch_size=64, verbose=0)
made = {"original": original}
for name in methods.names():
    made[name] = tfunlearn.unlearn(original, split, name, epochs=1, batch_size=64, seed=0)
    again = tfunlearn.unlearn(original, split, name, epochs=1, batch_size=64, seed=0)
    assert models.weight_distance(made[name], again) == 0.0, name
loss = losses.WeightedSparseCategoricalCrossentropy([1.0] * 10, from_logits=True)
assert np.isfinite(float(loss(y_test, original(x_test))))
batch = data.pairs(split, batch_size=32)[0]
assert batch[0]["forget"].shape == (32, 8, 8, 1)
table = audit.compare(made, split, reference="retrain")
assert "finetune" in str(table)
try:
    split.dataset("retain")
except ImportError as error:
    assert "tensorflow" in str(error).lower()
else:
    raise SystemExit("tf.data worked without TensorFlow?")
assert "tensorflow" not in sys.modules
print("done without TensorFlow")
'''


def test_whole_job_on_jax_with_tensorflow_refused():
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
    assert "done without TensorFlow" in done.stdout
