"""The test of many figures at once, against a loop, and its rate of false alarms."""

import numpy as np
import pytest

from tfunlearn.audit.spread import spread_test


def by_loop(candidate, references):
    """The p-value and the candidate's deviations, model by model."""
    names = list(candidate)
    models = [[references[n][i] for n in names] for i in range(len(references[names[0]]))]
    models.append([candidate[n] for n in names])
    largest, own = [], None
    for place, model in enumerate(models):
        others = np.array(models[:place] + models[place + 1 :])
        own = (np.array(model) - others.mean(0)) / others.std(0, ddof=1)
        largest.append(np.abs(own).max())
    return np.mean(np.array(largest) >= largest[-1]), dict(zip(names, own, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_loop_over_models(seed):
    numbers = np.random.default_rng(seed)
    names = ["a", "b", "c"]
    references = {name: list(numbers.normal(size=23)) for name in names}
    candidate = {name: float(numbers.normal() * 2) for name in names}
    found = spread_test(candidate, references)
    p_value, deviations = by_loop(candidate, references)
    assert found.p_value == pytest.approx(p_value)
    assert found.deviations == pytest.approx(deviations)
    assert found.furthest[0] == max(deviations, key=lambda name: abs(deviations[name]))
    assert found.references == 23


def test_false_alarms_stay_at_their_level_whatever_the_figures():
    """Heavy tails, skew, ties and figures that hang together: 5 % of 2,000, at most."""
    numbers = np.random.default_rng(0)
    alarms, repeats = 0, 2000
    for _ in range(repeats):
        base = numbers.standard_t(2, size=20)
        table = {
            "heavy": base,
            "same": base + 0.01 * numbers.normal(size=20),
            "skew": numbers.exponential(size=20) ** 2,
            "ties": numbers.integers(0, 3, size=20).astype(float),
        }
        references = {name: values[:-1] for name, values in table.items()}
        candidate = {name: float(values[-1]) for name, values in table.items()}
        alarms += spread_test(candidate, references).inside is False
    assert 0 < alarms / repeats <= 0.05 + 2 * (0.05 * 0.95 / repeats) ** 0.5


def test_a_model_far_out_in_one_figure_of_many_is_outside():
    numbers = np.random.default_rng(1)
    names = [f"figure {n}" for n in range(12)]
    references = {name: numbers.normal(size=31) for name in names}
    candidate = dict.fromkeys(names, 0.0) | {"figure 7": 9.0}
    found = spread_test(candidate, references)
    assert (found.inside, found.furthest[0]) == (False, "figure 7")
    assert found.p_value == pytest.approx(1 / 32)


def test_too_few_references_leave_it_open():
    references = {"a": np.linspace(0, 1, 18)}
    assert spread_test({"a": 100.0}, references).inside is None
    assert spread_test({"a": 100.0}, {"a": np.linspace(0, 1, 19)}).inside is False
    assert spread_test({"a": 100.0}, references, level=0.9).inside is False


def test_equal_references():
    references = {"a": [0.7] * 19, "b": np.linspace(0, 1, 19)}
    same = spread_test({"a": 0.7, "b": 0.5}, references)
    assert same.inside is True
    assert same.deviations["a"] == 0.0
    other = spread_test({"a": 0.71, "b": 0.5}, references)
    assert other.inside is False
    assert other.deviations["a"] == np.inf


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_neither_scale_nor_place_of_a_figure_counts(shift):
    numbers = np.random.default_rng(2)
    references = {name: numbers.normal(size=25) for name in "ab"}
    found = spread_test({"a": 1.5, "b": -2.0}, references)
    moved = {"a": 1000 * references["a"] + shift, "b": references["b"]}
    again = spread_test({"a": 1500.0 + shift, "b": -2.0}, moved)
    assert again.p_value == found.p_value
    assert again.deviations == pytest.approx(found.deviations, rel=1e-4)


@pytest.mark.parametrize(
    ("candidate", "references", "options", "message"),
    [
        ({"a": 1.0}, {"b": [1.0, 2.0]}, {}, "references must hold the candidate's figures"),
        ({}, {}, {}, "Expected at least one"),
        ({"a": 1.0}, {"a": [1.0]}, {}, "equal numbers of at least 2"),
        ({"a": 1.0, "b": 1.0}, {"a": [1.0, 2.0], "b": [1.0] * 3}, {}, "equal numbers"),
        ({"a": np.nan}, {"a": [1.0, 2.0]}, {}, r"figures must be finite. Received others in \['a'"),
        ({"a": 1.0}, {"a": [1.0, 2.0]}, {"level": 1.0}, "level must be a share"),
    ],
)
def test_bad_input(candidate, references, options, message):
    with pytest.raises(ValueError, match=message):
        spread_test(candidate, references, **options)


def test_one_example_more_in_a_single_reference_hides_no_candidate():
    """31 references forget everything and one gets a single example right: that is not far out."""
    references = {
        "forget_accuracy": [0.0] * 31 + [0.002],
        "lira_auc": list(0.5 + 0.03 * np.random.default_rng(0).normal(size=32)),
    }
    candidate = {"forget_accuracy": 0.0, "lira_auc": 0.99}
    assert spread_test(candidate, references).p_value == 2 / 33
    found = spread_test(candidate, references, resolution={"forget_accuracy": 0.002})
    assert found.p_value == 1 / 33
    assert found.inside is False
    assert found.furthest[0] == "lira_auc"


@pytest.mark.parametrize("seed", range(3))
def test_a_resolution_is_a_part_of_the_spread(seed):
    numbers = np.random.default_rng(seed)
    references = {name: list(numbers.integers(0, 3, 25) / 100) for name in "ab"}
    candidate = {"a": 0.05, "b": 0.01}
    step = 0.01
    found = spread_test(candidate, references, resolution={"a": step, "b": step})
    for name in "ab":
        others = np.array(references[name])
        spread = np.sqrt(others.var(ddof=1) + step**2)
        expected = (candidate[name] - others.mean()) / spread
        assert found.deviations[name] == pytest.approx(expected)


@pytest.mark.parametrize("resolution", [{"a": -1.0}, {"a": np.nan}, {"a": np.inf}, {"b": 0.1}])
def test_a_resolution_out_of_its_range(resolution):
    with pytest.raises(ValueError, match="resolution must hold a step for figures"):
        spread_test({"a": 1.0}, {"a": [1.0, 2.0]}, resolution=resolution)
