"""The step by influence against the formula in NumPy float64, with the explicit inverse."""

import keras
import numpy as np
import pytest

from tfunlearn import methods
from tfunlearn.models.seeding import seeded


@pytest.fixture
def net():
    with seeded(0):
        head = keras.layers.Dense(3, "softmax", bias_initializer="ones")
        return keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), head])


def _gradients(net, x, y):
    """The flat gradient of each example, ``(N, 15)``, in float64."""
    kernel, bias = (w.astype("float64") for w in net.get_weights())
    flat = x.reshape(len(x), -1).astype("float64")
    scores = np.exp(flat @ kernel + bias)
    errors = scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]
    return np.concatenate(
        [(flat[:, :, None] * errors[:, None]).reshape(len(x), -1), errors], axis=1
    )


def _direction(net, split):
    forget, retain = (_gradients(net, *getattr(split, role)) for role in ("forget", "retain"))
    k, m = len(forget), len(retain)
    return forget.sum(0) / (k + m) - retain.sum(0) * k / ((k + m) * m), retain


def _flat(model):
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


@pytest.mark.parametrize("places", [[0, 1, 2, 3, 4, 5, 6, 7], [0, 4, 7]], ids=["all", "sample"])
def test_equals_the_formula(net, split, places):
    v, retain = _direction(net, split)
    rows = retain[places]
    information = 0.05 * np.eye(15) + rows.T @ rows / len(rows)
    expected = _flat(net) + 0.7 * np.linalg.solve(information, v)
    kwargs = {"alpha": 0.7, "damping": 0.05, "samples": len(places), "batch_size": 3}
    result = methods.influence(net, split, **kwargs)
    np.testing.assert_allclose(_flat(result), expected, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"fisher_samples": 8}, {"fisher_samples": 8, "samples": 3}]
)
def test_recursion_equals_the_official_update(net, split, options):
    """Its N is 1,000 however few samples there are."""
    v, rows = _direction(net, split)
    rows = rows[[0, 4, 7]] if "samples" in options else rows
    big = options.get("fisher_samples", 1000)
    k, o = v.copy(), rows[0].copy()
    for g in rows[1:]:
        inner = o @ g
        k -= (k @ g) / (big + inner) * o
        o -= inner / (big + inner) * o
    assert big * np.abs(k - v).max() > 1e-2
    alpha = 3.0 * big  # so that what the recursion adds to v is seen beside it
    result = methods.influence(net, split, alpha=alpha, curvature="recursion", **options)
    np.testing.assert_allclose((_flat(result) - _flat(net)) / 3.0, big * k, atol=1e-5 * big**0.5)
    # all of its updates are along the first gradient, which is not what an inverse does
    moved = (k - v) / np.linalg.norm(k - v)
    assert abs(moved @ rows[0]) == pytest.approx(np.linalg.norm(rows[0]), rel=1e-9)
    inverse = np.linalg.solve(np.eye(15) + rows.T @ rows / len(rows), v)
    assert np.abs(inverse - k).max() > 1e-3


def test_the_retain_gradient_is_of_the_retain_set(net, split):
    """The ImageNet branch of the official code takes it on the forget set, and does not move."""
    other = split.relabelled("retain", (split.labels("retain") + 1) % 3)
    steps = []
    for given in (split, other):
        steps.append(_direction(net, given)[0])
        result = methods.influence(net, given, alpha=1e6, damping=1e6)  # the step is v itself
        np.testing.assert_allclose(_flat(result), _flat(net) + steps[-1], atol=1e-5)
    forget = _gradients(net, *split.forget).sum(0)
    np.testing.assert_allclose(forget / 12 - forget * 4 / (12 * 4), 0, atol=1e-12)
    assert min(np.abs(steps[0]).max(), np.abs(steps[1] - steps[0]).max()) > 1e-2


def test_damping_is_the_lowest_that_keeps_the_sample(net, split):
    x, y = split.retain
    v, rows = _direction(net, split)

    def moved(damping):
        return _flat(net) + np.linalg.solve(damping * np.eye(15) + rows.T @ rows / len(rows), v)

    def right(weights):
        scores = x.reshape(len(x), -1) @ weights[:12].reshape(4, 3) + weights[12:]
        return float(np.mean(scores.argmax(-1) == y))

    dampings = (rows**2).sum(1).mean() * 10.0 ** np.arange(3.0, -6.01, -0.25)
    kept = [right(moved(damping)) >= right(_flat(net)) - 0.2 for damping in dampings]
    assert kept == sorted(kept, reverse=True)
    assert 0 < sum(kept) < len(kept)
    chosen = methods.influence(net, split, tolerance=0.2)
    np.testing.assert_allclose(_flat(chosen), moved(dampings[sum(kept) - 1]), rtol=1e-4, atol=1e-4)


def test_the_batch_size_has_no_effect(net, split):
    one, all_at_once = (
        _flat(methods.influence(net, split, damping=0.1, batch_size=size)) for size in (1, 12)
    )
    np.testing.assert_allclose(one, all_at_once, atol=1e-6)


def test_frozen_weights_and_statistics_stay(split):
    layers = keras.layers
    with seeded(0):
        stack = [layers.Conv2D(4, 2, name="frozen"), layers.BatchNormalization(), layers.Flatten()]
        net = keras.Sequential([keras.Input((2, 2, 1)), *stack, layers.Dense(3)])
    net.layers[0].trainable = False
    result = methods.influence(net, split, damping=0.1)
    old, new = net.get_weights(), result.get_weights()
    same = [left.tobytes() == right.tobytes() for left, right in zip(old, new, strict=True)]
    assert same == [True, True, False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, "alpha: expected a number of at least 0"),
        ({"alpha": 0.0}, r"alpha: the step changed no weight.*Received: 0.0"),
        ({"damping": 0.0}, "damping: expected a number above 0"),
        ({"tolerance": -0.1}, "tolerance: expected a number of at least 0"),
        ({"samples": 0}, "samples: expected a whole number of at least 1"),
        ({"fisher_samples": 0}, "fisher_samples: expected a whole number of at least 1"),
        ({"curvature": "wood"}, "curvature: expected 'exact' or 'recursion'. Received: 'wood'"),
    ],
)
def test_other_options_are_refused(net, split, options, message):
    with pytest.raises(ValueError, match=message):
        methods.influence(net, split, **options)
