"""Gaps, their average and the tug of war: by hand, with published figures, by their rules."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfunlearn import metrics

UNLEARNED = {"forget": 0.9875, "retain": 1.0, "test": 0.9425, "membership": 0.0375}
REFERENCE = {"forget": 0.9475, "retain": 0.9975, "test": 0.9425, "membership": 0.1375}
FRACTIONS = st.fixed_dictionaries(
    {role: st.floats(0, 1) for role in ("forget", "retain", "test", "membership")}
)


def without(figures, *roles):
    return {role: value for role, value in figures.items() if role not in roles}


def test_unlearning_accuracy_is_one_minus_the_accuracy():
    logits = [[2.0, 0.0], [0.0, 1.0], [0.0, 1.0], [3.0, 1.0], [0.0, 4.0]]
    assert metrics.unlearning_accuracy([0, 0, 1, 1, 0], logits) == pytest.approx(3 / 5)
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 3, 90), rng.normal(size=(90, 3))
    wrong = sum(int(np.argmax(z)) != y for z, y in zip(logits, labels, strict=True))
    assert metrics.unlearning_accuracy(labels, logits) == pytest.approx(wrong / 90, rel=1e-14)


def test_gaps_by_hand():
    found = metrics.gaps(UNLEARNED, REFERENCE)
    # UA is 1.25 % against 5.25 %: its gap has the sign opposite to the forget accuracy's
    assert found == pytest.approx({"UA": -0.04, "RA": 0.0025, "TA": 0.0, "MIA": -0.1})
    assert list(found) == ["UA", "RA", "TA", "MIA"]
    plain = metrics.gaps(without(UNLEARNED, "membership"), without(REFERENCE, "membership"))
    assert list(plain) == ["UA", "RA", "TA"]


def test_average_gap_by_hand():
    assert metrics.average_gap(UNLEARNED, REFERENCE) == pytest.approx(0.1425 / 4)
    plain = without(UNLEARNED, "membership"), without(REFERENCE, "membership")
    assert metrics.average_gap(*plain) == pytest.approx(0.0425 / 3)


def test_tug_of_war_by_hand():
    assert metrics.tug_of_war(UNLEARNED, REFERENCE) == pytest.approx(0.96 * 0.9975 * 1.0)
    with_attack = metrics.tug_of_war(UNLEARNED, REFERENCE, membership=True)
    assert with_attack == pytest.approx(0.9 * 0.9975 * 1.0)
    plain = without(UNLEARNED, "membership"), without(REFERENCE, "membership")
    assert metrics.tug_of_war(*plain) == metrics.tug_of_war(UNLEARNED, REFERENCE)
    worst = ({"forget": 1, "retain": 0, "test": 0}, {"forget": 0, "retain": 1, "test": 1})
    assert metrics.tug_of_war(*worst) == 0.0


@given(unlearned=FRACTIONS, reference=FRACTIONS)
def test_bounds_and_symmetry(unlearned, reference):
    found = metrics.gaps(unlearned, reference)
    assert all(-1 <= gap <= 1 for gap in found.values())
    back = metrics.gaps(reference, unlearned)
    assert back == {name: -gap for name, gap in found.items()}
    for score in (
        metrics.average_gap,
        metrics.tug_of_war,
        lambda a, b: metrics.tug_of_war(a, b, membership=True),
    ):
        assert 0 <= score(unlearned, reference) <= 1
        assert score(unlearned, reference) == score(reference, unlearned)
    assert metrics.average_gap(unlearned, unlearned) == 0.0
    assert metrics.tug_of_war(unlearned, unlearned, membership=True) == 1.0


@pytest.mark.parametrize("function", [metrics.gaps, metrics.average_gap, metrics.tug_of_war])
def test_what_is_missing_or_out_of_range_is_refused(function):
    for role in ("forget", "retain", "test"):
        with pytest.raises(ValueError, match=r"unlearned must hold.*optionally membership.*Rec"):
            function(without(UNLEARNED, role), REFERENCE)
        with pytest.raises(ValueError, match="reference must hold"):
            function(UNLEARNED, without(REFERENCE, role))
    with pytest.raises(ValueError, match=r"Received \['forget', 'retain', 'test', 'validation'\]"):
        function(without(UNLEARNED, "membership") | {"validation": 0.5}, REFERENCE)
    with pytest.raises(ValueError, match="membership must be given for both models or"):
        function(UNLEARNED, without(REFERENCE, "membership"))
    for bad in (-0.1, 98.75, math.nan):
        with pytest.raises(ValueError, match=r"reference\['test'\] must be a fraction"):
            function(UNLEARNED, REFERENCE | {"test": bad})
    with pytest.raises(TypeError, match=r"unlearned\['membership'\] must be a fraction.*None"):
        function(UNLEARNED | {"membership": None}, REFERENCE)


def test_tug_of_war_over_an_attack_needs_the_attack():
    plain = without(UNLEARNED, "membership"), without(REFERENCE, "membership")
    with pytest.raises(ValueError, match="membership=True needs a membership attack on both"):
        metrics.tug_of_war(*plain, membership=True)
