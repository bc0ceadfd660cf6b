"""The softmax in logarithms against exact decimal arithmetic and scipy."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax as scipy_log_softmax
from scipy.special import logsumexp

from tfunlearn.metrics.softmax import log_complement, log_softmax, log_sum_exp_others

TABLES = arrays(
    "float64",
    st.tuples(st.integers(1, 5), st.integers(2, 6)),
    elements=st.floats(-1e4, 1e4),
)


def exact(row):
    """log p and log(1 - p) of each class in 400 digits."""
    with localcontext() as context:
        context.prec = 400
        powers = [Decimal(z).exp() for z in row]
        total = sum(powers)
        log_p = [float((power / total).ln()) for power in powers]
        others = [sum(powers[:i] + powers[i + 1 :]) for i in range(len(powers))]
        return log_p, [float((rest / total).ln()) for rest in others]


@pytest.mark.parametrize(
    "row",
    [
        [0.0, 0.0],
        [0.0, -50.0],
        [-300.0, 300.0, 0.0],
        [1.0, 2.0, 3.0, 4.0],
        [40.0, 39.9, -5.0],
        [-0.1, 0.0, 0.1],
    ],
)
def test_it_keeps_its_digits_at_both_ends(row):
    log_p, log_rest = exact(row)
    logits = np.array([row])
    np.testing.assert_allclose(log_softmax(logits)[0], log_p, rtol=1e-13)
    np.testing.assert_allclose(log_complement(logits)[0], log_rest, rtol=1e-13)


@given(logits=TABLES)
@settings(deadline=None)
def test_against_scipy(logits):
    log_p, log_rest = log_softmax(logits), log_complement(logits)
    np.testing.assert_allclose(log_p, scipy_log_softmax(logits, axis=1), rtol=1e-12, atol=1e-12)
    assert np.isfinite(log_p).all()
    assert np.isfinite(log_rest).all()
    assert (log_p <= 0).all()
    assert (log_rest <= 0).all()
    for row, rest in zip(logits, log_rest, strict=True):
        expected = [logsumexp(np.delete(row, i)) - logsumexp(row) for i in range(len(row))]
        np.testing.assert_allclose(rest, expected, rtol=1e-9, atol=1e-9)


def test_the_sum_over_the_others():
    found = log_sum_exp_others(np.array([1, 0]), np.array([[0.0, 9.0, 0.0], [-1e4, 1e4, 3.0]]))
    np.testing.assert_allclose(found, [np.log(2), 1e4], rtol=1e-15)
