"""The attacks on losses against known cases and independent loops."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfunlearn import attacks
from tfunlearn.attacks.folds import assign_folds


def test_it_is_right_on_losses_that_do_not_overlap():
    attack = attacks.membership_attack(np.linspace(0, 1, 60), np.linspace(5, 6, 60))
    assert (attack.accuracy, attack.deviation, attack.size) == (1.0, 0.0, 60)


def test_it_is_at_chance_on_losses_of_one_distribution():
    rng = np.random.default_rng(0)
    attack = attacks.membership_attack(rng.exponential(size=4000), rng.exponential(size=4000))
    assert attack.accuracy == pytest.approx(0.5, abs=0.03)


def test_equal_losses_are_exactly_chance():
    assert attacks.membership_attack(np.ones(50), np.ones(50)).accuracy == 0.5


def test_it_equals_a_plain_loop():
    rng = np.random.default_rng(3)
    members, others = rng.exponential(0.5, 100), rng.exponential(1.0, 100)
    features, labels = np.r_[members, others][:, None], np.r_[np.ones(100), np.zeros(100)]
    scores = []
    for fit, score in StratifiedKFold(10, shuffle=True, random_state=7).split(features, labels):
        model = LogisticRegression().fit(features[fit], labels[fit])
        scores.append(np.mean(model.predict(features[score]) == labels[score]))
    attack = attacks.membership_attack(members, others, seed=7)
    assert attack.accuracy == pytest.approx(np.mean(scores))
    assert attack.deviation == pytest.approx(np.std(scores))


@pytest.mark.parametrize("swap", [False, True])
def test_the_larger_side_is_sampled_under_the_seed(swap):
    rng = np.random.default_rng(1)
    sides = [rng.exponential(0.5, 40), rng.exponential(1.0, 900)]
    sides = sides[::-1] if swap else sides
    first, again = (attacks.membership_attack(*sides, seed=2) for _ in range(2))
    others = {attacks.membership_attack(*sides, seed=seed).accuracy for seed in range(3, 9)}
    assert first == again
    assert first.size == 40
    assert others != {first.accuracy}


@pytest.mark.parametrize(
    ("members", "others", "words"),
    [
        (np.ones(9), np.ones(50), r"member_losses must .* Expected shape \(N,\) with N >= 10"),
        (np.ones(50), np.ones(9), r"nonmember_losses must .* Received \(9,\)"),
        (np.ones((50, 1)), np.ones(50), r"Received \(50, 1\)"),
        (np.full(20, np.nan), np.ones(20), "Received 20 of them"),
    ],
)
def test_bad_losses_are_refused(members, others, words):
    with pytest.raises(ValueError, match=words):
        attacks.membership_attack(members, others)


def test_log_odds_equal_a_plain_loop():
    rng = np.random.default_rng(4)
    members, others = rng.exponential(0.5, 60), rng.exponential(1.0, 90)
    found = attacks.logistic_regression(members, others, seed=5)
    losses, is_member = np.r_[members, others], np.r_[np.ones(60), np.zeros(90)]
    fold = assign_folds(is_member.astype(int), losses, 10, 5)
    expected = np.empty(150)
    for number in range(10):
        fit, held = fold != number, fold == number
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        model.fit(losses[fit, None], is_member[fit])
        expected[held] = model.decision_function(losses[held, None])
    np.testing.assert_allclose(found.members, expected[:60], atol=1e-4)
    np.testing.assert_allclose(found.nonmembers, expected[60:], atol=1e-4)
    assert (found.attack, found.threshold) == ("logistic_regression", 0.0)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_log_odds_do_not_depend_on_the_size_of_the_losses(scale):
    rng = np.random.default_rng(5)
    members, others = rng.exponential(0.5, 100), rng.exponential(1.0, 100)
    found = attacks.logistic_regression(scale * members, scale * others)
    plain = attacks.logistic_regression(members, others)
    np.testing.assert_allclose(found.members, plain.members, rtol=1e-4)


def test_the_regression_learns_that_members_have_the_higher_losses():
    rng = np.random.default_rng(6)
    found = attacks.logistic_regression(rng.normal(3, 1, 200), rng.normal(0, 1, 300))
    assert attacks.roc(found.members, found.nonmembers).auc > 0.97
    assert np.mean(found.members >= 0) > 0.9


def test_the_regression_is_near_chance_where_nothing_leaks():
    rng = np.random.default_rng(7)
    found = attacks.logistic_regression(rng.exponential(size=2000), rng.exponential(size=3000))
    assert attacks.roc(found.members, found.nonmembers).auc == pytest.approx(0.5, abs=0.03)


def test_equal_losses_leave_the_regression_at_chance():
    found = attacks.logistic_regression(np.ones(20), np.ones(30))
    np.testing.assert_allclose(np.r_[found.members, found.nonmembers], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("members", "others", "words"),
    [
        (np.ones(9), np.ones(50), r"member_losses must .* Expected shape \(N,\) with N >= 10"),
        (np.ones(50), np.ones((50, 1)), r"nonmember_losses must .* Received \(50, 1\)"),
        (np.full(20, np.inf), np.ones(20), "Received 20 of them"),
    ],
)
def test_bad_losses_of_the_regression_are_refused(members, others, words):
    with pytest.raises(ValueError, match=words):
        attacks.logistic_regression(members, others)
    with pytest.raises(ValueError, match="seed"):
        attacks.logistic_regression(np.ones(20), np.ones(20), seed=-1)
