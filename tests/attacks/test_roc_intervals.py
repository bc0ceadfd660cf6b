"""Intervals of what is read off a ROC curve: explicit loops, published numbers, coverage."""

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm

from tfunlearn.attacks import auc_interval, confidence_band, decision_interval, roc, tpr_interval


def delong_by_loops(members, others):
    """Returns the area and its variance from all pairs."""
    wins = np.array([[1.0 if x > y else 0.5 if x == y else 0.0 for y in others] for x in members])
    variance = wins.mean(axis=1).var(ddof=1) / len(members)
    return wins.mean(), variance + wins.mean(axis=0).var(ddof=1) / len(others)


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("ties", [False, True])
def test_auc_against_all_pairs(ties, level):
    rng = np.random.default_rng(0)
    members, others = rng.normal(0.7, 1, 40), rng.normal(0, 2, 25)
    if ties:
        members, others = members.round(), others.round()
    area, variance = delong_by_loops(members, others)
    found = auc_interval(roc(members, others), level=level)
    assert found.value == pytest.approx(area)
    step = norm.isf((1 - level) / 2) * math.sqrt(variance)
    for end, sign in ((found.low, -1), (found.high, 1)):
        # the delta rule: the logit's slope is 1 / (area (1 - area))
        expected = math.log(area / (1 - area)) + sign * step / (area * (1 - area))
        assert math.log(end / (1 - end)) == pytest.approx(expected)
    assert found.sizes == (40, 25)
    assert found.method == "DeLong, logit scale"


def test_auc_without_spread_has_the_exact_ends_of_disjoint_pairs():
    share = 0.025 ** (1 / 3)  # three pairs of one outcome
    above = auc_interval(roc([5, 6, 7], [1, 2, 3, 4]))
    assert (above.value, above.low, above.high) == (1.0, pytest.approx(share), 1.0)
    below = auc_interval(roc([1, 2, 3, 4], [5, 6, 7]))
    assert (below.value, below.low, below.high) == (0.0, 0.0, pytest.approx(1 - share))
    equal = auc_interval(roc([1, 1, 1], [1, 1, 1, 1]))
    assert equal.value == 0.5
    assert (equal.low, equal.high) == pytest.approx((share / 2, 1 - share / 2))
    assert equal.method == "exact, disjoint pairs"


def bimodal(rng, size):
    return rng.normal(0, 0.1, size) + rng.choice([-6, 6], size)


@pytest.mark.parametrize(
    ("draw", "area", "least"),
    [
        (lambda rng, size: rng.normal(size=size), 0.5, 0.93),
        (lambda rng, size: rng.normal(1, 1, size), norm.cdf(1 / math.sqrt(2)), 0.93),
        (bimodal, 0.5, 0.93),  # half of the members above all others, half below
        (lambda rng, size: rng.normal(3, 1, size), norm.cdf(3 / math.sqrt(2)), 0.9),
    ],
    ids=["same", "shifted", "bimodal", "far"],
)
def test_the_area_is_covered(draw, area, least):
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(500):
        found = auc_interval(roc(draw(rng, 60), rng.normal(size=80)))
        inside += found.low <= area <= found.high
    assert least <= inside / 500 <= 0.98


def test_one_example_has_no_spread():
    with pytest.raises(ValueError, match=r"at least 2 examples a side\. Received 1 members and 2"):
        auc_interval(roc([1], [1, 2]))


def tpr_by_loops(members, others, fpr, level):
    """Returns the ends by walking down the sorted non-members."""
    tail = (1 - level) / 4
    falling = sorted(others, reverse=True)
    fewest = next(k for k in range(len(others) + 1) if binom.cdf(k, len(others), fpr) >= tail)
    most = next(k for k in range(len(others) + 1) if binom.sf(k, len(others), fpr) <= tail)
    above = sum(x > falling[fewest - 1] for x in members) if fewest else 0
    below = sum(x > falling[most] for x in members) if most < len(others) else len(members)
    ends = [
        binomtest(int(count), len(members)).proportion_ci(1 - 2 * tail, method="exact")
        for count in (above, below)
    ]
    return ends[0].low, ends[1].high


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("fpr", [0.01, 0.1, 0.5, 1.0])
def test_tpr_against_a_loop(fpr, ties):
    rng = np.random.default_rng(2)
    members, others = rng.normal(1, 1, 80), rng.normal(size=120)
    if ties:
        members, others = members.round(), others.round()
    found = tpr_interval(roc(members, others), fpr, level=0.9)
    expected = tpr_by_loops(members, others, fpr, 0.9)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)
    assert found.value == roc(members, others).tpr_at(fpr)
    assert found.low <= found.value <= found.high
    assert (found.sizes, found.level) == ((80, 120), 0.9)


@pytest.mark.parametrize("digits", [None, 0])
@pytest.mark.parametrize(("size", "fpr"), [(100, 0.01), (400, 0.01), (200, 0.1)])
def test_the_rate_is_covered_at_least_at_the_level(size, fpr, digits):
    rng = np.random.default_rng(3)
    if digits is None:
        truth = norm.sf(norm.isf(fpr) - 1.5)
    else:  # whole numbers: the lowest threshold whose rate is allowed
        steps = [k for k in range(-5, 9) if norm.sf(k - 0.5) <= fpr]
        truth = norm.sf(steps[0] - 0.5 - 1.5)
    inside = 0
    for _ in range(300):
        members, others = rng.normal(1.5, 1, size), rng.normal(size=size)
        if digits is not None:
            members, others = members.round(digits), others.round(digits)
        found = tpr_interval(roc(members, others), fpr)
        inside += found.low <= truth <= found.high
    assert inside / 300 >= 0.94


def test_a_rate_that_cannot_be_resolved_is_refused():
    with pytest.raises(ValueError, match=r"Expected at least 100 of them.*Received 99"):
        tpr_interval(roc(np.arange(50), np.arange(99)), 0.01)
    with pytest.raises(ValueError, match="level must"):
        tpr_interval(roc(np.arange(50), np.arange(100)), 0.01, level=0)


def test_band_equals_a_plain_loop():
    rng = np.random.default_rng(4)
    members, others = np.sort(rng.normal(size=20).round(1)), np.sort(rng.normal(size=30).round(1))
    thresholds = np.unique(np.r_[members, others])

    def gaps(a, b):
        return np.array([np.mean(a >= t) - np.mean(b >= t) for t in thresholds])

    draws = np.random.default_rng(8)
    distances = []
    for _ in range(100):
        # places count from the highest score down
        a = members[::-1][draws.integers(0, 20, 20)]
        b = others[::-1][draws.integers(0, 30, 30)]
        distances.append(np.abs(gaps(a, b) - gaps(members, others)).max())
    band = confidence_band(roc(members, others), level=0.9, repeats=100, seed=8)
    assert band == pytest.approx(np.percentile(distances, 90), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_the_advantage_is_covered_also_where_there_is_none(shift):
    rng = np.random.default_rng(5)
    truth = 2 * norm.cdf(shift / 2) - 1
    inside = 0
    for seed in range(200):
        curve = roc(rng.normal(shift, 1, 100), rng.normal(size=150))
        band = confidence_band(curve, repeats=100, seed=seed)
        inside += abs(curve.advantage - truth) <= band
    assert inside / 200 >= 0.92


def test_band_depends_on_seed_and_scores_alone():
    rng = np.random.default_rng(6)
    members, others = rng.normal(size=100), rng.normal(size=100)
    band = confidence_band(roc(members, others), seed=3)
    assert confidence_band(roc(members[::-1], rng.permutation(others)), seed=3) == band
    assert confidence_band(roc(members, others), seed=4) != band


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"level": 1}, ValueError, "level must"),
        ({"repeats": 10}, ValueError, "Expected at least 40"),
        ({"repeats": 100.0}, TypeError, "repeats must be a whole number"),
        ({"seed": 0.5}, ValueError, "seed"),
    ],
)
def test_bad_options_of_the_band_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        confidence_band(roc([1, 2], [1, 2]), **options)


def test_decisions_against_a_published_example():
    """Newcombe (1998), table II: 56/70 - 48/80 has the interval 0.0524 to 0.3339 by method 10."""
    found = decision_interval(56, 70, 80 - 48, 80)
    assert 2 * found.value - 1 == pytest.approx(0.2)
    assert 2 * found.low - 1 == pytest.approx(0.0524, abs=5e-5)
    assert 2 * found.high - 1 == pytest.approx(0.3339, abs=5e-5)


@pytest.mark.parametrize("counts", [(0, 5, 5, 5), (9, 9, 30, 30), (3, 10, 0, 40), (0, 2, 0, 3)])
def test_decisions_against_scipys_wilson_scores(counts):
    caught, members, cleared, nonmembers = counts
    found = decision_interval(*counts, level=0.9)
    p, q = caught / members, cleared / nonmembers
    first = binomtest(caught, members).proportion_ci(0.9, method="wilson")
    second = binomtest(cleared, nonmembers).proportion_ci(0.9, method="wilson")
    low = (p + q) / 2 - math.sqrt((p - first.low) ** 2 + (q - second.low) ** 2) / 2
    high = (p + q) / 2 + math.sqrt((first.high - p) ** 2 + (second.high - q) ** 2) / 2
    assert (found.value, found.low, found.high) == pytest.approx(((p + q) / 2, low, high))
    assert 0 <= found.low <= found.high <= 1
    assert found.sizes == (members, nonmembers)


@pytest.mark.parametrize(
    ("counts", "error", "words"),
    [
        ((3, 2, 1, 1), ValueError, "caught must be some of the members. Expected at most 2"),
        ((1, 2, 2, 1), ValueError, "cleared must be some of the nonmembers"),
        ((0, 0, 1, 1), ValueError, "members must be at least 1"),
        ((1.5, 2, 1, 1), TypeError, "caught must be a whole number"),
    ],
)
def test_bad_decisions_are_refused(counts, error, words):
    with pytest.raises(error, match=words):
        decision_interval(*counts)
