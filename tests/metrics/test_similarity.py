"""Linear CKA: by hand, against the definition with kernels, and by what may not change it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group, pearsonr

from tfunlearn import metrics


def by_definition(a, b):
    """tr(KHLH) / sqrt(tr(KHKH) tr(LHLH)), with the centring matrix written out."""
    n = len(a)
    h = np.eye(n) - np.ones((n, n)) / n
    k, m = a @ a.T, b @ b.T

    def hsic(one, other):
        return np.trace(one @ h @ other @ h)

    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def test_of_single_features_it_is_the_squared_correlation():
    # centred: (-1, 0, 1) and (-1, 2, -1) are orthogonal
    assert metrics.linear_cka([[0.0], [1.0], [2.0]], [[0.0], [3.0], [0.0]]) == 0.0
    a, b = [[1.0], [2.0], [4.0]], [[1.0], [3.0], [2.0]]
    # centred: (-4, -1, 5) / 3 and (-1, 1, 0); 1^2 / (14/3 * 2)
    assert metrics.linear_cka(a, b) == pytest.approx(3 / 28, rel=1e-12)
    expected = pearsonr(np.ravel(a), np.ravel(b)).statistic ** 2
    assert metrics.linear_cka(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("widths", [(3, 5), (5, 3), (80, 90), (2, 200), (30, 30)])
def test_against_the_definition_over_examples_and_over_features(widths):
    rng = np.random.default_rng(sum(widths))
    a = rng.normal(size=(30, widths[0])) + 5
    b = rng.normal(size=(30, widths[1])) + a[:, :1]
    assert metrics.linear_cka(a, b) == pytest.approx(by_definition(a, b), rel=1e-10)


@given(seed=st.integers(0, 500), n=st.integers(2, 12), p=st.integers(2, 9), q=st.integers(1, 9))
@settings(deadline=None)
def test_bounds_symmetry_and_what_does_not_change_it(seed, n, p, q):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, p)), rng.normal(size=(n, q))
    found = metrics.linear_cka(a, b)
    assert 0 <= found <= 1
    assert metrics.linear_cka(b, a) == pytest.approx(found, rel=1e-9, abs=1e-12)
    turned = 1e-3 * a @ ortho_group.rvs(p, random_state=seed) + rng.normal(size=p)
    assert metrics.linear_cka(turned, b) == pytest.approx(found, rel=1e-6, abs=1e-9)
    assert metrics.linear_cka(turned, a) == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1.0, 1e100])
def test_the_scale_of_the_features_is_free(scale):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    assert metrics.linear_cka(a * scale, b) == pytest.approx(by_definition(a, b), rel=1e-10)


def test_maps_of_features_are_flattened_and_taken_in_float64():
    rng = np.random.default_rng(0)
    maps, flat = rng.normal(size=(12, 3, 2, 2)).astype("float32"), rng.normal(size=(12, 5))
    expected = by_definition(maps.reshape(12, -1).astype("float64"), flat)
    assert metrics.linear_cka(maps, flat) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (np.zeros(4), r"Expected shape \(N, ...\) with N >= 2. Received \(4,\)"),
        (np.ones((1, 4)), r"Received \(1, 4\)"),
        (np.ones((4, 0)), r"Received \(4, 0\)"),
        ([[0.0, np.nan], [1.0, np.inf]], "must be finite.*Received 2 of them"),
        (np.full((4, 3), 0.1), "must differ between examples"),
    ],
)
def test_what_has_no_alignment_is_refused(features, words):
    other = np.random.default_rng(0).normal(size=(4, 2))
    with pytest.raises(ValueError, match=f"features_a.*{words}"):
        metrics.linear_cka(features, other)
    with pytest.raises(ValueError, match=f"features_b.*{words}"):
        metrics.linear_cka(other, features)


def test_other_examples_are_refused():
    with pytest.raises(ValueError, match=r"the same examples.*Received 2 and 3"):
        metrics.linear_cka([[0.0], [1.0]], [[0.0], [1.0], [2.0]])
