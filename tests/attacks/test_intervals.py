"""Intervals against scipy, known coverage, and exchangeability counted out."""

import numpy as np
import pytest
from scipy.stats import binomtest

from tfunlearn.attacks import bootstrap, clopper_pearson, reference_percentile


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (1, 1000), (730, 9999)]
)
def test_clopper_pearson_against_scipy(successes, trials, level):
    found = clopper_pearson(successes, trials, level=level)
    expected = binomtest(successes, trials).proportion_ci(level, method="exact")
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-9)
    assert (found.value, found.level, found.sizes) == (successes / trials, level, (trials,))


def test_clopper_pearson_by_hand():
    # no success in n trials: (1 - high)^n = 0.025; all: low^n = 0.025
    assert clopper_pearson(0, 7).high == pytest.approx(1 - 0.025 ** (1 / 7))
    assert clopper_pearson(7, 7).low == pytest.approx(0.025 ** (1 / 7))
    assert (clopper_pearson(0, 7).low, clopper_pearson(np.int64(7), 7).high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("successes", "trials", "level", "error", "words"),
    [
        (1.0, 2, 0.95, TypeError, "successes must be a whole number.*Received float 1.0"),
        (True, 2, 0.95, TypeError, "successes must be a whole number"),
        (1, "2", 0.95, TypeError, "trials must be a whole number"),
        (0, 0, 0.95, ValueError, "trials must be at least 1. Received 0"),
        (-1, 2, 0.95, ValueError, "successes must be at least 0. Received -1"),
        (3, 2, 0.95, ValueError, "successes must be some of the trials. Expected at most 2"),
        (1, 2, 95, ValueError, r"level must .* Expected a fraction in \(0, 1\).*Received 95"),
        (1, 2, 1.0, ValueError, "level must"),
        (1, 2, np.nan, ValueError, "level must"),
    ],
)
def test_bad_counts_are_refused(successes, trials, level, error, words):
    with pytest.raises(error, match=words):
        clopper_pearson(successes, trials, level=level)


def mean(sample):
    return sample.mean(axis=-1)


def gap(members, others):
    return members.mean(axis=-1) - others.mean(axis=-1)


def test_bootstrap_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    members, others = np.sort(rng.normal(size=30)), np.sort(rng.normal(size=50))
    draws = np.random.default_rng(5)
    picked = [draws.integers(0, size, (200, size)) for size in (30, 50)]
    values = [
        np.mean([members[i] for i in a]) - np.mean([others[i] for i in b])
        for a, b in zip(*picked, strict=True)
    ]
    found = bootstrap(gap, members, others, level=0.9, repeats=200, seed=5)
    assert found.low == pytest.approx(np.percentile(values, 5), abs=1e-12)
    assert found.high == pytest.approx(np.percentile(values, 95), abs=1e-12)
    assert found.value == pytest.approx(members.mean() - others.mean())
    assert (found.sizes, found.level) == ((30, 50), 0.9)
    assert found.method == "bootstrap, percentile, 200 resamples, seed 5"


def test_bootstrap_of_many_at_once_is_the_same():
    rng = np.random.default_rng(1)
    samples = rng.normal(size=40), rng.normal(size=25)
    one = bootstrap(gap, *samples)
    many = bootstrap(gap, *samples, vectorized=True)
    assert (one.low, one.high) == pytest.approx((many.low, many.high), abs=1e-12)


def test_bootstrap_in_blocks_has_every_resample(monkeypatch):
    from tfunlearn.attacks import intervals

    monkeypatch.setattr(intervals, "BLOCK", 1000)
    seen = []
    bootstrap(lambda x: seen.append(len(x)) or x.mean(-1), np.arange(90), vectorized=True)
    assert seen == [11] * 90 + [10, 1]  # 1,000 resamples, then the sample itself


def test_bootstrap_depends_on_the_seed_and_not_on_the_order():
    rng = np.random.default_rng(2)
    pairs, others = rng.normal(size=(60, 2)), rng.normal(size=40)

    def slope(pairs, others):
        return float(np.cov(pairs.T)[0, 1]) - others.mean()

    first = bootstrap(slope, pairs, others, repeats=60)
    assert bootstrap(slope, rng.permutation(pairs), others[::-1], repeats=60) == first
    assert bootstrap(slope, pairs, others, repeats=60, seed=1) != first


def test_bootstrap_covers_a_known_mean():
    rng = np.random.default_rng(3)
    inside = 0
    for seed in range(400):
        sample = rng.exponential(size=100)
        found = bootstrap(mean, sample, seed=seed, repeats=400, vectorized=True)
        inside += found.low <= 1.0 <= found.high
    assert 0.91 <= inside / 400 <= 0.975


@pytest.mark.parametrize(
    ("function", "samples", "options", "error", "words"),
    [
        (np.mean, [], {}, ValueError, "samples must be given"),
        (np.mean, [[]], {}, ValueError, r"samples must hold .* Received \(0,\) as sample 0"),
        (np.mean, [[1.0], np.ones((1, 1, 1))], {}, ValueError, "as sample 1"),
        (np.mean, [[1.0]], {"repeats": 39}, ValueError, "Expected at least 40 at level 0.95"),
        (np.mean, [[1.0]], {"repeats": 199, "level": 0.99}, ValueError, "Expected at least 200"),
        (np.mean, [[1.0]], {"repeats": 1e3}, TypeError, "repeats must be a whole number"),
        (np.mean, [[1.0]], {"level": 0}, ValueError, "level must"),
        (np.mean, [[1.0]], {"seed": -1}, ValueError, "seed"),
        (lambda x: x, [[1.0, 2.0]], {}, ValueError, "function must return one number"),
        (np.mean, [[1.0, 2.0]], {"vectorized": True}, ValueError, r"Expected shape \(1000,\)"),
        (lambda x: np.nan, [[1.0]], {}, ValueError, "function must be finite.*Received 1000 among"),
    ],
)
def test_bad_bootstraps_are_refused(function, samples, options, error, words):
    with pytest.raises(error, match=words):
        bootstrap(function, *samples, **options)


def test_reference_percentile_by_hand():
    found = reference_percentile(3.5, [1, 2, 3, 4])
    assert (found.value, found.percentile, found.references) == (3.5, 75.0, 4)
    assert found.p_value == pytest.approx(2 * 2 / 5)  # one reference above it, and itself
    ends = binomtest(3, 4).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((100 * ends.low, 100 * ends.high))
    assert reference_percentile(5, [1, 2, 3, 4]).p_value == found.smallest_p_value == 0.4
    assert reference_percentile(2.5, [1, 2, 3, 4]).p_value == 1.0


def test_reference_percentile_with_ties():
    found = reference_percentile(2, [1, 2, 2, 3])
    assert (found.percentile, found.p_value) == (50.0, 1.0)
    low = binomtest(1, 4).proportion_ci(0.95, method="exact").low
    high = binomtest(3, 4).proportion_ci(0.95, method="exact").high
    assert (found.low, found.high) == pytest.approx((100 * low, 100 * high))
    assert reference_percentile(0.5, [0.5] * 9).p_value == 1.0


def test_one_reference_tells_nothing_apart():
    found = reference_percentile(9, [1])
    assert (found.p_value, found.smallest_p_value, found.percentile) == (1.0, 1.0, 100.0)


@pytest.mark.parametrize("size", [4, 19, 39])
def test_the_rank_p_value_is_exact(size):
    """Each of N + 1 exchangeable figures in turn is the candidate: P(p <= a) is a."""
    figures = np.random.default_rng(size).normal(size=size + 1)
    p = np.array(
        [reference_percentile(figures[i], np.delete(figures, i)).p_value for i in range(size + 1)]
    )
    for value in np.unique(p[p < 1]):
        assert np.mean(p <= value) == pytest.approx(value)
    assert p.min() == pytest.approx(2 / (size + 1))


def test_the_percentile_is_covered():
    rng = np.random.default_rng(6)
    inside = 0
    for _ in range(500):
        found = reference_percentile(0.9, rng.random(25))
        inside += found.low <= 90 <= found.high
    assert inside / 500 >= 0.94


@pytest.mark.parametrize(
    ("value", "references", "level", "words"),
    [
        (np.nan, [1.0], 0.95, "value must be finite"),
        (1.0, [], 0.95, "reference_values must .* N >= 1"),
        (1.0, [[1.0]], 0.95, "reference_values must be a flat list"),
        (1.0, [1.0, np.inf], 0.95, "reference_values must be finite"),
        (1.0, [1.0], 1.5, "level must"),
    ],
)
def test_bad_references_are_refused(value, references, level, words):
    with pytest.raises(ValueError, match=words):
        reference_percentile(value, references, level=level)


def test_an_estimate_prints_itself():
    assert str(clopper_pearson(1, 2)) == "0.5 [0.01258, 0.9874]"
