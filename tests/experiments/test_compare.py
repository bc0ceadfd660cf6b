import json
import re
import statistics

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.data import scenarios
from tfunlearn.experiments import (
    compare_bench,
    compare_figures,
    compare_key,
    compare_page,
    compare_run,
)
from tfunlearn.experiments.compare import SEARCHED, compare, plan
from tfunlearn.experiments.compare_plot import tradeoff
from tfunlearn.report import AuditReport, Column, Row

ACCURACIES = ("forget_accuracy", "retain_accuracy", "test_accuracy")
SETTINGS = {"limit": 100, "epochs": 4, "seeds": 2, "references": 2, "say": None}


def broken(model, split, *, seed=0):
    """Fails."""
    raise RuntimeError("the reason\nin two lines")


def smash(model, split, *, seed=0):
    """Gives every class the same score."""
    twin = models.copy(model, seed=seed)
    twin.set_weights([np.zeros_like(weight) for weight in twin.get_weights()])
    return twin


def shrink(model, split, *, seed=0, factor=0.9):
    """Makes weights smaller."""
    twin = models.copy(model, seed=seed)
    twin.set_weights([factor * weight for weight in twin.get_weights()])
    return twin


def classes_only(model, split, *, seed=0):
    """Is for whole classes."""
    raise AssertionError("not to be called")


def untrained(scenario, *, verbose=0):
    """Takes the place of an original's training."""
    model = scenarios._network("dense", scenario.split.input_shape, scenario.seed)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def drawn_again(model, split, *, seed, **options):
    """Takes the place of retraining."""
    return models.reinitialized(model, seed=seed)


class Patched:
    """The table of methods with a few of the tests' own, and a count of the calls."""

    def __init__(self, patch, extra=(), *, train=True):
        self.calls = []
        kept = {name: methods.describe(name) for name in ("retrain", "finetune")}
        patch.setattr(methods, "_TABLE", kept)
        for function in (broken, smash, shrink, classes_only, *extra):
            scope = "class" if function is classes_only else "both"
            methods.register(methods.Method(function, frozenset(), scope, "nothing"))
        places = {
            "unlearn": (methods, methods.unlearn),
            "train": (scenarios.Scenario, scenarios.Scenario.train if train else untrained),
            "retrain": (compare_run, methods.retrain if train else drawn_again),
        }

        def counted(name, function):
            def call(*args, **options):
                self.calls.append(name if name != "unlearn" else args[2])
                return function(*args, **options)

            return call

        for name, (place, function) in places.items():
            patch.setattr(place, name, counted(name, function))


@pytest.fixture
def table(monkeypatch):
    return Patched(monkeypatch, train=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A comparison on a few digits: (folder, result, lines)."""
    out, lines = tmp_path_factory.mktemp("compare") / "out", []
    with pytest.MonkeyPatch.context() as patch:
        Patched(patch)
        result = compare(
            "mislabelled",
            out=out,
            options={"finetune": {"epochs": 2}},
            searched={"shrink": {"factor": 0.5}},
            command="a command",
            **{**SETTINGS, "say": lines.append},
        )
    return out, result, lines


def row_of(result, name):
    (row,) = [row for row in result["rows"] if row["name"] == name]
    return row


def accuracy(model, x, y):
    return float((model.predict(x, verbose=0).argmax(1) == y).mean())


def test_every_method_is_a_row_and_so_is_doing_nothing(run):
    _, result, _ = run
    names = {row["name"] for row in result["rows"]}
    both = {"do_nothing", "retrain"}
    assert names == both | {"finetune", "broken", "smash", "shrink", "shrink" + SEARCHED}
    assert result["unfit"] == ["classes_only"]
    assert row_of(result, "finetune")["options"] == {"epochs": 2}
    assert row_of(result, "shrink" + SEARCHED)["options"] == {"factor": 0.5}
    assert row_of(result, "retrain")["method"] is row_of(result, "do_nothing")["method"] is None


def test_rows_are_sorted_by_gap_and_failures_stand_at_the_end(run):
    rows = run[1]["rows"]
    gaps = [row["gap"]["mean"] for row in rows[:-1]]
    assert gaps == sorted(gaps)
    assert rows[-1]["name"] == "broken"
    assert rows[-1]["gap"] is rows[-1]["gap_closed"] is None
    assert rows[-1]["failed"] == dict.fromkeys("01", "the reason in two lines")


def test_gap_is_that_of_the_models_on_disk(run):
    out, result, _ = run
    gaps = []
    for seed in (0, 1):
        split = scenarios.mislabelled(limit=100, seed=seed).split
        load = keras.models.load_model
        folder = out / "stages" / f"digits-mislabelled-seed-{seed}"
        original = load(folder / "original.keras")
        references = [load(folder / f"retrained-{number}.keras") for number in (1, 2)]
        assert models.weight_distance(*references) > 0
        apart = []
        for role in ("forget", "retain", "test"):
            x, y = getattr(split, role)
            target = np.mean([accuracy(reference, x, y) for reference in references])
            apart.append(abs(accuracy(original, x, y) - target))
        gaps.append(np.mean(apart))
    found = row_of(result, "do_nothing")["gap"]
    assert (found["mean"], found["count"]) == (pytest.approx(np.mean(gaps)), 2)
    assert found["std"] == pytest.approx(np.std(gaps, ddof=1))


def test_figures_follow_from_those_of_the_seeds(run):
    _, result, _ = run
    for name in ("finetune", "smash", "shrink"):
        row, gaps, nothing, shares, inside = row_of(result, name), [], [], [], 0
        for seed in "01":
            found = result["runs"][seed]
            gap = found[name]["gap"]
            target = {key: found["retrain"][key] for key in (*ACCURACIES, "seconds")}
            apart = [abs(found[name][key] - target[key]) for key in ACCURACIES]
            assert gap == pytest.approx(statistics.fmean(apart))
            gaps.append(gap)
            nothing.append(found["do_nothing"]["gap"])
            shares.append(found[name]["seconds"] / target["seconds"])
            inside += gap <= found["retrain"]["gap"]  # two references are as far from each other
        assert row["gap_closed"] == pytest.approx(1 - sum(gaps) / sum(nothing))
        assert row["share_of_retraining"]["mean"] == pytest.approx(statistics.fmean(shares))
        assert row["in_range"] == inside
    assert row_of(result, "do_nothing")["gap_closed"] == 0.0
    assert row_of(result, "do_nothing")["seconds"]["mean"] == 0.0
    assert row_of(result, "retrain")["share_of_retraining"]["mean"] == 1.0


def test_true_labels_are_a_metric_of_this_task(run):
    out, result, _ = run
    scenario = scenarios.mislabelled(limit=100, seed=1)
    folder = out / "stages" / "digits-mislabelled-seed-1"
    original = keras.models.load_model(folder / "original.keras")
    expected = accuracy(original, scenario.split.forget[0], scenario.true_labels)
    found = result["runs"]["1"]["do_nothing"]
    assert found["true_label_accuracy"] == pytest.approx(expected)
    assert "backdoor_success" not in found


def test_a_collapse_is_named(run):
    _, result, lines = run
    row = row_of(result, "smash")
    assert row["collapsed"] == [0, 1]
    assert row_of(result, "finetune")["collapsed"] == []
    assert "- smash collapsed under seeds 0, 1: its retain accuracy" in "\n".join(lines)


def test_table_holds_the_numbers(run):
    _, result, lines = run
    start = next(place for place, line in enumerate(lines) if set(line) == {"-"}) + 1
    shown = {line.split("  ")[0]: line for line in lines[start : start + len(result["rows"])]}
    assert list(shown) == [row["name"] for row in result["rows"]]
    numbers = [float(text) for text in re.findall(r"-?\d+\.\d+", shown["finetune"])]
    row = row_of(result, "finetune")
    metrics = (*ACCURACIES, "membership_accuracy", "true_label_accuracy")
    expected = [row[name]["mean"] if row[name] else None for name in metrics]
    expected = [value for value in expected if value is not None]
    expected += [row["gap"]["mean"], row["gap"]["std"], row["gap_closed"]]
    expected += [row["seconds"]["mean"], row["share_of_retraining"]["mean"]]
    assert numbers == pytest.approx(expected, abs=0.051)
    assert shown["broken"].endswith("failed: the reason in two lines")
    assert "- Not made for this task: classes_only." in lines
    assert max(map(len, lines)) <= 140


def test_report_says_what_it_was_made_with(run):
    out, result, _ = run
    assert json.loads((out / "report.json").read_text()) == result
    assert result["schema"] == "tfunlearn.compare"
    assert result["seeds"] == [0, 1]
    assert result["command"] == "a command"
    assert result["training"]["epochs"] == 4
    assert result["environment"]["keras"] == keras.__version__
    assert {"processor", "cpu_count", "platform"} <= set(result["environment"])


def test_page_needs_no_network_and_has_the_plot(run):
    out, result, _ = run
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    for row in result["rows"]:
        assert row["name"] in page
    links = set(re.findall(r'(?:src|href)="([^"]*)"', page))
    assert links == {"seed-0.html", "seed-1.html"}
    for link in links:
        assert (out / link).is_file()
    audit = AuditReport.load(out / "seed-1.json")
    assert "broken: failed: the reason in two lines" in audit.notes
    assert audit.value("original", "true_label_accuracy") is not None


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    alive = []

    def fragile(model, split, *, seed=0):
        """Is killed under seed 1 at first."""
        if seed == 1 and not alive:
            raise KeyboardInterrupt
        return shrink(model, split)

    table = Patched(monkeypatch, [fragile], train=False)
    names = ["shrink", "fragile", "broken"]
    with pytest.raises(KeyboardInterrupt):
        compare("random", out=tmp_path, names=names, **SETTINGS)
    first = ["train", "retrain", "retrain", "shrink", "fragile"]
    assert table.calls == [*first, "broken", *first]
    assert not (tmp_path / "report.json").exists()
    assert not list(tmp_path.rglob("*.part*"))
    alive.append(True)
    table.calls.clear()
    result = compare("random", out=tmp_path, names=names, **SETTINGS)
    assert table.calls == ["broken", "fragile", "broken"]  # a failure is tried again
    table.calls.clear()
    again = compare("random", out=tmp_path, names=names, **SETTINGS)
    assert table.calls == ["broken"] * 2
    assert again["rows"] == result["rows"]
    assert again["runs"] == result["runs"]


def test_a_row_is_made_again_if_its_options_or_its_method_change(tmp_path, table, monkeypatch):
    own = {**SETTINGS, "seeds": [3], "references": 1, "epochs": 1}
    result = compare("random", out=tmp_path, names=["smash", "shrink"], **own)
    assert result["seeds"] == [3]
    assert row_of(result, "shrink")["in_range"] is None
    assert row_of(result, "retrain")["gap"] is None
    table.calls.clear()
    options = {"shrink": {"factor": 0.8}}
    compare("random", out=tmp_path, names=["smash", "shrink"], options=options, **own)
    assert table.calls == ["shrink"]
    with monkeypatch.context() as patch:
        patch.setattr(compare_key, "source", lambda function: "another text")
        table.calls.clear()
        compare("random", out=tmp_path, names=["smash"], **own)
    assert table.calls == ["smash"]
    table.calls.clear()
    compare("random", out=tmp_path, names=["smash"], **own)
    assert table.calls == ["smash"]
    everything = ["train", "retrain", "smash"]
    table.calls.clear()
    compare("random", out=tmp_path, names=["smash"], **{**own, "epochs": 2})
    assert table.calls == everything
    for part in ("inputs", "code"):
        table.calls.clear()
        monkeypatch.setattr(compare_key, part, lambda *args, part=part: f"other {part}")
        compare("random", out=tmp_path, names=["smash"], **{**own, "epochs": 2})
        assert table.calls == everything


def test_two_tasks_in_one_folder_keep_their_stages(tmp_path, table):
    own = {**SETTINGS, "out": tmp_path, "seeds": 1, "references": 1, "epochs": 1}
    for task in ("random", "mislabelled"):
        compare(task, names=["smash"], **own)
    table.calls.clear()
    compare("random", names=["smash"], **own)
    assert table.calls == []


def test_the_first_method_is_warmed_up_also_after_a_resume(tmp_path, table, monkeypatch):
    steps = []
    monkeypatch.setattr(compare_run, "finetune", lambda *args, **options: steps.append(args[1]))
    own = {**SETTINGS, "out": tmp_path, "seeds": 1, "references": 1, "epochs": 1}
    compare("random", names=["smash"], **own)
    assert [split.size("retain") for split in steps] == [16]
    compare("random", names=["smash", "shrink"], **own)
    assert len(steps) == 2
    compare("random", names=["smash", "shrink"], **own)
    assert len(steps) == 2  # nothing to time


def test_inputs_are_told_apart():
    scenario = scenarios.backdoor(limit=100, epochs=1)
    marks = {compare_key.inputs(scenario)}
    assert marks == {compare_key.inputs(scenarios.backdoor(limit=100, epochs=2))}
    scenario.split.source("test").x[0, 0] += 1
    marks.add(compare_key.inputs(scenario))
    scenario.triggered[0][0, 0] += 1
    marks.add(compare_key.inputs(scenario))
    assert len(marks) == 3


def test_options_are_told_apart():
    def plain(value):
        return json.dumps(compare_key.plain("name", value))

    losses, sgd = keras.losses, keras.optimizers.SGD
    values = [sgd(0.01), sgd(0.001), sgd(0.01, momentum=0.9), keras.layers.Dense, re.compile("a")]
    values += [losses.MeanSquaredError(), losses.mean_squared_error, losses.mean_absolute_error]
    values += [
        np.float32(0.5),
        np.arange(3),
        {1: np.int64(2)},
        True,
        "a",
        (keras.layers.ReLU,),
    ]
    assert len({plain(value) for value in values}) == len(values)
    assert plain(sgd(0.01)) == plain(sgd(0.01))
    assert plain(np.float64(0.1)) == plain(0.1)
    with pytest.raises(TypeError, match="name: a row is kept under its options"):
        compare_key.plain("name", [lambda seed: None])


def test_an_option_that_no_row_can_be_kept_under_is_no_failed_row(tmp_path, table):
    options = {"shrink": {"factor": print}}
    with pytest.raises(TypeError, match=r"shrink\.factor: a row is kept"):
        compare("random", out=tmp_path, names=["shrink"], options=options, **SETTINGS)
    assert table.calls == []


def test_backdoor_success_is_measured_on_triggered_test_images():
    scenario = scenarios.backdoor(limit=100, epochs=2)
    shown = (Column("backdoor_success", "b", "fraction", "", "attack"),)
    bench = compare_bench.Bench(scenario, scenario.model, shown)
    x, y = scenario.triggered
    for label, model in (("original", scenario.model), ("other", shrink(scenario.model, None))):
        row = bench.row(label, model, 1.0)
        assert row.values["backdoor_success"] == pytest.approx(accuracy(model, x, y))


def test_a_folder_that_cannot_be_written_to_is_no_methods_failure(tmp_path, table, monkeypatch):
    def full(*args):
        raise OSError("no space left")

    own = {**SETTINGS, "seeds": 1, "references": 1, "epochs": 1, "names": ["shrink"]}
    compare("random", out=tmp_path, **own)
    monkeypatch.setattr("tfunlearn.experiments.stage_files.write_json", full)
    with pytest.raises(OSError, match="no space left"):
        compare("random", out=tmp_path, options={"shrink": {"factor": 0.7}}, **own)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "magic"}, "task: expected one of random"),
        ({"dataset": "magic"}, "dataset: expected one of digits"),
        ({"names": ["magic"]}, "method: expected one of retrain"),
        ({"names": ["finetune", "finetune"]}, "methods: expected each one once"),
        ({"options": {"finetune": {"magic": 1}}}, "finetune.magic: finetune does not take it"),
        ({"names": ["shrink"], "options": {"smash": {}}}, "smash: options for a method that is"),
        ({"seeds": 0}, "seeds: expected a number of at least 1"),
        ({"seeds": [1, 1]}, "seeds: expected a number of at least 1, or different"),
        ({"references": 0}, "references: expected a whole number of at least 1"),
    ],
    ids=str,
)
def test_bad_arguments_are_errors_before_anything_is_trained(options, words, tmp_path, table):
    with pytest.raises(ValueError, match=words):
        compare(**{"task": "random", "out": tmp_path / "run", **SETTINGS, **options})
    assert table.calls == []


def test_scope_decides_what_is_run(table):
    names = [attempt.label for attempt in plan("whole_class", None, {}, {})[0]]
    assert names == ["finetune", "broken", "smash", "shrink", "classes_only"]
    assert plan("backdoor", ["classes_only", "retrain"], {}, {}) == ([], ["classes_only"])


# figures, from audits made by hand


def make_report(references, **others):
    """Returns an audit; each row is forget, retain, test accuracy, attack and seconds."""
    names = [*ACCURACIES, "membership_accuracy", "seconds"]
    rows = {"original": (1.0, 1.0, 0.8, 0.6, 40.0), **others}
    rows |= {f"retrained-{n}": values for n, values in enumerate(references, start=1)}
    return AuditReport(
        title="T",
        created="2026-01-01",
        environment={},
        split={
            "sizes": {"forget": 10, "retain": 90, "test": 50},
            "class_counts": {"forget": [10], "retain": [90], "test": [50]},
            "fractions": {"forget": 0.1, "retain": 0.9},
        },
        original="original",
        references=tuple(f"retrained-{n}" for n in range(1, len(references) + 1)),
        columns=tuple(Column(name, name, "fraction", "", "") for name in names),
        rows=tuple(Row(k, dict(zip(names, v, strict=True))) for k, v in rows.items()),
    )


def figures(reports, failed=None):
    labels = [row.name for row in reports[0].rows if row.name[:3] not in ("ori", "ret")]
    attempts = [compare_run.Attempt(label, label) for label in labels]
    return compare_figures.figures(reports, attempts, failed or {})


TWO = [(0.7, 1.0, 0.8, 0.5, 10.0), (0.9, 1.0, 0.8, 0.5, 10.0)]


def test_gap_and_gap_closed_by_hand():
    # references .8 / 1 / .8 on average; doing nothing is .2 / 0 / 0 away, that is .2 / 3
    report = make_report(TWO, near=(0.82, 0.99, 0.8, 0.55, 0.5), far=(0.0, 0.85, 0.5, 0.5, 9.0))
    found = figures({0: report})
    assert [row["name"] for row in found["rows"]] == ["near", "do_nothing", "retrain", "far"]
    near, nothing, retrain, far = found["rows"]
    assert nothing["gap"]["mean"] == pytest.approx(0.2 / 3)
    assert near["gap"]["mean"] == pytest.approx(0.03 / 3)
    assert near["gap_closed"] == pytest.approx(1 - 0.03 / 0.2)
    assert near["membership_gap"]["mean"] == pytest.approx(0.05)
    assert near["share_of_retraining"]["mean"] == pytest.approx(0.05)
    assert retrain["gap"]["mean"] == pytest.approx(0.2 / 3)  # each .2 from the other, in forget
    assert retrain["membership_gap"]["mean"] == pytest.approx(0.0)
    assert (near["in_range"], far["in_range"]) == (1, 0)
    assert (near["collapsed"], far["collapsed"]) == ([], [0])
    assert far["gap_closed"] < 0
    assert found["closest"] == "near"


def test_closest_is_within_the_budget_and_has_not_collapsed():
    slow = make_report(TWO, near=(0.8, 1.0, 0.8, 0.5, 1.1), far=(0.8, 0.8, 0.8, 0.5, 0.5))
    assert figures({0: slow})["closest"] is None
    assert compare_figures.closest(figures({0: slow})["rows"], budget=0.2) == "near"


def test_a_method_that_failed_once_is_measured_on_the_other_seed():
    reports = {0: make_report(TWO, one=(0.8, 1.0, 0.8, 0.5, 0.5)), 7: make_report(TWO)}
    row = next(r for r in figures(reports, {7: {"one": "no"}})["rows"] if r["name"] == "one")
    assert row["gap"]["count"] == 1
    assert row["gap_closed"] == pytest.approx(1.0)
    assert row["failed"] == {"7": "no"}
    assert figures(reports, {7: {"one": "no"}})["closest"] is None


def test_a_model_that_is_not_finite_has_no_gap():
    row = figures({0: make_report(TWO, lost=(None, None, None, None, 1.0))})["rows"][-1]
    assert (row["name"], row["gap"], row["collapsed"]) == ("lost", None, [])


def test_plot_is_logarithmic_and_keeps_names_apart():
    points = [("a", 0.01, 0.01), ("b", 0.1, 0.01), ("c", 1.0, 0.1), ("<d>", 0.01, 0.01)]
    svg = tradeoff(points, 0.2, 0.02, 0.1)
    found = re.findall(r'circle cx="(.*?)" cy="(.*?)" .*?<title>(.*?)</title>', svg)
    dots = {name: (float(x), float(y)) for x, y, name in found}
    (ax, ay), (bx, by), (cx, cy) = (dots[name] for name in "abc")
    assert dots["&lt;d&gt;"] == (ax, ay)
    assert bx - ax == pytest.approx(cx - bx, abs=0.11)
    assert ay == by > cy
    texts = re.findall(r'<text x="[^"]*" y="([^"]*)">([^<]*)</text>', svg)
    places = {name: float(y) for y, name in texts}
    heights = sorted(places[name] for name in ("a", "b", "c", "&lt;d&gt;"))
    assert min(np.diff(heights)) >= 12
    assert "doing nothing" in svg
    many = tradeoff([(str(n), 0.1, 0.01) for n in range(60)], 0.2, 0.02, 0.1)
    height = float(re.search(r'viewBox="0 0 760 (\d+)"', many)[1])
    levels = [float(y) for y in re.findall(r'<text x="604" y="([^"]*)"', many)]
    assert len(levels) == 60
    assert 0 < min(levels) < max(levels) < height
    assert tradeoff([], 0.2, 0.02, 0.1) == ""
    assert "nan" not in tradeoff([("zero", 0.0, 0.0)], 0.2, None, 0.1)


def test_notes_where_doing_nothing_has_no_gap():
    one = [(1.0, 1.0, 0.8, 0.6, 10.0)] * 2
    result = figures({0: make_report(one, near=(0.9, 1.0, 0.8, 0.5, 0.5))})
    assert {row["gap_closed"] for row in result["rows"]} == {None}
    notes = compare_page.notes({**result, "references": 2, "unfit": []})
    assert notes == [
        "Doing nothing has no gap, so there is none to close.",
        "Closest at no more than 10% of the time of retraining: near, gap 0.0333.",
    ]


def test_notes_name_what_does_not_help():
    result = {**figures({0: make_report(TWO, far=(0.1, 0.95, 0.5, 0.5, 9.0))}), "references": 2}
    notes = compare_page.notes({**result, "unfit": []})
    assert notes == [
        "No closer to the references than doing nothing: far.",
        "None closes 90% of the gap of doing nothing in 10% of the time of retraining. None does "
        "at any cost; the closest: far, -425.0% at 90% of the time.",
    ]


def test_notes_name_the_first_that_comes_close_where_none_is_quick():
    near, nearer = (0.81, 1.0, 0.8, 0.5, 4.0), (0.8, 1.0, 0.8, 0.5, 9.0)
    rows = figures({0: make_report(TWO, near=near, nearer=nearer)})
    notes = compare_page.notes({**rows, "references": 2, "unfit": []})
    assert notes == [
        "None closes 90% of the gap of doing nothing in 10% of the time of retraining. The first "
        "that does: near, 95.0% at 40% of the time."
    ]
    quick = figures({0: make_report(TWO, near=(*near[:4], 0.5), nearer=nearer)})
    assert len(compare_page.notes({**quick, "references": 2, "unfit": []})) == 1  # the closest
