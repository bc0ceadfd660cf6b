"""What every metric refuses, and how it says so; the functions come without Keras."""

import subprocess
import sys

import numpy as np
import pytest

from tfunlearn import metrics

OF_LABELS = [
    metrics.accuracy,
    metrics.balanced_accuracy,
    metrics.class_recalls,
    metrics.cross_entropy,
    metrics.forgetting_effectiveness,
    metrics.margins,
    metrics.modified_entropy,
    metrics.unlearning_accuracy,
    metrics.worst_class_recall,
]
OF_PAIRS = [
    metrics.activation_distance,
    metrics.js_divergence,
    metrics.kl_divergence,
    metrics.prediction_agreement,
]
PROBABILITIES = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])


@pytest.mark.parametrize("function", OF_LABELS)
@pytest.mark.parametrize(
    ("labels", "logits", "error", "words"),
    [
        ([[0], [1]], np.zeros((2, 3)), ValueError, r"Expected shape \(2,\). Received \(2, 1\)"),
        ([0, 1], np.zeros(2), ValueError, r"Expected shape \(N, C\).*Received \(2,\)"),
        ([0, 0], np.zeros((2, 1)), ValueError, "C >= 2"),
        ([0, 1, 1], np.zeros((2, 3)), ValueError, "Received 3 labels and 2 logit rows"),
        ([], np.zeros((0, 3)), ValueError, "at least one"),
        ([0.0, 1.0], np.zeros((2, 3)), TypeError, "integer dtype. Received float64"),
        ([0, 3], np.zeros((2, 3)), ValueError, r"Expected \[0, 3\). Received values from 0 to 3"),
        ([-1, 0], np.zeros((2, 3)), ValueError, "from -1 to 0"),
        ([0, 1], [[0, 0], [np.nan, 0]], ValueError, "logits must.*in 1 of 2 rows, first in row 1"),
        ([0, 1], [[np.inf, 0], [0, 0]], ValueError, "finite"),
    ],
)
def test_bad_labels_and_logits_are_refused(function, labels, logits, error, words):
    with pytest.raises(error, match=words):
        function(labels, logits)


@pytest.mark.parametrize("function", OF_PAIRS)
@pytest.mark.parametrize(
    ("p", "q", "words"),
    [
        (np.zeros(3), np.zeros((2, 3)), r"p_logits must.*\(N, C\).*Received \(3,\)"),
        (np.zeros((2, 3)), np.zeros((2, 3, 1)), r"q_logits must.*Received \(2, 3, 1\)"),
        (np.zeros((2, 3)), np.zeros((1, 3)), r"p_logits and q_logits.*\(2, 3\) and \(1, 3\)"),
        (np.zeros((2, 3)), np.zeros((2, 4)), "same examples and classes"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "p_logits must hold at least one example"),
        (np.zeros((1, 2)), [[np.nan, 0.0]], "q_logits must be finite"),
        ([[0.0, -np.inf]], np.zeros((1, 2)), "p_logits must be finite"),
    ],
)
def test_bad_pairs_are_refused(function, p, q, words):
    with pytest.raises(ValueError, match=words):
        function(p, q)


@pytest.mark.parametrize("logits", [np.zeros(3), np.full((2, 2), np.nan), np.zeros((0, 2))])
def test_bad_tables_are_refused_by_entropy_and_zrf(logits):
    with pytest.raises(ValueError, match="logits must"):
        metrics.entropy(logits)
    with pytest.raises(ValueError, match="unlearned_logits must"):
        metrics.zrf(logits, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="random_logits must"):
        metrics.zrf(np.zeros((2, 2)), logits)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_probabilities_are_refused_where_a_softmax_would_be_taken_of_them(dtype):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(10), size=50).astype(dtype)
    z = rng.normal(size=p.shape)
    labels = rng.integers(0, 10, 50)
    words = "must be scores before the softmax. Expected logits.*models.logits_model.*Received"
    for function in (metrics.margins, metrics.modified_entropy):
        with pytest.raises(ValueError, match=f"logits {words}"):
            function(labels, p)
    with pytest.raises(ValueError, match=f"^logits {words}"):
        metrics.entropy(p)
    for function in (metrics.kl_divergence, metrics.js_divergence, metrics.activation_distance):
        with pytest.raises(ValueError, match=f"p_logits {words}"):
            function(p, z)
        with pytest.raises(ValueError, match=f"q_logits {words}"):
            function(z, p)
    with pytest.raises(ValueError, match=f"random_logits {words}"):
        metrics.zrf(z, p)


@pytest.mark.parametrize(
    "logits",
    [
        np.vstack([PROBABILITIES, [[3.0, 1.0]]]),  # one row that does not sum to 1
        np.vstack([PROBABILITIES, [[1.5, -0.5]]]),  # one that does, with a negative number
        np.log(PROBABILITIES + 1e-9),  # log-probabilities are logits
        np.zeros((4, 2)),
    ],
)
def test_what_cannot_be_probabilities_is_taken(logits):
    metrics.margins(np.zeros(len(logits), "int64"), logits)
    metrics.entropy(logits)


def test_agreement_and_accuracy_are_the_same_of_logits_and_of_probabilities():
    assert metrics.prediction_agreement(PROBABILITIES, np.log(PROBABILITIES + 1e-9)) == 1.0
    assert metrics.accuracy([1, 0, 0], PROBABILITIES) == 1.0


def test_inputs_are_left_as_they_were():
    rng = np.random.default_rng(0)
    labels, p, q = rng.integers(0, 3, 9), rng.normal(size=(9, 3)), rng.normal(size=(9, 3))
    kept = labels.copy(), p.copy(), q.copy()
    for function in OF_LABELS:
        function(labels, p)
    for function in OF_PAIRS:
        function(p, q)
    metrics.zrf(p, q)
    metrics.linear_cka(p, q)
    for array, before in zip((labels, p, q), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_every_public_name_is_there():
    for name in metrics.__all__:
        assert getattr(metrics, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = metrics.nothing


def test_the_functions_need_no_keras_and_the_twins_come_at_first_use():
    code = (
        "import sys, tfunlearn\n"
        "tfunlearn.metrics.margins([0], [[2.0, 0.0]])\n"
        "print(sorted({'keras', 'tensorflow', 'sklearn', 'scipy'} & set(sys.modules)))\n"
        "print('tfunlearn.metrics.keras_metrics' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[]", "False"]
