"""The support vector attack against scikit-learn called by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.svm import SVC

from tfunlearn import attacks

RNG = np.random.default_rng(0)
RETAIN, FORGET, TEST = RNG.beta(9, 1, 90), RNG.beta(5, 1, 41), RNG.beta(3, 1, 60)


def by_hand(retain, test):
    features = np.r_[np.sort(retain), np.sort(test)][:, None]
    return SVC(C=3, kernel="rbf", gamma=1.0).fit(features, [1] * len(retain) + [0] * len(test))


def test_efficacy_is_the_share_of_forget_examples_called_nonmembers():
    found = attacks.svc_confidence(RETAIN[:60], FORGET, TEST)
    called = by_hand(RETAIN[:60], TEST).predict(FORGET[:, None])
    assert found.efficacy.value == np.mean(called == 0)
    expected = binomtest(int((1 - called).sum()), 41).proportion_ci(0.95, method="exact")
    assert (found.efficacy.low, found.efficacy.high) == pytest.approx(tuple(expected))
    assert (found.efficacy.sizes, found.fitted) == ((41,), 60)


def test_sides_far_apart():
    high, low = np.linspace(0.9, 1, 40), np.linspace(0, 0.1, 40)
    gone, kept = attacks.svc_confidence(high, low, low), attacks.svc_confidence(high, high, low)
    assert (gone.efficacy.value, kept.efficacy.value) == (1.0, 0.0)
    assert attacks.roc(kept.scores.members, kept.scores.nonmembers).auc > 0.99
    decided = attacks.membership_evidence(kept.scores).decision_accuracy
    assert decided.value == 1.0


def test_no_score_is_by_a_classifier_that_saw_the_example():
    """Each half's scores are those of a classifier on the other halves of retain and test."""
    found = attacks.svc_confidence(RETAIN[:60], FORGET, TEST, seed=4)
    halves = [
        attacks.folds.assign_folds(np.full(len(side), cell), side, 2, 4)
        for side, cell in ((RETAIN[:60], 0), (FORGET, 0), (TEST, 1))
    ]
    for half in (0, 1):
        model = by_hand(RETAIN[:60][halves[0] != half], TEST[halves[2] != half])
        for scores, side, own in (
            (found.scores.members, FORGET, halves[1] == half),
            (found.scores.nonmembers, TEST, halves[2] == half),
        ):
            np.testing.assert_allclose(scores[own], model.decision_function(side[own, None]))
    assert (found.scores.attack, found.scores.threshold) == ("svc_confidence", 0.0)


def test_retain_and_the_limit_are_sampled_under_the_seed():
    first, again = (attacks.svc_confidence(RETAIN, FORGET, TEST, limit=20) for _ in range(2))
    other = attacks.svc_confidence(RETAIN, FORGET, TEST, limit=20, seed=1)
    assert first.fitted == 20
    assert attacks.svc_confidence(RETAIN, FORGET, TEST, limit=1000).fitted == 60
    assert len(first.scores.nonmembers) == 60  # all are judged
    assert first.efficacy == again.efficacy
    np.testing.assert_array_equal(first.scores.members, again.scores.members)
    assert (first.scores.members != other.scores.members).any()


def test_the_order_changes_nothing_where_all_sides_are_sampled():
    first = attacks.svc_confidence(RETAIN, FORGET, TEST, limit=20)
    again = attacks.svc_confidence(RETAIN[::-1], FORGET[::-1], TEST[::-1], limit=20)
    assert first.efficacy == again.efficacy
    np.testing.assert_array_equal(first.scores.members, again.scores.members[::-1])
    np.testing.assert_array_equal(first.scores.nonmembers, again.scores.nonmembers[::-1])


@pytest.mark.parametrize(
    ("sides", "options", "error", "words"),
    [
        ((RETAIN, FORGET, TEST[:3]), {}, ValueError, "test_confidences must .* N >= 4"),
        ((RETAIN[:3], FORGET, TEST), {}, ValueError, "retain_confidences must .* N >= 4"),
        ((RETAIN, FORGET[:1], TEST), {}, ValueError, "forget_confidences must .* N >= 2"),
        ((RETAIN, FORGET + 1, TEST), {}, ValueError, r"must be probabilities.*Expected \[0, 1\]"),
        ((RETAIN, -FORGET, TEST), {}, ValueError, "forget_confidences must be probabilities"),
        ((RETAIN, FORGET, TEST * np.nan), {}, ValueError, "test_confidences must be finite"),
        ((RETAIN, FORGET, TEST), {"limit": 3}, ValueError, "limit must be at least 4"),
        ((RETAIN, FORGET, TEST), {"limit": 9.5}, TypeError, "limit must be a whole number"),
        ((RETAIN, FORGET, TEST), {"level": 0}, ValueError, "level must"),
        ((RETAIN, FORGET, TEST), {"seed": -1}, ValueError, "seed"),
    ],
)
def test_bad_sides_and_options_are_refused(sides, options, error, words):
    with pytest.raises(error, match=words):
        attacks.svc_confidence(*sides, **options)
