"""The anamnesis index by hand."""

import dataclasses
import math

import pytest

from tfunlearn import probes


@pytest.fixture(scope="module")
def time():
    settings = probes.RelearnSettings("accuracy", 0.95, "{}", 8, 1, 100, 4, 30, 0, "ab")

    def make(steps, **own):
        curve = (probes.RelearnPoint(0, 1.0, 0.0),)
        changed = dataclasses.replace(settings, **own)
        return probes.RelearnTime(steps is not None, steps, curve, changed)

    return make


def test_by_hand():
    assert probes.anamnesis_index(3, 6).value == pytest.approx(3.01 / 6.01, rel=1e-14)
    assert probes.anamnesis_index(0, 0).value == 1.0
    assert probes.anamnesis_index(5, 0).value == pytest.approx(501.0)
    assert probes.anamnesis_index(0.5, 2.5, offset=0.5).value == pytest.approx(1 / 3)
    found = probes.anamnesis_index(3, 6)
    assert (found.unlearned, found.reference, found.offset, found.reason) == (3.0, 6.0, 0.01, None)


def test_relearn_times_count_by_their_steps(time):
    found = probes.anamnesis_index(time(3), time(6))
    assert found == probes.anamnesis_index(3, 6)
    assert probes.anamnesis_index(time(3).epochs, 6).unlearned == 0.75


def test_the_target_by_hand():
    assert probes.anamnesis_target(1.0) == pytest.approx(0.95)
    assert probes.anamnesis_target(0.8, alpha=0.25) == pytest.approx(0.6)
    assert probes.anamnesis_target(0.8, alpha=0) == 0.8


def test_a_time_that_was_not_reached_leaves_no_index(time):
    cases = {
        (None, 4): "the unlearned model did not reach the target",
        (4, None): "the reference did not reach the target",
        (None, None): "the unlearned model and the reference did not reach the target",
    }
    for times, reason in cases.items():
        for pair in (times, tuple(time(steps) for steps in times)):
            found = probes.anamnesis_index(*pair)
            assert (found.value, found.reason) == (None, reason)


@pytest.mark.parametrize("own", [{"seed": 1}, {"optimizer": "x"}, {"split": "cd"}, {"target": 0.9}])
def test_times_that_were_not_measured_alike_are_refused(time, own):
    name, value = next(iter(own.items()))
    with pytest.raises(ValueError, match=f"measured as unlearned_time was.*{name} {value!r}"):
        probes.anamnesis_index(time(3), time(6, **own))


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, "3", [3]])
def test_bad_times_are_refused(bad):
    with pytest.raises(ValueError, match="unlearned_time: expected a RelearnTime, a number"):
        probes.anamnesis_index(bad, 1)
    with pytest.raises(ValueError, match="reference_time: expected a RelearnTime, a number"):
        probes.anamnesis_index(1, bad)


@pytest.mark.parametrize("bad", [0, -1, math.nan])
def test_bad_offsets_are_refused(bad):
    with pytest.raises(ValueError, match="offset: expected a number above 0"):
        probes.anamnesis_index(1, 1, offset=bad)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"original_accuracy": 0}, r"original_accuracy: expected a fraction in \(0, 1\]"),
        ({"original_accuracy": 96.0}, "Received: 96.0"),
        ({"original_accuracy": math.nan}, "Received: nan"),
        ({"original_accuracy": 1, "alpha": 1}, r"alpha: expected a fraction in \[0, 1\)"),
        ({"original_accuracy": 1, "alpha": -0.1}, "Received: -0.1"),
    ],
)
def test_bad_targets_are_refused(own, words):
    with pytest.raises(ValueError, match=words):
        probes.anamnesis_target(**own)
