"""Methods side by side on one task, under several seeds, beside retrained references."""

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

from tfunlearn import methods
from tfunlearn.audit.environment import environment
from tfunlearn.data import scenarios
from tfunlearn.experiments import compare_figures, compare_page
from tfunlearn.experiments.compare_make import Workers, make_with_workers
from tfunlearn.experiments.compare_run import Attempt, Options, Run
from tfunlearn.experiments.stages import write_json
from tfunlearn.pool import check_counts
from tfunlearn.reading import expanded
from tfunlearn.report import AuditReport
from tfunlearn.storage import check_output, output
from tfunlearn.storage.output import Inputs

SEARCHED = " (searched)"
_PATIENCE = 5.0  # seconds that another run may take to put its results in place
_SCOPES = {"whole_class": "class"}  # of the other tasks: single examples


def compare(
    task: str,
    *,
    out: str | PathLike,
    dataset: str = "digits",
    names: Sequence[str] | None = None,
    seeds: int | Sequence[int] = 3,
    references: int = 3,
    limit: int | None = None,
    epochs: int | None = None,
    data_dir: str | PathLike | None = None,
    options: Mapping[str, Options] | None = None,
    searched: Mapping[str, Options] | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    threads: int | None = None,
    retries: int = 2,
    command: str = "",
    force: bool = False,
    inputs: Inputs | None = None,
    verbose: int = 0,
    say: Callable[[str], None] | None = print,
) -> dict[str, Any]:
    """Runs methods on a task under several seeds and sets each beside the retrained references.

    For every seed an original is trained, and references on what is to stay; then each method is
    run on the original. What is finished is kept, so that a killed run goes on where it stopped. A
    row is made again if its options have changed; everything is, if data, training, versions or
    any file of this package have. Several runs may be at work on one folder: no row is made twice.
    The files of a run appear together, at its end; see ``storage.output``.

    Workers give the figures that this process alone gives, but for seconds: those of workers on one
    machine are longer, and the report says how many were at work beside each other.

    Args:
        task: one of ``data.scenarios.TASKS``.
        out: folder for report.json, report.html, an audit of each seed and, under ``stages``,
            what is kept.
        dataset: as in ``data.scenarios.random``.
        names: methods to run; by default all that fit the task.
        seeds: how many, from 0, or which ones.
        references: retrained models a seed; with one alone, how much retraining itself varies is
            not known.
        limit: training images, as in ``data.scenarios.random``.
        epochs: epochs of originals and references, as in ``data.scenarios.random``.
        data_dir: folder of the data files.
        options: method to options that differ from its defaults.
        searched: method to options under which it is run once more, as a row of its own.
        workers: rows made at a time: by default one, in this process; more in as many processes; on
            Ray by default as many as it has processors for.
        ray_address: work on Ray: the address of a cluster, "auto" for the one that runs, or
            "local" to start one here. Results come back to this process, which writes them.
        threads: CPU threads of an operation, set on TensorFlow alone; rows are then made in other
            processes, where it can be set, and kept under it. The last bits of a convolution depend
            on it: set it where machines have different numbers of processors. By default as many
            as a machine gives.
        retries: how often a row is tried again whose worker died. A method whose workers died too
            often is a row with that reason.
        force: overwrite files in ``out`` that this command did not write, ``inputs`` excepted.
        inputs: argument to the file that it was read from, which is never overwritten.
        command: what is noted as the command that made the report.
        verbose: as in ``keras.Model.fit``.
        say: called with each line of output; None for silence.

    Returns:
        The content of report.json: figures of every row over the seeds, sorted by their gap, and
        of every seed. A method that fails is a row with its reasons.

    Raises:
        ImportError: if Ray is asked for and not installed.
        FileNotFoundError: if the data is not there and cannot be downloaded.
        OSError: if ``out`` cannot be written to.
        storage.Refused: if ``out`` is another command's, or an input would be overwritten.
        RuntimeError: if an original or a reference could not be made by workers.
        TypeError: if an option is something that a row cannot be kept under: a lambda, say.
        ValueError: if the task, a method or an option is unknown, or a number is out of range, or
            workers cannot be given a method or an option.
    """
    say = say or (lambda line: None)
    make = scenarios.get(task)
    attempts, unfit = plan(task, names, options or {}, searched or {})
    numbers = _seeds(seeds)
    if not isinstance(references, int) or references < 1:
        raise ValueError(
            f"references: expected a whole number of at least 1. Received: {references!r}."
        )
    check_counts(workers=workers, retries=retries, threads=threads)
    crew = Workers(workers, ray_address, threads, retries)
    crew.check(attempts)
    kinds, own = ("json", "html"), {"inputs": inputs, "force": force, "patience": _PATIENCE}
    names = [f"{name}.{kind}" for name in ("report", *map(_file, numbers)) for kind in kinds]
    check_output(out, "compare", names, **own)
    stages = expanded(out, "out") / "stages"
    given = {"limit": limit, "epochs": epochs, "data_dir": data_dir}
    runs = (
        Run(make(dataset, seed=seed, **given), stages, verbose, say, attempts, 1, threads)
        for seed in numbers
    )
    reports, failed, measured, diverged = {}, {}, {}, {}
    for run, report, reasons in _audits(runs, attempts, references, crew, say):
        seed = run.scenario.seed
        reports[seed], failed[seed] = report, reasons
        diverged[str(seed)] = run.diverged(references)
        measured[seed] = {row.name: run.measured(row.name) for row in report.rows}
    result = {
        "schema": "tfunlearn.compare",
        "version": 1,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "environment": environment(),
        "task": task,
        "dataset": dataset,
        "training": dataclasses.asdict(run.scenario.training),
        "split": {"sizes": dict(reports[numbers[0]].split["sizes"])},
        "seeds": numbers,
        "references": references,
        "diverged": {seed: lost for seed, lost in diverged.items() if lost},
        "unfit": unfit,
        "threads": threads,
        "processors": _processors(measured),
        **compare_figures.figures(reports, attempts, failed, _counts(measured)),
    }
    with output(out, "compare", names, **own) as results:
        for seed, report in reports.items():
            report.save(results.path(f"{_file(seed)}.json"))
            report.to_html(results.path(f"{_file(seed)}.html"))
        write_json(results.path("report.json"), result)
        compare_page.write(results.path("report.html"), result)
    for line in ("", *compare_page.table(result)):
        say(line)
    return result


def _file(seed: int) -> str:
    """Returns the name of a seed's files."""
    return f"seed-{seed}"


def plan(
    task: str,
    names: Sequence[str] | None,
    options: Mapping[str, Options],
    searched: Mapping[str, Options],
) -> tuple[list[Attempt], list[str]]:
    """Returns the rows to make, and the methods that are not made for the task.

    Args:
        task: the task's name.
        names: methods to run; None for all. Retraining is left out: the references are its row.
        options: method to options, as in ``compare``.
        searched: method to options, as in ``compare``.

    Raises:
        ValueError: if a method is unknown, twice there, has options and is not run, or does not
            take an option.

    Example:
        >>> from tfunlearn.experiments.compare import plan
        >>> plan("random", ["finetune"], {}, {})
        ([Attempt(label='finetune', method='finetune', options={})], [])
    """
    known = [methods.describe(name) for name in (methods.names() if names is None else names)]
    asked = [line.name for line in known if line.function is not methods.retrain]
    if len(set(asked)) < len(asked):
        raise ValueError(f"methods: expected each one once. Received: {', '.join(asked)}.")
    for name, own in [*options.items(), *searched.items()]:
        unknown = sorted(set(own) - set(methods.describe(name).options))
        if unknown:
            raise ValueError(
                f"{name}.{unknown[0]}: {name} does not take it. "
                f"Expected: some of {', '.join(methods.describe(name).options)}."
            )
    absent = sorted(set(options) - set(asked))
    if absent:
        raise ValueError(
            f"{absent[0]}: options for a method that is not run. Expected: some of "
            f"{', '.join(asked)}. Received: {absent[0]}."
        )
    scopes = ("both", _SCOPES.get(task, "examples"))
    fit = [name for name in asked if methods.describe(name).scope in scopes]
    attempts = [Attempt(name, name, options.get(name, {})) for name in fit]
    again = [Attempt(name + SEARCHED, name, searched[name]) for name in fit if name in searched]
    return attempts + again, [name for name in asked if name not in fit]


def _all(measured: Mapping[int, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns where and beside whom each row was made, of all seeds."""
    return [own for rows in measured.values() for own in rows.values()]


def _audits(
    runs: Iterable[Run],
    attempts: Sequence[Attempt],
    references: int,
    crew: Workers,
    say: Callable[[str], None],
) -> Iterator[tuple[Run, AuditReport, dict[str, str]]]:
    """Makes what is missing; yields each seed's run, its audit and the reasons of failures."""
    if crew.here:
        for run in runs:
            yield run, *run.report(attempts, references)
        return
    own = {run.scenario.seed: run for run in runs}
    failed = make_with_workers(own, attempts, references, crew, say)
    for seed, run in own.items():
        yield run, run.audit(references, failed[seed]), failed[seed]


def _processors(measured: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Returns the names of the processors that rows were made on."""
    return sorted({own["processor"] for rows in measured.values() for own in rows.values()} - {""})


def _counts(measured: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> dict[int, dict[str, int]]:
    """Returns seed to row to the workers that were at work when it was made."""
    return {
        seed: {name: own["workers"] for name, own in rows.items()}
        for seed, rows in measured.items()
    }


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    """Returns the seeds of a number of them, or those that are given."""
    found = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not found or len(set(found)) < len(found):
        raise ValueError(
            f"seeds: expected a number of at least 1, or different seeds. Received: {seeds!r}."
        )
    return found
