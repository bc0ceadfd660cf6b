"""Accuracy and what is made of it: by hand, against scikit-learn, with the notebook's numbers."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from tfunlearn import metrics

LABELS = [0, 2, 1, 1]
LOGITS = [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 0.0]]


def test_by_hand_and_against_scikit_learn():
    assert metrics.accuracy(LABELS, LOGITS) == 0.5  # ties go to class 0
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(100, 4)), rng.integers(0, 4, 100)
    assert metrics.accuracy(labels, logits) == accuracy_score(labels, logits.argmax(axis=1))


def test_the_notebooks_own_numbers():
    assert metrics.utility_preservation(0.9002, 0.9602) == pytest.approx(0.93751, abs=1e-5)
    assert metrics.performance_drop(0.9002, 0.9602) == pytest.approx(0.06)
    assert metrics.performance_drop(0.9, 0.8) == pytest.approx(-0.1)
    assert metrics.forgetting_effectiveness(LABELS, LOGITS) == metrics.accuracy(LABELS, LOGITS)


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan, 96.0])
def test_bad_fractions_are_refused(bad):
    for function in (metrics.utility_preservation, metrics.performance_drop):
        with pytest.raises(ValueError, match="unlearned_test_accuracy must be a fraction"):
            function(bad, 0.5)
        with pytest.raises(ValueError, match="original_test_accuracy must be a fraction"):
            function(0.5, bad)
    with pytest.raises(ValueError, match="above 0"):
        metrics.utility_preservation(0.5, 0.0)


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match=r"original_test_accuracy must be a fraction.*None"):
        metrics.performance_drop(0.5, None)
