"""The ROC curve against scikit-learn, an explicit loop and points worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from tfunlearn.attacks import roc

SCORES = st.lists(st.integers(-3, 3).map(lambda score: score / 2), min_size=1, max_size=30)


def sides(members, others):
    return np.r_[np.ones(len(members)), np.zeros(len(others))], np.r_[members, others]


def test_by_hand():
    curve = roc([0.9, 0.8, 0.4], [0.8, 0.1])
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.4, 0.1]
    assert curve.tpr.tolist() == [0, 1 / 3, 2 / 3, 1, 1]
    assert curve.fpr.tolist() == [0, 0, 1 / 2, 1 / 2, 1]
    # pairs: .9 beats both, .8 ties and beats, .4 loses and beats
    assert curve.auc == pytest.approx((2 + 1.5 + 1) / 6)
    assert curve.advantage == curve.tpr[3] - curve.fpr[3] == 0.5
    assert curve.balanced_accuracy == 0.75
    assert (curve.members, curve.nonmembers) == (3, 2)
    assert [curve.tpr_at(fpr) for fpr in (0.5, 0.99, 1.0)] == [1.0, 1.0, 1.0]


@settings(deadline=None)
@given(SCORES, SCORES)
def test_against_scikit_learn_with_ties(members, others):
    labels, scores = sides(members, others)
    curve = roc(members, others)
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_array_equal(curve.fpr, fpr)
    np.testing.assert_array_equal(curve.tpr, tpr)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert curve.auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-14)
    assert curve.advantage == np.abs(tpr - fpr).max()
    assert curve.balanced_accuracy == pytest.approx(max((tpr + 1 - fpr) / 2), abs=1e-15)


@settings(deadline=None)
@given(SCORES, SCORES)
def test_invariants(members, others):
    curve, swapped = roc(members, others), roc(others, members)
    assert curve.auc + swapped.auc == pytest.approx(1, abs=1e-14)
    assert curve.advantage == pytest.approx(swapped.advantage, abs=1e-15)
    assert 0 <= curve.advantage <= 1
    assert 0.5 <= curve.balanced_accuracy <= 0.5 + curve.advantage / 2 + 1e-15
    again = roc(members[::-1], others[::-1])
    for name in ("fpr", "tpr", "thresholds"):
        np.testing.assert_array_equal(getattr(curve, name), getattr(again, name))


def test_many_float32_scores_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    members, others = (rng.normal(size=9000).astype("float32") for _ in range(2))
    curve = roc(members, others)
    labels, scores = sides(members, others)
    fpr, tpr, _ = roc_curve(labels, scores.astype("float64"), drop_intermediate=False)
    np.testing.assert_array_equal(curve.fpr, fpr)
    np.testing.assert_array_equal(curve.tpr, tpr)
    assert curve.auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-13)
    assert curve.fpr.dtype == curve.tpr.dtype == curve.thresholds.dtype == np.float64


def test_tpr_at_equals_a_loop_over_thresholds():
    rng = np.random.default_rng(1)
    members, others = rng.integers(0, 60, 150), rng.integers(0, 50, 200)
    for fpr in (0.005, 0.01, 0.05, 0.29, 0.58, 1.0):
        best = 0.0
        for threshold in [*np.unique(members), *np.unique(others), 99]:
            if np.mean(others >= threshold) <= fpr:
                best = max(best, float(np.mean(members >= threshold)))
        assert roc(members, others).tpr_at(fpr) == best


def test_a_rate_that_the_share_of_false_alarms_equals_is_allowed():
    members, others = np.arange(1000) + 0.5, np.arange(1000)
    assert roc(members, others).tpr_at(0.001) == 0.002  # 999.5, and 998.5 with one false alarm
    assert roc(members, others).tpr_at(0.29) == 0.291
    assert roc(members, others).resolves(0.001)


def test_too_few_nonmembers_for_a_rate():
    curve = roc(np.arange(500), np.arange(999))
    assert not curve.resolves(0.001)
    with pytest.raises(ValueError, match=r"Expected at least 1000 of them .* 0\.001. Received 999"):
        curve.tpr_at(0.001)


@pytest.mark.parametrize("fpr", [0, -0.1, 1.1, np.nan])
def test_a_bad_rate_is_refused(fpr):
    with pytest.raises(ValueError, match="fpr must be a false positive rate"):
        roc([1], [0]).tpr_at(fpr)


def test_the_arrays_cannot_be_written_to():
    curve = roc([1.0, 2.0], [0.0])
    for values in (curve.fpr, curve.tpr, curve.thresholds):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0.5


@pytest.mark.parametrize(
    ("members", "others", "words"),
    [
        ([], [1.0], r"member_scores must .* Expected shape \(N,\) with N >= 1. Received \(0,\)"),
        ([1.0], [[1.0]], r"nonmember_scores must .* Received \(1, 1\)"),
        ([1.0, np.nan], [1.0], "member_scores must be finite.*Received 1 of them among 2"),
        ([1.0], [np.inf], "nonmember_scores must be finite"),
    ],
)
def test_bad_scores_are_refused(members, others, words):
    with pytest.raises(ValueError, match=words):
        roc(members, others)
