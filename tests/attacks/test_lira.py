"""LiRA against scipy's normal distribution, numbers worked out by hand, and known answers."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from tfunlearn.attacks.lira import lira


def banks(models=16, examples=50, seed=0, shift=3.0):
    rng = np.random.default_rng(seed)
    center, spread = rng.normal(2, 3, examples), rng.uniform(0.5, 2, examples)
    out = rng.normal(center, spread, (models, examples))
    known = rng.normal(center + shift, spread, (models, examples))
    return out, known, center, spread


def test_online_by_hand():
    # out: mean 0, variance 2; in: mean 6, variance 2 (divisor N - 1)
    found = lira([1.0], [[-1.0], [1.0]], [[5.0], [7.0]], variance="example")
    assert found.scores[0] == pytest.approx(-(25 - 1) / 4)
    assert found.membership[0] == pytest.approx(1 / (1 + math.exp(6)))
    # in: variance 8
    wide = lira([0.0], [[-1.0], [1.0]], [[0.0], [4.0]], variance="example")
    assert wide.scores[0] == pytest.approx(-4 / 16 - math.log(8) / 2 + math.log(2) / 2)


@pytest.mark.parametrize("variance", ["example", "shared"])
def test_online_against_scipy(variance):
    out, known, center, _ = banks()
    found = lira(center, out, known, variance=variance)
    expected = np.empty(50)
    for example in range(50):
        sides = []
        for bank in (known, out):
            own = np.var(bank[:, example], ddof=1)
            shared = np.mean([np.var(column, ddof=1) for column in bank.T])
            deviation = math.sqrt(own if variance == "example" else shared)
            sides.append(norm(np.mean(bank[:, example]), deviation).logpdf(center[example]))
        expected[example] = sides[0] - sides[1]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-11)
    densities = 1 / (1 + np.exp(-expected))
    np.testing.assert_allclose(found.membership, densities, rtol=1e-11)
    assert (found.mode, found.variance) == ("online", variance)
    assert (found.in_models, found.out_models, found.examples) == (16, 16, 50)
    assert found.constant == ()


def test_offline_against_scipy():
    out, _, center, spread = banks()
    candidate = center + spread
    found = lira(candidate, out, variance="example")
    out_normal = norm(out.mean(axis=0), out.std(axis=0, ddof=1))
    np.testing.assert_allclose(found.scores, -out_normal.logsf(candidate), rtol=1e-11)
    np.testing.assert_allclose(found.membership, out_normal.cdf(candidate), rtol=1e-11)
    assert (found.mode, found.in_models, found.out_models) == ("offline", 0, 16)


def test_far_margins_neither_overflow_nor_tie():
    out, known, center, _ = banks()
    candidates = center + np.array([[-1e8], [-30.0], [30.0], [1e4], [1e8]])
    online = lira(candidates, out, known).scores
    assert np.isfinite(online).all()
    offline = lira(candidates[1:], out).scores
    assert np.isfinite(offline).all()
    assert (np.diff(offline, axis=0) > 0).all()


def test_several_candidates_are_scored_as_each_alone():
    out, known, center, _ = banks()
    candidates = center + np.array([[0.0], [1.0], [2.0]])
    together = lira(candidates, out, known).scores
    assert together.shape == (3, 50)
    for row, candidate in zip(together, candidates, strict=True):
        np.testing.assert_array_equal(lira(candidate, out, known).scores, row)


@pytest.mark.parametrize(
    ("out", "known", "expected"),
    [(64, None, "example"), (63, None, "shared"), (32, 32, "example"), (31, 500, "shared")],
)
def test_the_variance_follows_the_number_of_models(out, known, expected):
    rng = np.random.default_rng(0)
    in_margins = None if known is None else rng.normal(size=(known, 3))
    assert lira(np.zeros(3), rng.normal(size=(out, 3)), in_margins).variance == expected


@pytest.mark.parametrize("variance", ["example", "shared"])
def test_nothing_depends_on_unit_origin_or_order_of_models(variance):
    out, known, center, _ = banks()
    scores = lira(center, out, known, variance=variance).scores
    moved = lira(5 - 2 * center, 5 - 2 * out, 5 - 2 * known, variance=variance).scores
    np.testing.assert_allclose(moved, scores, rtol=1e-9, atol=1e-9)
    order = np.random.default_rng(1).permutation(16)
    permuted = lira(center, out[order], known[order[::-1]], variance=variance).scores
    np.testing.assert_allclose(permuted, scores, rtol=1e-9, atol=1e-9)
    offline = lira(center, out, variance=variance).scores
    moved = lira(5 + 2 * center, 5 + 2 * out, variance=variance).scores
    np.testing.assert_allclose(moved, offline, rtol=1e-9)


@pytest.mark.parametrize("models", [8, 64])
def test_known_answers(models):
    """Never known: AUC about one half. Still known: found."""
    out, known, center, spread = banks(models, 4000, shift=1.5)
    rng = np.random.default_rng(9)
    never, never_either = rng.normal(center, spread, (2, 4000))
    still = rng.normal(center + 1.5, spread)
    truth = np.repeat([1, 0], 4000)
    for in_margins in (known, None):
        scores = lira(np.stack([never_either, never, still]), out, in_margins).scores
        null = roc_auc_score(truth, np.concatenate([scores[0], scores[1]]))
        caught = roc_auc_score(truth, np.concatenate([scores[2], scores[1]]))
        assert abs(null - 0.5) < 0.02
        assert caught > 0.75


def test_offline_membership_is_uniform_under_the_null():
    out, _, center, spread = banks(512, 4000)
    never = np.random.default_rng(9).normal(center, spread)
    shares = np.histogram(lira(never, out).membership, bins=10, range=(0, 1))[0] / 4000
    np.testing.assert_allclose(shares, 0.1, atol=0.02)


def test_online_sees_too_much_unlearning_and_offline_does_not():
    out, _, center, spread = banks(32, 2000)
    rng = np.random.default_rng(3)
    crushed = rng.normal(center - 3 * spread, spread, (32, 2000))
    candidate, never = rng.normal(center - 3 * spread, spread), rng.normal(center, spread)
    truth = np.repeat([1, 0], 2000)
    both = np.stack([candidate, never])
    assert roc_auc_score(truth, lira(both, out, crushed).scores.ravel()) > 0.95
    assert roc_auc_score(truth, lira(both, out).scores.ravel()) < 0.05


def test_examples_that_do_not_vary_are_named_and_take_the_shared_variance():
    out, known, center, _ = banks(models=64)
    out[:, 7] = 0.1 + 0.2
    known[:, 9] = -4.0
    found = lira(center, out, known)
    assert found.variance == "example"
    assert found.constant == (7, 9)
    assert np.isfinite(found.scores).all()
    shared = np.mean(np.where(np.arange(50) == 7, 0.0, out.var(axis=0, ddof=1)))
    expected = norm(known[:, 7].mean(), known[:, 7].std(ddof=1)).logpdf(center[7])
    expected -= norm(0.1 + 0.2, math.sqrt(shared)).logpdf(center[7])
    assert found.scores[7] == pytest.approx(expected)
    assert lira(center, out, known, variance="shared").constant == (7, 9)


def test_a_side_that_never_varies_is_refused():
    out, _, center, _ = banks()
    same = np.tile(center, (16, 1))
    with pytest.raises(ValueError, match=r"in_margins must vary.*16 models.*50 examples"):
        lira(center, out, same)
    with pytest.raises(ValueError, match="out_margins must vary"):
        lira(center, same)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((np.zeros(3), np.zeros((1, 3))), {}, "out_margins must hold enough models"),
        ((np.zeros(3), np.eye(3), np.ones((1, 3))), {}, "in_margins must hold enough models"),
        ((np.zeros(2), np.eye(3)), {}, r"candidate.*Expected shape \(3,\)"),
        ((np.zeros(3), np.eye(3), np.eye(4)), {}, "in_margins must hold the examples of out"),
        ((np.full(3, np.nan), np.eye(3)), {}, "candidate must be finite"),
        ((np.zeros(3), np.eye(3)), {"variance": "global"}, "variance must say.*'global'"),
    ],
)
def test_bad_arguments_are_refused(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        lira(*arguments, **options)
