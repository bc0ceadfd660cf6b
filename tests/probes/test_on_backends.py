"""Every probe on arrays with Keras on JAX and on PyTorch, where TensorFlow cannot be imported."""

import keras
import numpy as np
import pytest

from tests.elsewhere import BACKENDS, on
from tfunlearn import data, models, probes

START = [np.eye(3), np.array([0.0, 0.0, -8.0])]


def probe_all():
    """Returns the backend that every probe was held to its formula on."""
    numbers = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (3 * np.eye(3)[y] + numbers.normal(size=(60, 3))).astype("float32")
    split = data.by_class(x, y, classes=[2], test=(x, y))
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, "softmax")])
    net.set_weights(START)
    before = [weight.tobytes() for weight in net.get_weights()]
    _relearning_follows_the_formula(net, split)
    probe = probes.linear_probe(net, split)
    assert probe.model_accuracy == 0.0
    assert probe.accuracy > 0.9
    options = {"radius": 1.0, "samples": 20, "smoothing": 1}
    near = probes.residual_knowledge(net, models.copy(net), split, **options)
    assert set(near.ratios) == {1.0}
    assert probes.backdoor_success(net, x, 2).successes == 0
    for dtype in ("float16", "int8"):
        assert np.isfinite(probes.quantized(net, dtype).get_weights()[0]).all()
    assert before == [weight.tobytes() for weight in net.get_weights()]
    return keras.backend.backend()


def _relearning_follows_the_formula(net, split):
    options = {"optimizer": "sgd", "learning_rate": 0.5, "batch_size": 8, "target": 0.1}
    found = probes.relearn_time(net, split, **options)
    weights = [part.copy() for part in START]
    batches = data.batches(split, "forget", batch_size=8, shuffle=True)
    for step in range(found.steps + 1):
        errors, p = _errors(weights, *split.forget)
        assert abs(-np.log(p[:, 2]).mean() - found.curve[step].loss) < 1e-4, step
        if step % 3 == 0:
            batches.on_epoch_begin()
        inputs, labels = batches[step % 3]
        errors, _ = _errors(weights, inputs, labels)
        weights[0] -= 0.5 * inputs.T @ errors / len(labels)
        weights[1] -= 0.5 * errors.mean(0)
    assert found.reached
    assert found.steps > 2
    assert not probes.relearn_time(net, split, max_steps=1, **options).reached


def _errors(weights, x, y):
    """The gradient at the scores of a linear softmax model, and its probabilities."""
    scores = x.astype("float64") @ weights[0] + weights[1]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return p - np.eye(3)[y], p


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_probe_without_tensorflow(backend):
    assert on(backend, probe_all) == backend
