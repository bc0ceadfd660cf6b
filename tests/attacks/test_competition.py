"""The competition's F and final score: by hand, by loops, and known answers."""

import math

import numpy as np
import pytest
from scipy.special import expit

from tests.attacks.competition_loops import by_loops
from tfunlearn.attacks.competition import competition_score, forgetting_quality

WHOLE = np.ones(3)


def test_by_hand():
    """Epsilon log 2 lies in the second bucket."""
    side = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    found = forgetting_quality(side, side + np.array([0.5, 9.0]))
    np.testing.assert_allclose(found.epsilons, [math.log(2), 50.0], atol=1e-4)
    assert found.value == pytest.approx((0.5 + 0.0) / 2)
    assert (found.models, found.examples, found.buckets, found.delta) == (3, 2, 2, 1e-5)
    assert (found.guarded, found.undefined) == (0, ())
    assert str(found) == "F = 0.25 (N = 3 models, 2 examples)"


def points(epsilon, models):
    """H, as the published code adds it up."""
    start, worth = 0.0, 1.0
    while start + 0.5 <= np.ceil(np.log(models - 1)):
        if epsilon < start + 0.5:
            return worth
        start, worth = start + 0.5, worth / 2
    return 0.0


@pytest.mark.parametrize("models", [3, 8, 20])
def test_against_loops(models):
    rng = np.random.default_rng(models)
    center = rng.normal(0, 4, 12)
    unlearned = rng.normal(center, 1.0, (models, 12))
    retrained = rng.normal(center + 0.5, 1.3, (models, 12))
    found = forgetting_quality(unlearned, retrained, undefined="exclude")
    conf = [np.log(expit(m) + 1e-45) - np.log(expit(-m) + 1e-45) for m in (unlearned, retrained)]
    expected = np.array([by_loops(*sides) for sides in zip(*(c.T for c in conf), strict=True)])
    np.testing.assert_allclose(found.epsilons, np.minimum(expected, 50), rtol=1e-12)
    defined = expected[~np.isnan(expected)]
    value = np.mean([points(min(each, 50.0), models) for each in defined])
    assert found.value == pytest.approx(value, rel=1e-14)
    assert found.undefined == tuple(np.flatnonzero(np.isnan(expected)))


@pytest.mark.parametrize(
    ("models", "buckets"), [(3, 2), (10, 6), (32, 8), (64, 10), (128, 10), (256, 12), (512, 14)]
)
def test_the_number_of_buckets_depends_on_the_number_of_models(models, buckets):
    side = np.linspace(-2.0, 2.0, models)[:, None]
    assert forgetting_quality(side, side + 0.3).buckets == buckets


def test_the_same_distributions_score_otherwise_at_another_number_of_models():
    rng = np.random.default_rng(0)
    values = [
        forgetting_quality(*rng.normal([[[1]], [[0]]], 1, (2, models, 100))).value
        for models in (8, 64)
    ]
    assert values[0] > 2 * values[1]


def test_a_method_without_randomness_meets_the_guard():
    rng = np.random.default_rng(0)
    retrained = rng.normal(0, 1, (8, 5))
    same = np.tile(retrained.mean(axis=0), (8, 1))
    found = forgetting_quality(same, retrained)
    assert found.guarded == 5
    assert found.epsilons.tolist() == [50.0] * 5
    assert found.value == 0.0
    reverse = forgetting_quality(retrained, same)
    assert (reverse.guarded, reverse.value) == (5, 0.0)
    barely = same + np.linspace(-0.5, 0.5, 8)[:, None] * 0.0101 * np.ptp(retrained, axis=0)
    assert forgetting_quality(barely, retrained).guarded == 0


def test_an_undefined_epsilon_is_an_error_or_named():
    rng = np.random.default_rng(0)
    unlearned, retrained = rng.normal(0, 1, (2, 8, 4))
    unlearned[:, 2] = retrained[:, 2] = 1.5
    with pytest.raises(ValueError, match=r"none for 1 of 4 examples, first 2; undefined=\"exclude"):
        forgetting_quality(unlearned, retrained)
    found = forgetting_quality(unlearned, retrained, undefined="exclude")
    assert found.undefined == (2,)
    assert np.isnan(found.epsilons[2])
    rest = forgetting_quality(np.delete(unlearned, 2, 1), np.delete(retrained, 2, 1))
    assert found.value == rest.value
    assert found.examples == 4
    with pytest.raises(ValueError, match="none for 1 of 1 examples"):
        forgetting_quality(unlearned[:, [2]], retrained[:, [2]], undefined="exclude")


def test_margins_end_where_the_published_confidences_end():
    far = np.array([[500.0], [1000.0], [2000.0]])
    near = np.array([[0.0], [1.0], [2.0]])
    found = forgetting_quality(far, near)
    assert (found.guarded, found.value) == (1, 0.0)
    with pytest.raises(ValueError, match="epsilon must be defined"):
        forgetting_quality(far, 2 * far)


def test_known_answers():
    """F falls with the distance, and the sides may be swapped where their ranges differ."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (2, 64, 100))
    values = [forgetting_quality(one + shift, other).value for shift in (0.0, 1.0, 3.0)]
    assert values[0] > 0.05 > values[1] > values[2]
    null = forgetting_quality(one, other)
    assert np.median(null.epsilons) < 2.5 < np.median(forgetting_quality(one + 3, other).epsilons)
    np.testing.assert_array_equal(forgetting_quality(other, one).epsilons, null.epsilons)
    order = rng.permutation(64)
    np.testing.assert_array_equal(forgetting_quality(one[order], other).epsilons, null.epsilons)


def test_the_final_score_by_hand():
    side = np.array([[0.0], [1.0], [2.0]])
    found = competition_score(
        forgetting_quality(side, side + 0.5),
        unlearned_retain=[0.6, 0.7, 0.8],
        retrained_retain=WHOLE,
        unlearned_test=[0.8, 0.8, 0.8],
        retrained_test=[0.5, 0.7, 0.6],
    )
    assert found.forgetting_quality == 0.5
    assert found.retain_ratio == pytest.approx(0.7)
    assert found.test_ratio == pytest.approx(0.8 / 0.6)
    assert found.value == pytest.approx(0.5 * 0.7 * 0.8 / 0.6)
    assert (found.models, found.examples) == (3, 1)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"unlearned_retain": np.ones(4)}, r"unlearned_retain.*shape \(3,\). Received \(4,\)"),
        ({"unlearned_test": [0.5, 50.0, 0.5]}, "unlearned_test must hold fractions.*50.0"),
        ({"retrained_test": [math.nan] * 3}, "retrained_test must hold fractions"),
        ({"retrained_retain": np.zeros(3)}, "retrained_retain must be divided by"),
    ],
)
def test_bad_accuracies_are_refused(changed, words):
    side = np.array([[0.0], [1.0], [2.0]])
    given = dict.fromkeys(
        ("unlearned_retain", "retrained_retain", "unlearned_test", "retrained_test"), WHOLE
    )
    with pytest.raises(ValueError, match=words):
        competition_score(forgetting_quality(side, side + 0.5), **{**given, **changed})


@pytest.mark.parametrize(
    ("unlearned", "retrained", "options", "words"),
    [
        (np.ones((2, 3)), np.ones((2, 3)), {}, "unlearned must hold enough models.*at least 3"),
        (np.ones((4, 3)), np.ones((3, 3)), {}, "as many models as unlearned. Expected 4 rows"),
        (np.ones((3, 3)), np.ones((3, 2)), {}, "retrained must hold the examples of unlearned"),
        (np.full((3, 1), np.inf), np.ones((3, 1)), {}, "unlearned must be finite"),
        (np.ones((3, 1)), np.ones((3, 1)), {"undefined": "skip"}, "undefined must say.*'skip'"),
    ],
)
def test_bad_arguments_are_refused(unlearned, retrained, options, words):
    with pytest.raises(ValueError, match=words):
        forgetting_quality(unlearned, retrained, **options)
