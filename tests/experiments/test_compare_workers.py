"""Workers that make a comparison's rows: the same figures, each row once, seconds that say so."""

import contextlib
import json
import pathlib

import compare_parts as parts
import keras
import numpy as np
import pytest

from tfunlearn import methods
from tfunlearn.data import scenarios
from tfunlearn.experiments import (
    compare_job,
    compare_key,
    compare_make,
    compare_page,
    compare_run,
    compare_worker,
)
from tfunlearn.experiments.compare import compare
from tfunlearn.experiments.compare_run import ORIGINAL, Attempt, Run
from tfunlearn.pool import BUSY, ERROR, LOST, MADE, THERE, Event, here, line
from tfunlearn.report import AuditReport

FEW = {"limit": 100, "epochs": 1}


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The table with the tests' methods; a process of theirs is to die."""
    parts.register(monkeypatch)
    monkeypatch.setenv(parts.DEATH, str(tmp_path / "died"))


def times(folder):
    """Returns each stage file's time of writing."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.rglob("*.json"))}


def test_two_processes_of_which_one_is_killed_give_the_figures_of_this_one(tmp_path, table):
    said = []
    own = {**parts.SETTINGS, "options": parts.OPTIONS, "names": ["dying", "failing"]}
    there = compare("mislabelled", out=tmp_path / "there", workers=2, say=said.append, **own)
    died = [line for line in said if "tried again" in line]
    assert len(died) == 1
    assert ", dying: its worker was ended by SIGKILL (often: out of memory)" in died[0]
    made = [line.split(": made in ")[0] for line in said if ": made in " in line]
    assert len(made) == len(set(made)) == 2 * 3
    for seed in (0, 1):
        assert next(line for line in made if line[:6] == f"seed {seed}").endswith(", original")
    here = compare("mislabelled", out=tmp_path / "here", say=None, **own)
    assert parts.figures(there) == parts.figures(here)
    for seed in (0, 1):
        pair = [
            AuditReport.load(tmp_path / side / f"seed-{seed}.json") for side in ("there", "here")
        ]
        assert [row.name for row in pair[0].rows] == [row.name for row in pair[1].rows]
        assert [row.histograms for row in pair[0].rows] == [row.histograms for row in pair[1].rows]
    [row] = [row for row in there["rows"] if row["name"] == "failing"]
    assert row["failed"] == {"0": "no model under seed 0", "1": "no model under seed 1"}
    # what the seconds are worth is said
    assert (there["workers"], here["workers"]) == (2, 1)
    assert {row["workers"] for row in there["rows"] if row["name"] in ("dying", "retrain")} == {2}
    shown = "\n".join(compare_page.table(there))
    assert "share (2 workers)\n" in shown
    assert "up to 2 workers at work beside each other" in " ".join(shown.split())
    assert "workers" not in "\n".join(compare_page.table(here))
    page = (tmp_path / "there" / "report.html").read_text(encoding="utf-8")
    assert page.count("up to 2 workers") == 2
    assert "share (2 workers)" in page
    assert any("up to 2 workers" in note for note in pair[0].notes)
    # another run takes the rows as they are, with what was said of their seconds
    stages = tmp_path / "there" / "stages"
    assert [path.name for path in stages.iterdir() if path.name.startswith(".")] == []
    before = times(stages)
    again = compare("mislabelled", out=tmp_path / "there", say=None, **own)
    assert again["rows"] == there["rows"]
    assert again["workers"] == 2
    assert times(stages) == before


@pytest.fixture
def untrained(monkeypatch):
    """Puts the network as it is drawn in the place of originals and references."""

    def draw(self, *, verbose):
        model = self.untrained()
        model.optimizer.build(model.trainable_variables)
        return model

    monkeypatch.setattr(scenarios.Scenario, "train", draw)
    monkeypatch.setattr(compare_run, "retrain", lambda model, split, seed, **_: model)


@pytest.fixture
def fake_workers(monkeypatch):
    """Puts this process in the place of the others; returns what they were to be started with.

    Stages whose label is among the keys of ``becomes`` end as it says.
    """
    started, becomes = [], {}

    def make(work, items, *, workers, retries, question, needs):
        started.append({"work": work, "workers": workers, "retries": retries})
        with contextlib.ExitStack() as stack:
            answer = compare_worker.start(work.folder, work.options, stack)

            def event(stage):
                kind = becomes.get(stage.label)
                if kind is not None:
                    return Event(kind, stage, "died twice")
                return Event(**answer(json.loads(json.dumps(question(stage)))), item=stage)

            yield from here(event, items, needs=needs)

    monkeypatch.setattr(compare_make, "with_processes", make)
    return started, becomes


def test_a_method_whose_worker_dies_too_often_is_a_row_with_that_reason(
    tmp_path, fake_workers, untrained
):
    started, becomes = fake_workers
    becomes["finetune"] = LOST
    own = {**FEW, "seeds": 1, "references": 1, "names": ["finetune"], "say": None}
    result = compare("random", out=tmp_path, threads=3, workers=9, retries=1, **own)
    [row] = [row for row in result["rows"] if row["name"] == "finetune"]
    assert row["failed"] == {"0": "its worker died twice"}
    assert (result["threads"], result["workers"]) == (3, 3)  # no more workers than rows
    [note] = tmp_path.rglob("row-original.json")
    assert json.loads(note.read_text())["settings"]["threads"] == 3
    [how] = started
    assert (how["workers"], how["retries"], how["work"].threads) == (3, 1, 3)
    assert how["work"].start == "tfunlearn.experiments.compare_worker:start"


@pytest.mark.parametrize(
    ("kind", "words"), [(LOST, "retrained-1: its worker died twice"), (ERROR, "died twice")]
)
def test_a_reference_that_no_worker_can_make_is_an_error(
    tmp_path, fake_workers, untrained, kind, words
):
    _, becomes = fake_workers
    becomes["retrained-1"] = kind
    own = {**FEW, "seeds": 1, "references": 1, "names": [], "say": None}
    with pytest.raises(RuntimeError, match=f"^seed 0, .*{words}$"):
        compare("random", out=tmp_path, workers=2, **own)
    left = {path.name for path in (tmp_path / "stages").iterdir()}
    assert left == {"digits-random-seed-0", "locks"}
    compare("random", out=tmp_path, **own)  # goes on


ROWS = [Attempt("finetune", "finetune", {"epochs": 1})]


def few_rows(folder, task="random", say=lambda line: None, **options):
    """Returns the run of a seed with one method, not yet trained."""
    return Run(scenarios.get(task)(seed=0, **FEW), folder, 0, say, ROWS, **options)


def test_a_row_that_another_process_is_at_is_not_made_twice(tmp_path, untrained):
    run, other = few_rows(tmp_path), few_rows(tmp_path)
    assert run.missing(1) == [ORIGINAL, "retrained-1", "finetune"]
    with other.claim(ORIGINAL) as mine:
        assert mine
        assert run.make(ORIGINAL).kind == BUSY
        assert not run.free(ORIGINAL)
        assert run.free("finetune")
    assert run.make(ORIGINAL).kind == MADE
    assert other.make(ORIGINAL).kind == THERE
    assert other.missing(1) == ["retrained-1", "finetune"]


def test_a_run_waits_for_another_and_goes_on(tmp_path, untrained, monkeypatch):
    said = []
    run, other = few_rows(tmp_path, say=said.append), few_rows(tmp_path)
    with contextlib.ExitStack() as held:
        held.enter_context(other.claim("retrained-1"))
        monkeypatch.setattr(line.time, "sleep", lambda seconds: held.close())
        report, failed = run.report(ROWS, 1)
    assert failed == {}
    assert [row.name for row in report.rows] == [ORIGINAL, "retrained-1", "finetune"]
    assert [text for text in said if "waiting" in text] == [
        "seed 0, waiting for another run, which makes: seed 0, retrained-1"
    ]


def test_an_original_without_its_model_is_missing_while_others_need_it(tmp_path, untrained):
    run = few_rows(tmp_path)
    for label in run.missing(1):
        assert run.make(label).kind == MADE
    assert run.missing(1) == []
    model, *_ = run.files(ORIGINAL)
    model.unlink()
    assert run.missing(1) == []
    assert few_rows(tmp_path).missing(2) == [ORIGINAL, "retrained-2"]
    assert not run.has(ORIGINAL)
    with pytest.raises(RuntimeError, match="seed 0, retrained-2: its file is no longer"):
        run.audit(2, {})


def test_rows_note_beside_whom_their_models_were_made(tmp_path, untrained):
    run, alone = few_rows(tmp_path, workers=3), few_rows(tmp_path)
    for label in run.missing(1):
        run.make(label)
    labels = (ORIGINAL, "retrained-1", "finetune")
    assert {run.measured(label)["workers"] for label in labels} == {3}
    # a model that is there keeps its seconds, whoever measures it
    for label in labels[1:]:
        run.files(label)[-1].unlink()
        alone.make(label)
    assert alone.measured("retrained-1")["workers"] == 3
    assert alone.measured("finetune")["workers"] == 1


@pytest.mark.parametrize("task", ["mislabelled", "backdoor"])
def test_a_task_comes_back_from_its_folder_as_it_was(tmp_path, task):
    run = few_rows(tmp_path / "stages", task)
    attempts = [Attempt("a", "finetune", {"optimizer": keras.optimizers.SGD(0.5)})]
    compare_job.write([run], attempts, tmp_path)
    scenario, settings = compare_job.read_scenario(tmp_path, 0)
    assert compare_key.common(scenario) == run.settings == settings
    assert scenario.split.detail == run.scenario.split.detail
    assert isinstance(scenario.split.source("retain").x, np.memmap)
    assert sorted(scenario.probes) == sorted(run.scenario.probes)
    [again] = compare_job.read_attempts(tmp_path)
    assert again.options["optimizer"].get_config() == attempts[0].options["optimizer"].get_config()


def test_options_come_back_as_they_were(tmp_path):
    values = [(1, 2.5), {0: 0.5, "a": None}, [True, "x"], np.float32(0.5), np.arange(3), {1, 2}]
    values += [keras.losses.MeanSquaredError(), float("inf")]
    attempts = [Attempt("a", "finetune", {str(n): value for n, value in enumerate(values)})]
    compare_job.write([], attempts, tmp_path)
    [again] = compare_job.read_attempts(tmp_path)
    for given, found in zip(values, again.options.values(), strict=True):
        if isinstance(given, keras.losses.Loss):
            assert found.get_config() == given.get_config()
        else:
            assert np.all(found == given)
            assert isinstance(found, float if isinstance(given, np.generic) else type(given))


def test_workers_refuse_what_is_not_what_the_driver_has(tmp_path, monkeypatch):
    run = few_rows(tmp_path / "stages")
    compare_job.write([run], [], tmp_path)
    monkeypatch.setattr(compare_key, "code", lambda: "another text")
    runs = compare_worker._Runs(tmp_path, tmp_path, {"workers": 1, "threads": None})
    with pytest.raises(RuntimeError, match=r"what the driver has\. .* Received: other code"):
        runs.run(0)


def test_files_of_a_stage_are_packed_and_written_elsewhere(tmp_path, untrained):
    run, other = few_rows(tmp_path / "a"), few_rows(tmp_path / "b")
    run.make(ORIGINAL)
    files = compare_worker.pack(run, ORIGINAL)
    assert list(files) == ["original.keras", "original.json", "row-original.json"]
    assert compare_worker.pack(run, "finetune") == {}
    compare_worker.unpack(other, ORIGINAL, files)
    assert other.has(ORIGINAL)
    assert other._row(ORIGINAL) == run._row(ORIGINAL)


def test_a_method_that_no_other_process_can_import_is_an_error(tmp_path, monkeypatch):
    def local(model, split, *, seed=0):
        """Is nowhere to be found."""

    parts.register(monkeypatch)
    methods.register(methods.Method(local, frozenset(), "both", "nothing"))
    with pytest.raises(ValueError, match=r"other processes cannot import .*local.* workers=1"):
        compare("random", out=tmp_path / "out", names=["local"], workers=2, say=None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers: expected a whole number of at least 1. Received: 0"),
        ({"workers": "two"}, "workers: expected a whole number of at least 1. Received: 'two'"),
        ({"retries": -1}, "retries: expected a whole number of at least 0. Received: -1"),
        ({"threads": 0}, "threads: expected a whole number of at least 1, or None. Received: 0"),
        (
            {
                "workers": 2,
                "names": ["eu_k"],
                "options": {"eu_k": {"optimizer": keras.layers.ReLU}},
            },
            "eu_k.optimizer: other processes cannot be given it. Expected: .*workers=1",
        ),
    ],
    ids=str,
)
def test_bad_arguments_are_errors_before_anything_is_trained(options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        compare("random", out=tmp_path / "out", say=None, **options)
    assert not (tmp_path / "out").exists()


def test_without_ray_the_error_names_the_extra(tmp_path, no_ray):
    with pytest.raises(ImportError, match=r"pip install 'tfunlearn\[distributed\]'"):
        compare("random", out=tmp_path / "out", ray_address="local", say=None)
    assert not pathlib.Path(tmp_path / "out").exists()


def test_the_note_on_processors():
    result = {"processors": ["A", "B"], "rows": []}
    assert compare_page._on_seconds(result) == ["Seconds come from different processors: A; B."]
    assert compare_page._on_seconds({"processors": ["A"], "workers": 1}) == []
    assert compare_run.beside(3) == compare_page._on_seconds({"workers": 3})[0]
