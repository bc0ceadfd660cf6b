"""RMIA against loops over every pair, numbers worked out by hand, and known answers."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tfunlearn.attacks.rmia import rmia


def sigmoid(margin):
    return 1 / (1 + np.exp(-margin))


def by_loops(candidate, candidate_z, out, out_z, known, known_z, a, gamma):
    """The formula, with probabilities, one pair at a time."""

    def at_large(out_margins, in_margins):
        p_out = np.mean([sigmoid(margin) for margin in out_margins])
        if in_margins is None:
            return (1 + a) / 2 * p_out + (1 - a) / 2
        return (p_out + np.mean([sigmoid(margin) for margin in in_margins])) / 2

    scores = []
    for x in range(len(candidate)):
        ratio = sigmoid(candidate[x]) / at_large(out[:, x], None if known is None else known[:, x])
        beaten = 0
        for z in range(len(candidate_z)):
            in_margins = None if known_z is None else known_z[:, z]
            ratio_z = sigmoid(candidate_z[z]) / at_large(out_z[:, z], in_margins)
            beaten += ratio / ratio_z > gamma
        scores.append(beaten / len(candidate_z))
    return np.array(scores)


def arrays(seed=0, models=5, examples=40, population=60):
    rng = np.random.default_rng(seed)
    return {
        "candidate": rng.normal(1, 3, examples),
        "candidate_population": rng.normal(1, 3, population),
        "out_margins": rng.normal(1, 3, (models, examples)),
        "out_population": rng.normal(1, 3, (models, population)),
    }


def test_offline_by_hand():
    # p_candidate(x) = .8, p(x) = .65 * .2 + .35 = .48; p_candidate(z) = .5, p(z) = .65 * .5 + .35
    x, low, even = math.log(4), -math.log(4), 0.0
    ratio = (0.8 / 0.48) / (0.5 / 0.675)
    arguments = ([x], [even], [[low]], [[even]])
    assert rmia(*arguments, gamma=ratio - 1e-9).scores.tolist() == [1.0]
    assert rmia(*arguments, gamma=ratio + 1e-9).scores.tolist() == [0.0]
    # a = 1: p is the out models' own
    ratio = (0.8 / 0.2) / (0.5 / 0.5)
    assert rmia(*arguments, a=1.0, gamma=ratio - 1e-9).scores.tolist() == [1.0]
    assert rmia(*arguments, a=1.0, gamma=ratio + 1e-9).scores.tolist() == [0.0]
    # online: p(x) = (.2 + .8) / 2
    ratio = (0.8 / 0.5) / (0.5 / 0.5)
    both = (*arguments, [[x]], [[even]])
    assert rmia(*both, gamma=ratio - 1e-9).scores.tolist() == [1.0]
    assert rmia(*both, gamma=ratio + 1e-9).scores.tolist() == [0.0]


@pytest.mark.parametrize("gamma", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
def test_offline_against_loops(a, gamma):
    given = arrays()
    found = rmia(**given, a=a, gamma=gamma)
    expected = by_loops(*given.values(), None, None, a, gamma)
    assert 0.05 < expected.mean() < 0.95
    np.testing.assert_array_equal(found.scores, expected)
    assert (found.mode, found.a, found.gamma) == ("offline", a, gamma)
    assert (found.in_models, found.out_models) == (0, 5)
    assert (found.examples, found.population) == (40, 60)


def test_online_against_loops():
    given, more = arrays(), arrays(1, models=3)
    known, known_z = more["out_margins"] + 2, more["out_population"]
    found = rmia(**given, in_margins=known, in_population=known_z)
    expected = by_loops(*given.values(), known, known_z, None, 2.0)
    assert 0.05 < expected.mean() < 0.95
    np.testing.assert_array_equal(found.scores, expected)
    assert (found.mode, found.a, found.in_models, found.out_models) == ("online", None, 3, 5)


def test_an_equal_ratio_does_not_beat():
    found = rmia([1.0], [1.0], [[0.0]], [[0.0]], gamma=1.0)
    assert found.scores.tolist() == [0.0]


def test_margins_of_any_size_are_ranked():
    """Probabilities of 1e-300 and of 1 - 1e-300 would vanish or be one."""
    candidate = np.array([-800.0, -900.0, 900.0])
    found = rmia(candidate, [0.0], np.full((1, 3), -850.0), [[0.0]], a=1.0, gamma=1.0)
    assert found.scores.tolist() == [1.0, 0.0, 1.0]


def test_several_candidates_are_scored_as_each_alone():
    given = arrays()
    rows = {name: np.stack([given[name], given[name] + 1]) for name in list(given)[:2]}
    together = rmia(**{**given, **rows}).scores
    assert together.shape == (2, 40)
    for row in range(2):
        alone = rmia(**{**given, **{name: rows[name][row] for name in rows}}).scores
        np.testing.assert_array_equal(together[row], alone)


def test_the_order_of_models_and_of_the_population_does_not_matter():
    given = arrays()
    models, z = np.random.default_rng(2).permutation(5), np.random.default_rng(3).permutation(60)
    moved = rmia(
        given["candidate"],
        given["candidate_population"][z],
        given["out_margins"][models],
        given["out_population"][models][:, z],
    )
    np.testing.assert_array_equal(moved.scores, rmia(**given).scores)


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("models", [1, 16])
def test_known_answers(models, online):
    """Never known: AUC about one half. Still known: found, with one reference model as well."""
    rng = np.random.default_rng(0)
    size, center = 3000, rng.normal(0, 2, 3000)
    center_z = rng.normal(0, 2, 1000)
    banks = [
        rng.normal(0, 1, (2, 1000)) + center_z,
        center + rng.normal(0, 1, (models, size)),
        center_z + rng.normal(0, 1, (models, 1000)),
    ]
    if online:
        banks += [
            center + 3 + rng.normal(0, 1, (models, size)),
            center_z + rng.normal(0, 1, (models, 1000)),
        ]
    never, never_either, still = center + rng.normal([[0], [0], [3]], 1, (3, size))
    truth = np.repeat([1, 0], size)
    for first, low, high in [(never_either, 0.48, 0.52), (still, 0.75, 1.0)]:
        scores = rmia(np.stack([first, never]), *banks, gamma=1.0).scores
        assert low < roc_auc_score(truth, scores.ravel()) < high


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"a": 1.1}, r"a must be a slope. Expected a number in \[0, 1\]"),
        ({"a": math.nan}, "a must be a slope"),
        ({"gamma": 0.0}, "gamma must be a ratio"),
        ({"gamma": math.inf}, "gamma must be a ratio"),
        ({"out_margins": np.zeros((0, 40))}, "out_margins must hold enough models"),
        ({"out_population": np.zeros((4, 60))}, "out_population must come from.*5 rows.*4"),
        ({"candidate": np.zeros(39)}, r"candidate.*Received \(39,\)"),
        ({"candidate_population": np.zeros((2, 60))}, "candidate_population must come from"),
        ({"candidate": np.full(40, np.nan)}, "candidate must be finite"),
        ({"in_margins": np.zeros((2, 40))}, "Received in_margins alone"),
        ({"in_population": np.zeros((2, 60))}, "Received in_population alone"),
        (
            {"in_margins": np.zeros((2, 40)), "in_population": np.zeros((3, 60))},
            "in_population must come from the models of in_margins",
        ),
        (
            {"in_margins": np.zeros((2, 39)), "in_population": np.zeros((2, 60))},
            "in_margins must hold the examples of out_margins",
        ),
    ],
)
def test_bad_arguments_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        rmia(**{**arrays(), **changed})
