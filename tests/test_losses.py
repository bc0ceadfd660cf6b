"""The weighted cross-entropy: by hand, against NumPy, and inside Keras."""

import math
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfunlearn import losses
from tfunlearn.losses import (
    WeightedSparseCategoricalCrossentropy as Weighted,
)
from tfunlearn.losses import weighted_sparse_categorical_crossentropy

WEIGHTS = [1.0, 0.5, 2.0, 0.0, 3.0]


@pytest.fixture
def case():
    numbers = np.random.default_rng(0)
    logits = numbers.normal(size=(64, 5)).astype("float32") * 3
    return numbers.integers(0, 5, 64), logits


def _softmax(logits):
    exp = np.exp(logits.astype("float64") - logits.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def _terms(y, logits):
    return -np.asarray(WEIGHTS)[y] * np.log(_softmax(logits)[np.arange(len(y)), y])


def test_by_hand():
    p = np.array([[0.5, 0.5], [0.25, 0.75]], "float32")
    loss = Weighted([1.0, 0.5])(np.array([0, 1]), p)
    assert float(loss) == pytest.approx((math.log(2) + 0.5 * math.log(4 / 3)) / 2, abs=1e-7)


@pytest.mark.parametrize("from_logits", [False, True])
def test_against_numpy_in_float64(case, from_logits):
    y, logits = case
    given = logits if from_logits else _softmax(logits).astype("float32")
    terms = weighted_sparse_categorical_crossentropy(y, given, WEIGHTS, from_logits=from_logits)
    assert tuple(terms.shape) == (64,)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(terms), _terms(y, logits), atol=2e-5)
    loss = Weighted(WEIGHTS, from_logits)(y, given)
    assert float(loss) == pytest.approx(_terms(y, logits).mean(), rel=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float32"])
def test_columns_of_labels_are_not_broadcast(case, dtype):
    y, logits = case
    y = y.astype(dtype)
    flat, column = (float(Weighted(WEIGHTS, True)(part, logits)) for part in (y, y[:, None]))
    assert flat == column
    # the notebook multiplied (B,) by (B, 1): a matrix whose mean is mean(CE) * mean(w)
    entropy = -np.log(_softmax(logits)[np.arange(64), y.astype(int)])
    matrix = entropy * np.asarray(WEIGHTS)[y.astype(int)][:, None]
    mistake = entropy.mean() * np.asarray(WEIGHTS)[y.astype(int)].mean()
    assert matrix.shape == (64, 64)
    assert matrix.mean() == pytest.approx(mistake, rel=1e-12)
    assert abs(flat - mistake) > 0.1


@pytest.mark.parametrize(
    ("y", "prediction", "message"),
    [
        (np.zeros((4, 5)), np.zeros((4, 5)), r"y_true.*Received shape \(4, 5\)"),
        (np.zeros((4, 1, 1)), np.zeros((4, 5)), r"y_true.*Received shape \(4, 1, 1\)"),
        (np.zeros(4), np.zeros(4), r"y_pred.*Received shape \(4,\)"),
        (np.zeros(4), np.zeros((4, 2, 5)), r"y_pred.*Received shape \(4, 2, 5\)"),
        (np.zeros(4), np.zeros((4, 3)), "class_weights.*Expected: 3. Received: 5"),
    ],
)
def test_other_shapes_are_refused(y, prediction, message):
    with pytest.raises(ValueError, match=message):
        Weighted(WEIGHTS)(y.astype("int64"), prediction.astype("float32"))


@pytest.mark.parametrize("weights", [[1.0], [], [[1.0, 2.0]], [0, 0], [1, -1], [1, np.nan], 3.0])
def test_other_weights_are_refused(weights):
    with pytest.raises(ValueError, match="class_weights: expected"):
        Weighted(weights)


def test_sample_weight(case):
    y, logits = case
    by_example = np.random.default_rng(1).random(64).astype("float32")
    loss = Weighted(WEIGHTS, True)(y, logits, sample_weight=by_example)
    assert float(loss) == pytest.approx((_terms(y, logits) * by_example).mean(), rel=1e-5)


class _Rows(keras.layers.Layer):
    def compute_mask(self, inputs, previous_mask=None):
        return keras.ops.any(keras.ops.not_equal(inputs, 0.0), axis=-1)

    def call(self, inputs):
        return inputs


def test_mask(case):
    y, logits = case
    logits[::3] = 0.0
    keep = np.arange(64) % 3 != 0
    loss = Weighted(WEIGHTS, True)(y, _Rows()(logits))
    assert float(loss) == pytest.approx(_terms(y, logits)[keep].mean(), rel=1e-5)


def test_reductions(case):
    y, logits = case
    for reduction, expected in (("sum", _terms(y, logits).sum()), (None, _terms(y, logits))):
        received = Weighted(WEIGHTS, True, reduction=reduction)(y, logits)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(received), expected, atol=1e-4)


def test_a_probability_of_zero_stays_finite():
    assert np.isfinite(float(Weighted([1.0, 1.0])(np.array([0]), np.array([[0.0, 1.0]]))))


def _net(dtype=None, activation="softmax"):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "tanh", kernel_initializer=keras.initializers.GlorotUniform(1)),
            layers.Dense(
                5, activation, kernel_initializer=keras.initializers.GlorotUniform(2), dtype=dtype
            ),
        ]
    )


def _fitted(loss, class_weight=None, jit_compile=False, dtype=None):
    numbers = np.random.default_rng(2)
    x, y = numbers.normal(size=(32, 6)).astype("float32"), numbers.integers(0, 5, 32)
    net = _net(dtype)
    net.compile(keras.optimizers.SGD(0.5), loss, jit_compile=jit_compile)
    net.fit(x, y, batch_size=8, epochs=2, shuffle=False, class_weight=class_weight, verbose=0)
    return net


def _gap(a, b):
    pairs = zip(a.get_weights(), b.get_weights(), strict=True)
    return max(np.abs(left - right).max() for left, right in pairs)


def test_fit_equals_keras_class_weight():
    ours = _fitted(Weighted(WEIGHTS))
    theirs = _fitted("sparse_categorical_crossentropy", dict(enumerate(WEIGHTS)))
    assert _gap(ours, theirs) < 1e-6
    assert _gap(ours, _fitted("sparse_categorical_crossentropy")) > 1e-3


def test_jit_agrees():
    assert _gap(_fitted(Weighted(WEIGHTS)), _fitted(Weighted(WEIGHTS), jit_compile=True)) < 1e-6


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("activation", ["softmax", None])
def test_mixed_precision(policy, activation):
    x, y = np.random.default_rng(3).normal(size=(32, 6)).astype("float32"), np.arange(32) % 5
    before, half = keras.config.dtype_policy().name, keras.DTypePolicy(policy)
    outputs = _net(half, activation)(x)
    assert keras.backend.standardize_dtype(outputs.dtype) == half.compute_dtype
    loss = Weighted(WEIGHTS, from_logits=activation is None)
    received, full = loss(y, outputs), loss(y, _net(None, activation)(x))
    assert keras.backend.standardize_dtype(received.dtype) == "float32"
    assert float(received) == pytest.approx(float(full), rel=2e-2)
    assert all(np.isfinite(w).all() for w in _fitted(Weighted(WEIGHTS), dtype=half).get_weights())
    assert keras.config.dtype_policy().name == before


def test_half_precision_terms_keep_large_class_ids():
    y, scores = np.arange(990, 1000), np.eye(1000, dtype="float32")[990:] * 9
    weights = np.arange(1000) + 1.0
    loss = Weighted(weights, from_logits=True, reduction=None)
    full = keras.ops.convert_to_numpy(loss(y, scores))
    half = keras.ops.convert_to_numpy(loss(y, keras.ops.cast(scores, "bfloat16")))
    np.testing.assert_allclose(half, full, rtol=2e-2)


def test_round_trip():
    loss = Weighted(np.array(WEIGHTS), from_logits=True, name="mine", reduction="sum")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert isinstance(twin, Weighted)
    assert twin.get_config() == loss.get_config()
    assert twin.class_weights == tuple(WEIGHTS)
    assert (twin.from_logits, twin.name, twin.reduction) == (True, "mine", "sum")


def test_a_compiled_model_saves_and_loads(tmp_path):
    net = _fitted(Weighted(WEIGHTS))
    net.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert loaded.loss.class_weights == tuple(WEIGHTS)
    x, y = np.ones((4, 6), "float32"), np.arange(4)
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(net.evaluate(x, y, verbose=0))


_REPLICAS = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.test_losses import WEIGHTS, Weighted, _fitted, _gap
one = _fitted(Weighted(WEIGHTS))
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    two = _fitted(Weighted(WEIGHTS))
print(_gap(one, two))
"""


@pytest.mark.slow
def test_two_replicas_agree_with_one(pytestconfig):
    process = subprocess.run(
        [sys.executable, "-c", _REPLICAS],
        capture_output=True,
        text=True,
        cwd=pytestconfig.rootpath,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert float(process.stdout.split()[-1]) < 1e-6


SCORES = np.random.default_rng(1).normal(size=(5, 4)) * 3
TARGETS = np.random.default_rng(2).normal(size=(5, 4)) * 3


def _log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_cross_entropy_per_example(shape):
    labels = np.array([0, 3, 1, 2, 2])
    expected = -_log_softmax(SCORES)[np.arange(5), labels]
    received = losses.cross_entropy(labels.reshape(shape), SCORES.astype("float32"))
    np.testing.assert_allclose(received, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="y_true: expected integer labels"):
        losses.cross_entropy(np.eye(4)[labels], SCORES.astype("float32"))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence_per_example_and_its_direction(temperature):
    target, given = (_log_softmax(s / temperature) for s in (TARGETS, SCORES))
    expected = temperature**2 * (np.exp(target) * (target - given)).sum(-1)
    single = (TARGETS.astype("float32"), SCORES.astype("float32"))
    received = np.asarray(losses.kl_divergence(*single, temperature))
    np.testing.assert_allclose(received, expected, rtol=1e-4)
    turned = np.asarray(losses.kl_divergence(*single[::-1], temperature))
    assert not np.allclose(received, turned, rtol=0.05)
    np.testing.assert_allclose(losses.kl_divergence(*[single[0]] * 2), np.zeros(5), atol=1e-6)


def test_soft_cross_entropy_per_example():
    target = np.exp(_log_softmax(TARGETS))
    expected = -(target * _log_softmax(SCORES)).sum(-1)
    received = losses.soft_cross_entropy(target.astype("float32"), SCORES.astype("float32"))
    np.testing.assert_allclose(received, expected, rtol=1e-4)
