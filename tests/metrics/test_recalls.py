"""Accuracy by class against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from tfunlearn import metrics


@pytest.mark.parametrize("seed", range(3))
def test_against_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(200, 6)), rng.choice(6, 200, p=[0.5, 0.3, 0.1, 0.06, 0.04, 0])
    answers = logits.argmax(axis=1)
    expected = recall_score(labels, answers, labels=range(5), average=None)
    found = metrics.class_recalls(labels, logits)
    np.testing.assert_allclose(found[:5], expected)
    assert np.isnan(found[5])
    keep = answers < 5  # scikit-learn warns of answers that are no label
    score = balanced_accuracy_score(labels[keep], answers[keep])
    assert metrics.balanced_accuracy(labels[keep], logits[keep]) == pytest.approx(score)
    assert metrics.balanced_accuracy(labels, logits) == pytest.approx(expected.mean())
    assert metrics.worst_class_recall(labels, logits) == (expected.argmin(), expected.min())


def test_a_class_without_examples_is_never_the_worst():
    logits = np.eye(3)[[1, 2, 2]]
    assert metrics.worst_class_recall([1, 2, 2], logits) == (1, 1.0)
    assert metrics.balanced_accuracy([1, 1, 2], logits) == 0.75
