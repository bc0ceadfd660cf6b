"""Divergences: by hand, against scipy, and apart from the public code that is not the formula."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, softmax
from scipy.stats import entropy as scipy_entropy

from tfunlearn import metrics

PAIRS = st.tuples(st.integers(1, 5), st.integers(2, 6)).flatmap(
    lambda shape: st.tuples(
        *[arrays("float64", shape, elements=st.floats(-1e4, -1)) for _ in range(2)]
    )
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.normal(scale=3, size=(200, 6)), rng.normal(scale=3, size=(200, 6))


def logits_of(*probabilities):
    return np.log(np.array(probabilities)) - 5


def test_by_hand():
    p, q = logits_of([0.5, 0.5]), logits_of([0.25, 0.75])
    kl = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert metrics.kl_divergence(p, q)[0] == pytest.approx(kl, rel=1e-13)
    # m = (3/8, 5/8)
    to_m = 0.5 * math.log(4 / 3) + 0.5 * math.log(4 / 5)
    from_q = 0.25 * math.log(2 / 3) + 0.75 * math.log(6 / 5)
    assert metrics.js_divergence(p, q)[0] == pytest.approx((to_m + from_q) / 2, rel=1e-12)
    assert metrics.activation_distance(p, q)[0] == pytest.approx(math.sqrt(2) / 4, rel=1e-14)
    score = metrics.zrf(p, q)
    assert score == pytest.approx(1 - (to_m + from_q) / 2 / math.log(2), rel=1e-14)


def test_kl_against_scipy_and_in_one_direction(pair):
    p, q = (softmax(side, axis=1) for side in pair)
    found = metrics.kl_divergence(*pair)
    np.testing.assert_allclose(found, scipy_entropy(p, q, axis=1), rtol=1e-10)
    back = metrics.kl_divergence(*pair[::-1])
    np.testing.assert_allclose(back, scipy_entropy(q, p, axis=1), rtol=1e-10)
    assert abs(found - back).max() > 1


def test_js_against_scipy(pair):
    p, q = (softmax(side, axis=1) for side in pair)
    expected = jensenshannon(p, q, axis=1) ** 2
    np.testing.assert_allclose(metrics.js_divergence(*pair), expected, rtol=1e-10)


def test_activation_distance_against_a_loop(pair):
    p, q = (softmax(side, axis=1) for side in pair)
    expected = []
    for row, other in zip(p, q, strict=True):
        squares = [(a - b) ** 2 for a, b in zip(row, other, strict=True)]
        expected.append(math.sqrt(sum(squares)))
    np.testing.assert_allclose(metrics.activation_distance(*pair), expected, rtol=1e-12)


def test_agreement_by_hand_and_in_a_loop(pair):
    assert metrics.prediction_agreement([[0, 0], [2, 1]], [[5, 1], [0, 1]]) == 0.5  # ties: class 0
    same = [int(np.argmax(a)) == int(np.argmax(b)) for a, b in zip(*pair, strict=True)]
    assert metrics.prediction_agreement(*pair) == sum(same) / len(same)


def test_zrf_is_one_minus_the_mean_of_the_sums_in_either_base(pair):
    p, q = (softmax(side, axis=1) for side in pair)
    bits = jensenshannon(p, q, base=2, axis=1) ** 2
    nats = jensenshannon(p, q, axis=1) ** 2
    assert metrics.zrf(*pair) == pytest.approx(1 - bits.mean(), rel=1e-12)
    assert metrics.zrf(*pair, base=math.e) == pytest.approx(1 - nats.mean(), rel=1e-12)
    assert metrics.zrf(pair[0], pair[0]) == 1.0
    apart = np.array([[900.0, 0.0]])
    assert metrics.zrf(apart, apart[:, ::-1]) == 0.0
    assert metrics.zrf(apart, apart[:, ::-1], base=math.e) == pytest.approx(1 - math.log(2))


def test_zrf_is_not_the_public_codes_score(pair):
    def kl_div(log_input, target):  # torch.nn.functional.kl_div with its default, "mean"
        return np.mean(target * (np.log(target) - log_input))

    def public(unlearned, random):
        log_p, log_q = log_softmax(unlearned, axis=1), log_softmax(random, axis=1)
        m = (np.exp(log_p) + np.exp(log_q)) / 2
        return 1 - 0.5 * kl_div(log_p, m) - 0.5 * kl_div(log_q, m)

    ours = metrics.zrf(*pair, base=math.e)
    assert public(*pair) - ours > 0.05
    # a class that both rule out adds nothing to the divergence, and raises the public score
    more = [np.hstack([side, np.full((200, 6), -100.0)]) for side in pair]
    assert metrics.zrf(*more, base=math.e) == pytest.approx(ours, abs=1e-12)
    assert public(*more) - public(*pair) > 0.05
    # and it has no floor: two sure models that differ
    sure = np.array([[40.0, 0.0]])
    assert public(sure, sure[:, ::-1]) < 0 < metrics.zrf(sure, sure[:, ::-1], base=math.e)


@pytest.mark.parametrize("base", [1.0, 0.5, 0.0, -2.0, math.nan, math.inf])
def test_zrf_refuses_what_is_no_base(base):
    with pytest.raises(ValueError, match=r"base must be a logarithm's. Expected a number > 1"):
        metrics.zrf([[3.0, 0.0]], [[0.0, 3.0]], base=base)


def test_extreme_logits_are_finite_and_exact():
    p, q = np.array([[1e4, -1e4, 0.0]]), np.array([[-1e4, 1e4, 0.0]])
    assert metrics.kl_divergence(p, q).tolist() == [2e4]
    assert metrics.js_divergence(p, q)[0] == pytest.approx(math.log(2), rel=1e-15)
    assert metrics.activation_distance(p, q)[0] == pytest.approx(math.sqrt(2), rel=1e-15)
    assert metrics.prediction_agreement(p, q) == 0.0


def test_js_of_equal_rows_is_exactly_zero_and_of_near_ones_keeps_its_digits():
    row = np.array([[-1.0, -1.5, -1.5, -1.5, -1.5]])  # log of m, rounded, is not log of p
    assert metrics.js_divergence(row, row).tolist() == [0.0]
    # near p = (1/2, 1/2), moving its logits apart by t: t^2 / 32 in the leading order
    t = 1e-4
    found = metrics.js_divergence([[-1.0, -1.0]], [[-1.0 + t, -1.0]])[0]
    assert found == pytest.approx(t**2 / 32, rel=1e-6)


@given(pair=PAIRS)
@settings(deadline=None)
def test_bounds_symmetry_and_zero_for_equal_inputs(pair):
    p, q = pair
    js = metrics.js_divergence(p, q)
    assert ((js >= 0) & (js <= math.log(2))).all()
    np.testing.assert_array_equal(js, metrics.js_divergence(q, p))
    kl = metrics.kl_divergence(p, q)
    assert ((kl >= 0) & np.isfinite(kl)).all()
    distance = metrics.activation_distance(p, q)
    assert ((distance >= 0) & (distance <= math.sqrt(2) + 1e-15)).all()
    np.testing.assert_array_equal(distance, metrics.activation_distance(q, p))
    assert 0 <= metrics.zrf(p, q) <= 1
    assert 0 <= metrics.prediction_agreement(p, q) <= 1
    for function in (metrics.kl_divergence, metrics.js_divergence, metrics.activation_distance):
        assert not function(p, p).any()
    # Pinsker: KL is at least 2 TV^2, and TV at least half the Euclidean distance
    assert (kl >= distance**2 / 2 - 1e-9).all()
