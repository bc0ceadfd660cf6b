"""KLOM against loops with numpy's histogram and scipy's entropy, and numbers worked out by hand."""

import math

import numpy as np
import pytest
from scipy.stats import entropy

from tfunlearn.attacks.klom import klom


def banks(models=30, examples=40, seed=0):
    rng = np.random.default_rng(seed)
    center, spread = rng.normal(0, 5, examples), rng.uniform(0.3, 4, examples)
    unlearned = rng.normal(center, spread, (models, examples))
    retrained = rng.normal(center + 0.5, 1.5 * spread, (models, examples))
    return unlearned, retrained


def by_loops(unlearned, retrained):
    found = []
    for p, q in zip(np.clip(unlearned, -100, 100).T, np.clip(retrained, -100, 100).T, strict=True):
        edges = np.linspace(min(p.min(), q.min()), max(p.max(), q.max()), 21)
        p = np.histogram(p, edges)[0] / len(p)
        q = np.histogram(q, edges)[0] / len(q)
        q = np.where(p > 0, np.maximum(q, 1e-5), q)
        total = q[p > 0].sum()  # scipy makes them sum to one
        found.append(entropy(p[p > 0], q[p > 0]) - math.log(total))
    return np.array(found)


def test_by_hand():
    found = klom([[0.0], [0.0], [0.0], [20.0]], [[0.0], [0.0], [20.0], [20.0]])
    assert found.values[0] == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    apart = klom([[0.0], [0.1]], [[9.0], [10.0]])
    assert apart.values[0] == pytest.approx(math.log(1 / 1e-5))
    assert klom([[3.0], [3.0]], [[3.0], [3.0]]).values[0] == 0.0


def test_against_loops():
    unlearned, retrained = banks()
    found = klom(unlearned, retrained)
    expected = by_loops(unlearned, retrained)
    np.testing.assert_allclose(found.values, expected, rtol=1e-10)
    assert found.p50 == pytest.approx(np.quantile(expected, 0.5))
    assert found.p95 == pytest.approx(np.quantile(expected, 0.95))
    assert (found.unlearned_models, found.retrained_models, found.examples) == (30, 30, 40)
    assert (found.bins, found.clip, found.floor) == (20, 100.0, 1e-5)


def test_sides_of_different_size():
    unlearned, retrained = banks()
    found = klom(unlearned[:7], retrained)
    np.testing.assert_allclose(found.values, by_loops(unlearned[:7], retrained), rtol=1e-10)
    assert (found.unlearned_models, found.retrained_models) == (7, 30)


def test_the_direction_is_from_unlearned_to_retrained():
    """Unlearned margins inside the retrained range cost little; the reverse costs the floor."""
    narrow, wide = np.zeros((10, 1)), np.repeat([[0.0], [19.0]], 5, axis=0)
    assert klom(narrow, wide).values[0] == pytest.approx(math.log(2))
    assert klom(wide, narrow).values[0] == pytest.approx(
        0.5 * math.log(0.5) + 0.5 * math.log(0.5 / 1e-5)
    )
    unlearned, retrained = banks()
    forward, backward = by_loops(unlearned, retrained), by_loops(retrained, unlearned)
    assert np.abs(forward - backward).min() > 1e-3
    np.testing.assert_allclose(klom(retrained, unlearned).values, backward, rtol=1e-10)


def test_margins_are_clipped_at_100():
    unlearned = np.array([[0.0], [5000.0]])
    retrained = np.array([[0.0], [100.0]])
    assert klom(unlearned, retrained).values[0] == 0.0
    assert klom(-unlearned, -retrained).values[0] == 0.0


def test_a_margin_on_an_edge_belongs_to_the_bin_above():
    retrained = np.array([[0.0], [5.0], [5.0], [20.0]])  # bins of width 1
    above = klom(np.array([[0.0], [5.5], [5.9], [20.0]]), retrained)
    assert above.values[0] == pytest.approx(0.0)
    below = klom(np.array([[0.0], [4.5], [4.9], [20.0]]), retrained)
    assert below.values[0] == pytest.approx(0.5 * math.log(0.5 / 1e-5))


def test_the_largest_margin_is_counted():
    found = klom([[0.0], [0.0], [10.0]], [[0.0], [0.0], [0.0]])
    assert found.values[0] == pytest.approx(2 / 3 * math.log(2 / 3) + math.log(1 / 3 / 1e-5) / 3)


def test_the_order_of_models_does_not_matter():
    unlearned, retrained = banks()
    values = klom(unlearned, retrained).values
    order = np.random.default_rng(1).permutation(30)
    np.testing.assert_array_equal(klom(unlearned[order], retrained[order[::-1]]).values, values)


def test_known_answers():
    """The same distribution stays below what a shift of one deviation gives, at the same N."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 64, 500))
    null, shifted = klom(one, other), klom(one + 1.0, other)
    assert 0 < null.p95 < 1.5
    assert shifted.p50 > null.p95
    more = rng.normal(size=(2, 1024, 200))
    assert klom(*more).p95 < 0.1 < null.p50


@pytest.mark.parametrize(
    ("unlearned", "retrained", "words"),
    [
        (
            np.ones((1, 3)),
            np.ones((2, 3)),
            "unlearned must hold enough models. Expected at least 2",
        ),
        (np.ones((2, 3)), np.ones((1, 3)), "retrained must hold enough models"),
        (np.ones((2, 3)), np.ones((2, 4)), "retrained must hold the examples of unlearned"),
        (np.ones(3), np.ones(3), r"Received \(3,\)"),
        (np.full((2, 3), np.nan), np.ones((2, 3)), "unlearned must be finite"),
    ],
)
def test_bad_arguments_are_refused(unlearned, retrained, words):
    with pytest.raises(ValueError, match=words):
        klom(unlearned, retrained)
