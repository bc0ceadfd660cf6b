"""Residual knowledge of linear models against the areas that they cut off balls."""

import keras
import numpy as np
import pytest
from scipy.integrate import quad

from tfunlearn import data, models, probes
from tfunlearn.probes.residual_knowledge import _near

RADIUS = 0.8


def plane(direction, offset, activation=None):
    """Returns a model that answers 1 where direction . x > offset."""
    head = keras.layers.Dense(2, activation)
    net = keras.Sequential([keras.Input((2,)), head])
    kernel = np.stack([np.zeros(2), direction], axis=1)
    net.set_weights([kernel, np.array([0.0, -offset])])
    return net


def share_of_disc(direction, offset, x):
    """Integrates the chords of a disc on the far side of a line."""
    length = np.linalg.norm(direction)
    cut = (offset - x @ np.asarray(direction)) / length
    chords = quad(lambda t: 2 * np.sqrt(RADIUS**2 - t**2), np.clip(cut, -RADIUS, RADIUS), RADIUS)
    return chords[0] / (np.pi * RADIUS**2)


def share_of_square(direction, offset, x):
    """Integrates over the first coordinate what a line leaves of a square in the second."""
    a, b = direction

    def column(first):
        bound = (offset - a * first) / b - x[1]  # above it, b is positive
        return np.clip(RADIUS - bound, 0, 2 * RADIUS)

    first, last = x[0] - RADIUS, x[0] + RADIUS
    total = quad(column, first, last, limit=200)[0]
    return total / (4 * RADIUS**2)


@pytest.fixture(scope="module")
def points():
    """Six points around two lines."""
    x = np.random.default_rng(1).uniform(-0.6, 0.6, (12, 2)).astype("float32")
    return data.by_index(x, np.arange(12) % 2, forget=range(6), test=(x, np.arange(12) % 2))


MINE, OTHER, THIRD = ([1.0, 0.5], 0.1), ([-0.3, 1.0], -0.2), ([0.7, 0.7], 0.3)


@pytest.mark.parametrize(("norm", "activation"), [("l2", None), ("linf", "softmax")])
def test_it_equals_an_integral(points, norm, activation):
    area = share_of_disc if norm == "l2" else share_of_square
    samples = 20_000
    found = probes.residual_knowledge(
        plane(*MINE, activation),
        [plane(*OTHER), plane(*THIRD)],
        points,
        radius=RADIUS,
        samples=samples,
        norm=norm,
        seed=3,
    )
    x, y = points.forget
    lines = (MINE, OTHER, THIRD)
    ones = np.array([[area(*line, row) for row in x.astype("float64")] for line in lines])
    right = np.where(y == 1, ones, 1 - ones)
    error = 4.5 * np.sqrt(0.25 / samples)
    np.testing.assert_allclose(found.unlearned, right[0], atol=error)
    np.testing.assert_allclose(found.reference, right[1:].mean(0), atol=error)
    ratios = np.array(found.unlearned) / np.array(found.reference)
    np.testing.assert_allclose(found.ratios, ratios, rtol=1e-12)
    assert found.mean_ratio == pytest.approx(ratios.mean())
    assert found.share_above == np.mean(np.array(found.unlearned) > np.array(found.reference))
    assert 0 < found.share_above < 1
    assert (found.size, found.references, found.samples) == (6, 2, samples)
    assert (found.radius, found.norm, found.seed, found.smoothing) == (RADIUS, norm, 3, 0.0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_inputs_are_drawn_evenly_from_the_ball(norm):
    x = np.array([[1.0, -2.0, 0.5]])
    moves = (_near(x, 4000, 0.5, norm, [0]) - x).reshape(4000, 3)
    lengths = np.linalg.norm(moves, ord=2 if norm == "l2" else np.inf, axis=1)
    assert lengths.max() <= 0.5
    shares = np.sort(lengths / 0.5) ** 3  # of the volume that lies closer: uniform
    assert np.abs(shares - np.linspace(0, 1, 4000)).max() < 0.03
    assert np.abs(moves.mean(axis=0)).max() < 0.02
    assert _near(x, 5, 0.5, norm, [0]).shape == (5, 1, 3)


def test_a_share_of_zero_leaves_no_ratio_unless_smoothed(points):
    """By hand: far from every line a model is always or never right."""
    always, never = plane([0, 1], -50.0), plane([0, 1], 50.0)
    labels = points.labels("forget")
    found = probes.residual_knowledge(always, never, points, radius=0.5, samples=8)
    assert found.unlearned == tuple((labels == 1).astype(float))
    assert found.reference == tuple((labels == 0).astype(float))
    assert found.ratios == tuple(None if label == 1 else 0.0 for label in labels)
    assert (found.undefined, found.mean_ratio, found.share_above) == (3, 0.0, 0.5)
    smooth = probes.residual_knowledge(always, never, points, radius=0.5, samples=8, smoothing=1)
    expected = [9.0 if label == 1 else 1 / 9 for label in labels]  # (8 + 1) / (0 + 1), and back
    np.testing.assert_allclose(smooth.ratios, expected, rtol=1e-12)
    assert (smooth.undefined, smooth.share_above, smooth.smoothing) == (0, 0.5, 1.0)
    ones = points.subset("forget", np.flatnonzero(labels == 1))
    absent = probes.residual_knowledge(always, never, ones, radius=0.5, samples=8)
    assert (absent.mean_ratio, absent.undefined, absent.share_above) == (None, 3, 1.0)


def test_the_draw_depends_on_the_seed_alone(points):
    nets = plane(*MINE), plane(*OTHER)
    options = {"radius": RADIUS, "samples": 30}
    first, again, coarse, fine = (
        probes.residual_knowledge(*nets, points, batch_size=size, **options)
        for size in (512, 512, 1, 75)
    )
    assert first == again == coarse == fine
    assert first != probes.residual_knowledge(*nets, points, seed=1, **options)


def test_a_model_against_itself(points):
    net = plane(*MINE)
    found = probes.residual_knowledge(net, models.copy(net), points, radius=RADIUS, smoothing=1)
    assert set(found.ratios) == {1.0}
    assert (found.share_above, found.mean_ratio) == (0.0, 1.0)


def test_a_stream_gives_the_same(points, streamed):
    options = {"radius": RADIUS, "samples": 30}
    nets = plane(*MINE), plane(*OTHER)
    first, second = (
        probes.residual_knowledge(*nets, split, **options) for split in (points, streamed(points))
    )
    assert first == second


def test_a_masked_model_knows_less_than_the_original(digits, original, masked, retrained):
    options = {"radius": 0.5, "samples": 20}
    known, hidden, new = (
        probes.residual_knowledge(net, retrained, digits, **options)
        for net in (original, masked, retrained)
    )
    assert known.share_above > 0.9
    assert known.undefined > 0.9 * known.size  # retrained without the class: never right
    assert hidden.share_above == new.share_above == 0.0


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"radius": 0}, "radius: expected a number above 0. Received: 0"),
        ({"radius": np.inf}, "radius: expected a number above 0"),
        ({"samples": 0}, "samples: expected a whole number of at least 1"),
        ({"norm": "l1"}, "norm: expected 'l2' or 'linf'. Received: 'l1'"),
        ({"smoothing": -1}, "smoothing: expected a number of at least 0"),
        ({"batch_size": 0}, "batch_size: expected a whole number of at least 1"),
        ({"seed": -1}, "seed: expected a whole number"),
    ],
    ids=lambda own: ",".join(own) if isinstance(own, dict) else "",
)
def test_bad_options_are_refused(points, own, words):
    with pytest.raises(ValueError, match=words):
        probes.residual_knowledge(plane(*MINE), plane(*OTHER), points, **{"radius": 1.0, **own})


def test_bad_models_are_refused(points):
    net = plane(*MINE)
    with pytest.raises(ValueError, match="references: a share says nothing alone"):
        probes.residual_knowledge(net, [], points, radius=1.0)
    with pytest.raises(TypeError, match=r"expected a keras\.Model"):
        probes.residual_knowledge(net, [None], points, radius=1.0)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="inputs must have the shape"):
        probes.residual_knowledge(net, other, points, radius=1.0)
    words = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Embedding(3, 2)])
    words.add(keras.layers.Flatten())
    words.add(keras.layers.Dense(2))
    with pytest.raises(ValueError, match=r"floating point inputs\. Received: int32"):
        probes.residual_knowledge(net, words, points, radius=1.0)
    with pytest.raises(ValueError, match="model: its numbers must be finite"):
        probes.residual_knowledge(plane([np.nan, 0], 0), net, points, radius=1.0)
