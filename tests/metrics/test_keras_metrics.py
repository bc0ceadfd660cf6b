"""The running twins: equal to the NumPy functions, inside Keras, through a file and back."""

import math
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfunlearn import metrics
from tfunlearn.metrics import keras_metrics as twins

BATCHES = (slice(0, 32), slice(32, 40), slice(40, 75), slice(75, 76))  # unequal on purpose
ALL = [
    twins.Margin,
    twins.Entropy,
    twins.UnlearningAccuracy,
    twins.PredictionAgreement,
    twins.ReferenceKLDivergence,
]
OF_REFERENCES = ALL[3:]


@pytest.fixture
def case():
    """Labels, a model's logits, a reference's logits, and weights; some weights are 0."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(76, 5)).astype("float32")
    reference = (logits + rng.normal(scale=2, size=(76, 5))).astype("float32")
    return rng.integers(0, 5, 76), logits, reference, rng.integers(0, 4, 76).astype("float32")


def values(twin, labels, logits, reference):
    """What each example counts with, by the NumPy functions."""
    single = [(labels[[i]], logits[[i]], reference[[i]]) for i in range(len(labels))]
    return {
        twins.Margin: lambda: metrics.margins(labels, logits),
        twins.Entropy: lambda: metrics.entropy(logits),
        twins.UnlearningAccuracy: lambda: [metrics.unlearning_accuracy(y, z) for y, z, _ in single],
        twins.PredictionAgreement: lambda: [
            metrics.prediction_agreement(r, z) for _, z, r in single
        ],
        twins.ReferenceKLDivergence: lambda: metrics.kl_divergence(reference, logits),
    }[twin]()


def true_side(twin, labels, reference):
    return reference if twin in OF_REFERENCES else labels


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("twin", ALL)
def test_it_equals_the_function_over_batches_of_unequal_size(twin, weighted, case):
    labels, logits, reference, weights = case
    metric, y = twin(), true_side(twin, labels, reference)
    for batch in BATCHES:
        metric.update_state(y[batch], logits[batch], weights[batch] if weighted else None)
    each = values(twin, labels, logits, reference)
    expected = np.average(each, weights=weights if weighted else None)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 0.0
    again = metric(y, logits)
    assert float(again) == pytest.approx(np.mean(each), rel=1e-5)


def test_the_whole_functions_agree_too(case):
    labels, logits, reference, _ = case
    assert float(twins.UnlearningAccuracy()(labels, logits)) == pytest.approx(
        metrics.unlearning_accuracy(labels, logits), rel=1e-6
    )
    assert float(twins.PredictionAgreement()(reference, logits)) == pytest.approx(
        metrics.prediction_agreement(reference, logits), rel=1e-6
    )


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float32"])
@pytest.mark.parametrize("twin", [twins.Margin, twins.UnlearningAccuracy])
def test_columns_of_labels_and_of_weights_are_not_broadcast(twin, dtype, case):
    labels, logits, _, weights = case
    flat = twin()(labels, logits, weights)
    column = twin()(labels.astype(dtype)[:, None], logits, weights[:, None])
    assert float(flat) == float(column)


def test_clip(case):
    labels, logits, _, _ = case
    expected = metrics.margins(labels, logits, clip=2.0).mean()
    assert float(twins.Margin(clip=2.0)(labels, logits)) == pytest.approx(expected, rel=1e-5)
    for bad in (0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"clip must.*above 0"):
            twins.Margin(clip=bad)


def test_extreme_logits_are_finite():
    logits, other = np.array([[1e4, -1e4, 0.0]], "float32"), np.array([[-1e4, 1e4, 0]], "float32")
    assert float(twins.Margin()([1], logits)) == -2e4
    assert float(twins.Entropy()([1], logits)) == 0.0
    assert float(twins.ReferenceKLDivergence()(other, logits)) == 2e4


@pytest.mark.parametrize("twin", ALL)
def test_half_precision_outputs_are_summed_in_float32(twin, case):
    labels, logits, reference, _ = case
    logits = logits.astype("float16")
    y = true_side(twin, labels, reference)
    expected = np.mean(values(twin, labels, logits, reference))
    assert float(twin()(y, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("twin", [twins.Margin, twins.Entropy, twins.ReferenceKLDivergence])
def test_probabilities_give_nan_until_the_reset(twin, case):
    labels, logits, reference, _ = case
    y = true_side(twin, labels, reference)
    metric = twin()
    metric.update_state(y[:40], logits[:40])
    metric.update_state(y[40:], keras.ops.softmax(logits[40:]))
    assert math.isnan(metric.result())
    metric.reset_state()
    metric.update_state(y, logits)
    assert math.isfinite(metric.result())


def test_a_references_probabilities_give_nan_too(case):
    _, logits, reference, _ = case
    assert math.isnan(twins.ReferenceKLDivergence()(keras.ops.softmax(reference), logits))


@pytest.mark.parametrize("twin", [twins.UnlearningAccuracy, twins.PredictionAgreement])
def test_predictions_are_the_same_of_probabilities(twin, case):
    labels, logits, reference, _ = case
    y = true_side(twin, labels, reference)
    assert float(twin()(y, keras.ops.softmax(logits))) == float(twin()(y, logits))


@pytest.mark.parametrize("label", [-1, 5])
@pytest.mark.parametrize("twin", [twins.Margin, twins.UnlearningAccuracy])
def test_a_label_that_is_no_class_gives_nan(twin, label, case):
    labels, logits, _, _ = case
    assert math.isnan(twin()(np.where(np.arange(76) == 7, label, labels), logits))


@pytest.mark.parametrize(
    ("twin", "y", "z", "words"),
    [
        (twins.Margin, np.zeros(4), np.zeros(4), r"y_pred must.*Received \(4,\)"),
        (twins.Entropy, np.zeros(4), np.zeros((4, 2, 3)), r"y_pred must.*Received \(4, 2, 3\)"),
        (twins.Margin, np.zeros((4, 3)), np.zeros((4, 3)), r"y_true must.*Received \(4, 3\)"),
        (twins.UnlearningAccuracy, np.zeros((4, 3)), np.zeros((4, 3)), r"\(batch,\) or \(batch, 1"),
        (twins.PredictionAgreement, np.zeros(4), np.zeros((4, 3)), r"y_true must.*Received \(4,\)"),
        (twins.ReferenceKLDivergence, np.zeros((4, 2)), np.zeros((4, 3)), "Expected 3 columns"),
    ],
)
def test_other_shapes_are_refused(twin, y, z, words):
    with pytest.raises(ValueError, match=words):
        twin()(y, z)


def classifier():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    model.compile(
        keras.optimizers.SGD(0.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[twins.Margin(clip=3.0), twins.Entropy(), twins.UnlearningAccuracy()],
        weighted_metrics=[twins.Margin(name="weighted_margin")],
    )
    return model


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    return rng.normal(size=(50, 4)).astype("float32"), rng.integers(0, 5, 50)


def expected_logs(model, x, y, weights):
    logits = np.asarray(model(x))
    return {
        "margin": metrics.margins(y, logits, clip=3.0).mean(),
        "entropy": metrics.entropy(logits).mean(),
        "unlearning_accuracy": metrics.unlearning_accuracy(y, logits),
        "weighted_margin": np.average(metrics.margins(y, logits), weights=weights),
    }


def test_compiled_into_a_model_and_through_a_file(data, tmp_path):
    x, y = data
    weights = np.linspace(0, 2, 50)
    model = classifier()
    logs = model.evaluate(x, y, 16, sample_weight=weights, return_dict=True, verbose=0)
    expected = expected_logs(model, x, y, weights)
    assert {name: logs[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    history = model.fit(x, y, validation_data=(x, y, weights), batch_size=16, verbose=0).history
    for name, value in expected.items():
        assert history[f"val_{name}"][0] == pytest.approx(value, rel=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    again = loaded.evaluate(x, y, 16, sample_weight=weights, return_dict=True, verbose=0)
    assert {name: again[name] for name in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_against_a_reference_whose_logits_are_the_labels(jit_compile, data):
    x, _ = data
    model, reference = (
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)]) for _ in range(2)
    )
    targets = np.asarray(reference(x))
    model.compile(
        keras.optimizers.SGD(0.0),
        "mse",
        metrics=[twins.PredictionAgreement(), twins.ReferenceKLDivergence()],
        jit_compile=jit_compile,
    )
    model.fit(x, targets, batch_size=16, verbose=0)
    logs = model.evaluate(x, targets, 16, return_dict=True, verbose=0)
    logits = np.asarray(model(x))
    assert logs["prediction_agreement"] == pytest.approx(
        metrics.prediction_agreement(targets, logits), rel=1e-5
    )
    assert logs["reference_kl_divergence"] == pytest.approx(
        metrics.kl_divergence(targets, logits).mean(), rel=1e-4
    )


@pytest.mark.parametrize("twin", ALL)
def test_config_round_trip(twin):
    options = {"name": "other", "dtype": "float16"} | ({"clip": 7.0} if twin is ALL[0] else {})
    metric = twin(**options)
    assert metric.get_config() == options
    config = keras.saving.serialize_keras_object(metric)
    assert config["registered_name"] == f"tfunlearn>{twin.__name__}"
    rebuilt = keras.saving.deserialize_keras_object(config, safe_mode=True)
    assert type(rebuilt) is twin
    assert rebuilt.get_config() == options
    assert rebuilt.result().dtype == "float16"


def test_a_fresh_process_loads_the_model_once_the_twins_are_imported(data, tmp_path):
    path = tmp_path / "model.keras"
    classifier().save(path)
    code = (
        "import keras, tfunlearn\n"
        "tfunlearn.metrics.keras_metrics\n"
        f"model = keras.saving.load_model({str(path)!r})\n"
        "print(sorted(m['config']['name'] for m in model.get_compile_config()['metrics']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['entropy', 'margin', 'unlearning_accuracy']"
