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
held_out = {"test": (x_test[:200], y_test[:200]), "validation": (x_test[200:], y_test[200:])}
split = data.by_class(x, y, classes=[3], **held_out)  # every method can forget a class
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
    options = {"batch_size": 64, "seed": 0, "epochs": 2}
    own = {key: options[key] for key in options if key in methods.describe(name).options}
    made[name] = tfunlearn.unlearn(original, split, name, **own)
again = tfunlearn.unlearn(original, split, "finetune", **options)
assert models.weight_distance(made["finetune"], again) == 0.0
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
