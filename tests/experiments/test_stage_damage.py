"""Every stage file that is read back, harmed in every way: said, made again, nobody blamed."""

import json
import shutil

import keras
import numpy as np
import pytest
from stage_harms import cut, folder, harms_of, nan, swapped

from tfunlearn import models
from tfunlearn.data import scenarios
from tfunlearn.experiments import compare_page, compare_run
from tfunlearn.experiments.compare import compare
from tfunlearn.experiments.compare_run import ORIGINAL, Attempt, Run
from tfunlearn.experiments.stages import Stages
from tfunlearn.training import Diverged

SETTINGS = {"experiment": "test", "seed": 0}


def tiny(value):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    model.set_weights([np.full((2, 1), value, "float32")])
    model.optimizer.build(model.trainable_variables)
    return model


def cases(*names):
    """Returns pairs of a file's name and what is done to it."""
    pairs = [(name, harm) for name in names for harm in harms_of(name)]
    return pytest.mark.parametrize(
        ("name", "harm"), pairs, ids=[f"{name}-{harm.__name__}" for name, harm in pairs]
    )


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """A folder with two stages that have models, and two that are text alone."""
    made = Stages(tmp_path_factory.mktemp("stages"), SETTINGS)
    for number, name in enumerate(("one", "two")):
        figures = {"average_loss": 0.25 + number}
        made.measured(name, lambda n=number, f=figures: (tiny(3.0 + n), f), {"number": number})
        made.noted(f"row-{name}", lambda n=number: {"value": 0.5 + n}, {"number": number})
    return made.folder


@cases("one.keras", "one.json", "row-one.json")
def test_a_stage_that_is_harmed_is_made_again_with_one_line(stages, tmp_path, name, harm):
    copy = tmp_path / "stages"
    shutil.copytree(stages, copy)
    harm(copy / name)
    said = []
    again = Stages(copy, SETTINGS, said.append)
    if name.startswith("row"):

        def check(content):
            if not isinstance(content.get("value"), float):
                raise ValueError("no value")

        found = again.noted("row-one", lambda: {"value": 0.5}, {"number": 0}, check)
        assert found == {"value": 0.5}
    else:
        for _ in range(2):
            again.has_model("one", {"number": 0})
            vouched = harm is nan and name.endswith(".keras")  # anew: seen when it is loaded
            assert again.spoiled("one", {"number": 0}) is not vouched
        made = again.measured(
            "one", lambda: (tiny(3.0), {"average_loss": 0.25}), {"number": 0}, ("average_loss",)
        )
        assert float(made[0].get_weights()[0][0, 0]) == 3.0
        assert made[1] == {"average_loss": 0.25}
        assert again.has_model("one", {"number": 0})
    told = [line for line in said if "damaged" in line]
    stage = name.partition(".")[0]
    if told or harm is not swapped or name.endswith(".keras"):  # a whole note may be of another
        [line] = told
        assert line.startswith(f"{stage}: damaged (")
        assert line.endswith("); made again")
    left = sorted(path.name for path in copy.iterdir() if ".aside-" not in path.name)
    assert left == sorted(path.name for path in stages.iterdir())
    if harm is folder:  # somebody's folder is moved, not removed
        [moved] = copy.glob("*.aside-*")
        assert (moved / "own.txt").read_text() == "somebody's"
    said.clear()
    last = Stages(copy, SETTINGS, said.append)
    if name.startswith("row"):
        assert last.content("row-one", {"number": 0}) == {"value": 0.5}
    else:
        last.measured("one", lambda: None, {"number": 0})
        assert said == ["one: finished before, loaded"]


def test_a_model_that_is_not_finite_is_an_error_and_not_kept(tmp_path):
    stages = Stages(tmp_path, SETTINGS)
    with pytest.raises(RuntimeError, match=r"^one: training diverged, .* lower the learning rate"):
        stages.model("one", lambda: tiny(np.inf), {})
    assert list(tmp_path.iterdir()) == []


ROWS = [Attempt("shrunk", "finetune")]
OF_COMPARE = {
    "original.keras": [ORIGINAL],
    "original.json": [ORIGINAL],
    "row-original.json": [ORIGINAL],
    "retrained-1.keras": ["retrained-1"],
    "retrained-1.json": ["retrained-1"],
    "row-retrained-1.json": ["retrained-1"],
    "row-shrunk.json": ["shrunk"],
}


@pytest.fixture
def quick(monkeypatch):
    """Puts networks as they are drawn in the place of trainings."""
    patch_trainings(monkeypatch)


def patch_trainings(monkeypatch):
    def train(self, *, verbose):
        model = self.untrained()
        model.optimizer.build(model.trainable_variables)
        return model

    def retrained(model, split, seed, **_):
        return models.reinitialized(model, seed=seed)

    def shrunk(model, split, method, **_):
        twin = models.copy(model)
        twin.set_weights([0.5 * weight for weight in twin.get_weights()])
        return twin

    monkeypatch.setattr(scenarios.Scenario, "train", train)
    monkeypatch.setattr(compare_run, "retrain", retrained)
    monkeypatch.setattr(compare_run.methods, "unlearn", shrunk)
    monkeypatch.setattr(Run, "_warm_up", lambda self: None)


@pytest.fixture(scope="module")
def scenario():
    return scenarios.random(seed=0, limit=100, epochs=1)


@pytest.fixture(scope="module")
def compared(tmp_path_factory, scenario):
    """The folder of a comparison's stages, and its report."""
    place = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch_trainings(patch)
        report, failed = Run(scenario, place, 0, lambda line: None, ROWS).report(ROWS, 1)
    assert failed == {}
    return place, report


def copied(place, tmp_path, scenario, said):
    shutil.copytree(place, tmp_path / "stages")
    run = Run(scenario, tmp_path / "stages", 0, said.append, ROWS)
    return run, run._stages.folder


@cases(*OF_COMPARE)
def test_what_is_harmed_in_a_comparison_is_what_is_made_again(
    compared, scenario, tmp_path, name, harm
):
    said = []
    run, place = copied(compared[0], tmp_path, scenario, said)
    harm(place / name)
    if harm is nan and name.endswith(".keras"):
        assert run.missing(1) == []  # vouched for anew: seen where it is loaded, below
        return
    wanted = OF_COMPARE[name]
    assert run.missing(1) == ([ORIGINAL] if wanted == [ORIGINAL] else wanted)
    assert not run.has(wanted[0])
    told = sum("damaged" in line for line in said)
    assert told == 1 or (told == 0 and harm is swapped and name.endswith(".json"))


@pytest.mark.parametrize("harm", [cut, nan, folder, swapped], ids=lambda harm: harm.__name__)
def test_a_comparison_goes_on_from_damage_and_blames_no_method(
    compared, scenario, tmp_path, quick, harm
):
    place, before = compared
    run, folder_of_all = copied(place, tmp_path, scenario, [])
    for name in OF_COMPARE:
        if harm is not nan or name in ("original.keras", "row-shrunk.json"):
            harm(folder_of_all / name)
    report, failed = run.report(ROWS, 1)
    assert failed == {}
    assert [row.name for row in report.rows] == [row.name for row in before.rows]
    for old, new in zip(before.rows, report.rows, strict=True):
        assert old.histograms == new.histograms
        assert {**old.values, "seconds": 0} == {**new.values, "seconds": 0}
    assert Run(scenario, run.folder, 0, lambda line: None, ROWS).missing(1) == []


def test_a_torn_original_that_cannot_be_made_again_is_no_methods_failure(
    compared, scenario, tmp_path, monkeypatch
):
    run, place = copied(compared[0], tmp_path, scenario, [])
    for name in ("original.keras", "row-shrunk.json"):
        cut(place / name)

    def broken(self, *, verbose):
        raise ValueError("no memory for this")

    monkeypatch.setattr(scenarios.Scenario, "train", broken)
    with pytest.raises(ValueError, match="no memory for this"):
        run.make("shrunk")
    with pytest.raises(ValueError, match="no memory for this"):
        run.report(ROWS, 1)


@pytest.mark.parametrize("kind", ["weights", "outputs"])
def test_a_reference_that_diverges_is_kept_as_a_fact_and_blames_no_method(
    scenario, tmp_path, quick, monkeypatch, kind
):
    said, asked, retrain = [], [], compare_run.retrain

    def some_diverge(model, split, seed, **options):
        asked.append(seed)
        twin = retrain(model, split, seed)
        if seed == 2_000_000:
            value = np.nan if kind == "weights" else 3e38
            twin.set_weights([np.full_like(weight, value) for weight in twin.get_weights()])
        return twin

    monkeypatch.setattr(compare_run, "retrain", some_diverge)
    for _ in (1, 2):
        run = Run(scenario, tmp_path, 0, said.append, ROWS)
        report, failed = run.report(ROWS, 3)
        assert failed == {}
        assert report.references == ("retrained-1", "retrained-3")
        assert [row.name for row in report.rows][-1] == "shrunk"
        assert len(asked) == 3  # and not tried again
        words = "1 of 3 retrained models diverged and are not among the references: retrained-2."
        assert words in report.notes
    assert sum("retrained-2: diverged: " in line for line in said) == 1
    note = json.loads((run._stages.folder / "row-retrained-2.json").read_text())
    assert note["content"]["seed"] == 2_000_000
    assert "diverged" in note["content"]["diverged"]


def test_a_comparison_says_which_references_diverged(tmp_path, quick, monkeypatch):
    retrain = compare_run.retrain

    def one_diverges(model, split, seed, **options):
        if seed == 1_000_000:
            raise Diverged("training diverged")
        return retrain(model, split, seed)

    monkeypatch.setattr(compare_run, "retrain", one_diverges)
    own = {"limit": 100, "epochs": 1, "names": ["finetune"], "say": None}
    result = compare("random", out=tmp_path, seeds=1, references=2, **own)
    assert result["diverged"] == {"0": {"retrained-1": "training diverged"}}
    words = "Seed 0: 1 of 2 retrained models diverged and are not among the references: "
    assert f"{words}retrained-1." in compare_page.notes(result)
    assert all(not row["failed"] for row in result["rows"])


def test_references_that_all_diverge_are_an_error(scenario, tmp_path, quick, monkeypatch):
    def diverged(model, split, seed, **options):
        twin = models.copy(model)
        twin.set_weights([np.full_like(weight, np.nan) for weight in twin.get_weights()])
        return twin

    monkeypatch.setattr(compare_run, "retrain", diverged)
    run = Run(scenario, tmp_path, 0, lambda line: None, ROWS)
    with pytest.raises(RuntimeError, match="seed 0: all 2 references diverged"):
        run.report(ROWS, 2)
