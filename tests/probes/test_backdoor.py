"""Backdoor success by hand, against scipy's exact interval, and on a poisoned scenario."""

import keras
import numpy as np
import pytest
from scipy.stats import binomtest

from tfunlearn import data, probes

EYE = np.eye(3)


@pytest.fixture
def net(linear):
    """Answers the largest coordinate."""
    return linear(EYE, np.zeros(3))


@pytest.mark.parametrize("labels", [[1, 2, 1, 0, 2], [[1], [2], [1], [0], [2]]])
def test_by_hand(net, labels):
    triggered = EYE[[0, 0, 1, 0, 2]]
    found = probes.backdoor_success(net, triggered, 0, labels)
    assert (found.successes, found.size, found.left_out) == (2, 4, 1)
    assert found.rate == 0.5
    assert (found.target, found.level) == (0, 0.95)


@pytest.mark.parametrize("activation", [None, "softmax"])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("hits", [0, 1, 7, 20])
def test_the_interval_is_the_exact_one(linear, activation, level, hits):
    triggered = EYE[np.where(np.arange(20) < hits, 2, 1)]
    found = probes.backdoor_success(
        linear(EYE, np.zeros(3), activation), triggered, 2, level=level, batch_size=7
    )
    exact = binomtest(hits, 20).proportion_ci(level, method="exact")
    assert (found.rate, found.size, found.left_out) == (hits / 20, 20, 0)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_on_a_poisoned_scenario():
    scenario = data.scenarios.backdoor(limit=300, epochs=8)
    inputs, targets = scenario.triggered
    found = probes.backdoor_success(scenario.model, inputs, int(targets[0]))
    answers = scenario.model.predict(inputs, verbose=0).argmax(1)
    assert found.rate == np.mean(answers == targets) > 0.5
    assert found.low < found.rate < found.high


@pytest.mark.parametrize(
    ("inputs", "own", "error", "words"),
    [
        (EYE, {"target_label": 3}, ValueError, "target_label: expected less than 3. Received: 3"),
        (EYE, {"target_label": -1}, ValueError, "target_label: expected a whole number"),
        (EYE, {"target_label": 0.0}, ValueError, "target_label: expected a whole number"),
        (EYE, {"level": 1}, ValueError, "level must be"),
        (EYE, {"batch_size": 0}, ValueError, "batch_size: expected a whole number"),
        (EYE, {"true_labels": [0, 0, 0]}, ValueError, "Received: none in 3"),
        (EYE, {"true_labels": [0, 1]}, ValueError, "one label per example. Expected: 3"),
        (EYE, {"true_labels": [0, 1, 3]}, ValueError, "true_labels: expected classes of the model"),
        (EYE, {"true_labels": [0.0, 1, 1]}, TypeError, "true_labels: expected integer class ids"),
        (np.ones((2, 4)), {}, ValueError, r"Expected: \(3,\). Received: \(4,\)"),
        (np.ones((2, 3, 1)), {}, ValueError, r"Expected: \(3,\). Received: \(3, 1\)"),
        (np.ones(3), {}, ValueError, r"shape \(N, ...\), with at least one input"),
        (np.ones((0, 3)), {}, ValueError, "with at least one input"),
        (np.array([["a"] * 3]), {}, ValueError, "an array of numbers"),
        (EYE * np.nan, {}, ValueError, "triggered_inputs: its numbers must be finite"),
    ],
)
def test_bad_arguments_are_refused(net, inputs, own, error, words):
    with pytest.raises(error, match=words):
        probes.backdoor_success(net, inputs, **{"target_label": 0, **own})


def test_other_things_than_classifiers_are_refused():
    with pytest.raises(TypeError, match=r"expected a keras\.Model"):
        probes.backdoor_success(None, EYE, 0)
    single = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="at least two class scores"):
        probes.backdoor_success(single, EYE, 0)
