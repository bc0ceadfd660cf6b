"""The membership attack against known cases and an independent loop."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from tfunlearn import attacks


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
