"""One seed of a comparison: original, references and rows, each kept once it is made."""

import dataclasses
import datetime
import pathlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np

from tfunlearn import methods, metrics
from tfunlearn.audit.columns import columns
from tfunlearn.audit.compare import summary
from tfunlearn.audit.environment import environment
from tfunlearn.audit.measure import measure
from tfunlearn.audit.outputs import Reader
from tfunlearn.audit.rows import RowMaker
from tfunlearn.data import ForgetSplit
from tfunlearn.data.scenarios import Scenario
from tfunlearn.experiments import compare_key
from tfunlearn.experiments.compare_figures import PROBES
from tfunlearn.experiments.stages import SEED_STEP, Stages
from tfunlearn.methods import finetune, retrain
from tfunlearn.report import AuditReport, Column, Row

Options = Mapping[str, Any]
ORIGINAL = "original"


@dataclass(frozen=True)
class Attempt:
    """A row to make: a method, and the options in which it differs from its defaults."""

    label: str
    method: str
    options: Options = field(default_factory=dict)


class Run:
    """One seed of a task: an original, its references, and the rows that are measured.

    Args:
        scenario: the task.
        folder: where the stages of all seeds are.
        verbose: as in ``keras.Model.fit``.
        say: called with each line of output.
    """

    def __init__(
        self, scenario: Scenario, folder: pathlib.Path, verbose: int, say: Callable[[str], None]
    ) -> None:
        self.scenario = scenario
        self._verbose, self._warm = verbose, False
        self._say = lambda line: say(f"seed {scenario.seed}, {line}")
        stages = folder / f"{scenario.dataset}-{scenario.name}-seed-{scenario.seed}"
        self._stages = Stages(stages, compare_key.common(scenario), self._say)
        probes = [
            Column(name, PROBES[name], "fraction", "near the reference's", "attack")
            for name in scenario.probes
        ]
        self._columns = (*columns(scenario.split.roles), *probes)

    @cached_property
    def original(self) -> keras.Model:
        """The original, trained or loaded at the first look."""
        return self._stages.model(
            ORIGINAL, lambda: self.scenario.train(verbose=self._verbose), settings={}
        )

    def report(
        self, attempts: Sequence[Attempt], references: int
    ) -> tuple[AuditReport, dict[str, str]]:
        """Makes every row that is not there yet; returns the audit and the failures' reasons.

        Args:
            attempts: the rows besides the original and its references.
            references: how many references.

        Raises:
            TypeError: if an option of an attempt is nothing that a row can be kept under.
        """
        for attempt in attempts:
            self._settings(attempt)
        names = [f"retrained-{number}" for number in range(1, references + 1)]
        rows = [self._kept(ORIGINAL, lambda: (self.original, self._stages.seconds[ORIGINAL]), {})]
        for number, name in enumerate(names, start=1):
            rows.append(self._kept(name, lambda n=number, name=name: self._reference(n, name), {}))
        failed: dict[str, str] = {}
        for attempt in attempts:
            try:
                rows.append(self.row(attempt))
            except OSError:  # the folder's failure is no method's
                raise
            except Exception as error:  # one method's failure is a row, not the end
                failed[attempt.label] = " ".join(str(error).split()) or type(error).__name__
                self._say(f"{attempt.label}: failed: {failed[attempt.label]}")
        report = AuditReport(
            title=f"{self.scenario.dataset}, {self.scenario.name}, seed {self.scenario.seed}",
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            environment=environment(),
            split=summary(self.scenario.split),
            original=ORIGINAL,
            references=tuple(names),
            columns=self._columns,
            rows=tuple(rows),
            notes=tuple(f"{label}: failed: {reason}" for label, reason in failed.items()),
        )
        return report, failed

    def row(self, attempt: Attempt) -> Row:
        """Returns the row of a method: the one kept, or its model is made and measured.

        Args:
            attempt: the method and its options.
        """

        def make() -> tuple[keras.Model, float]:
            original, split, given = self.original, self.scenario.split, self._given(attempt)
            start = time.perf_counter()
            model = methods.unlearn(original, split, attempt.method, **given)
            seconds = round(time.perf_counter() - start, 3)
            self._say(f"{attempt.label}: {seconds:.1f} s")
            return model, seconds

        return self._kept(attempt.label, make, self._settings(attempt))

    def _given(self, attempt: Attempt) -> Options:
        """Returns the options that a method is called with."""
        given = {"seed": self.scenario.seed, "verbose": self._verbose, **attempt.options}
        known = methods.describe(attempt.method).options
        return {name: value for name, value in given.items() if name in known}

    def _settings(self, attempt: Attempt) -> Options:
        """Returns what a method's row depends on besides the common settings."""
        line = methods.describe(attempt.method)
        effective = {**line.options, **self._given(attempt)}
        effective.pop("verbose", None)
        options = {
            name: compare_key.plain(f"{attempt.method}.{name}", value)
            for name, value in effective.items()
        }
        source = compare_key.source(line.function)
        return {"method": attempt.method, "options": options, "source": source}

    def _reference(self, number: int, name: str) -> tuple[keras.Model, float]:
        """Returns a model retrained without the forget set, and the seconds that it took."""
        scenario = self.scenario
        seed = scenario.seed + number * SEED_STEP
        model = self._stages.model(
            name,
            lambda: retrain(
                self.original,
                scenario.split,
                seed=seed,
                verbose=self._verbose,
                **scenario.fit_options,
            ),
            settings={"reference": seed},
        )
        return model, self._stages.seconds[name]

    def _kept(
        self, label: str, make: Callable[[], tuple[keras.Model, float]], settings: Options
    ) -> Row:
        """Returns a row from its file, or makes model and row and writes the file."""

        def content() -> dict[str, Any]:
            bench = self._bench  # first, as what Keras does but once is no model's time
            if label != ORIGINAL:
                self._warm_up()
            row = bench.row(label, *make())
            return {"values": row.values, "flags": row.flags, "histograms": row.histograms}

        file = f"row-{re.sub('[^a-z0-9]+', '-', label.lower()).strip('-')}"
        kept = self._stages.noted(file, content, dict(settings))
        histograms = {role: tuple(counts) for role, counts in kept["histograms"].items()}
        return Row(label, kept["values"], tuple(kept["flags"]), histograms)

    def _warm_up(self) -> None:
        """Trains a copy for one step at the first call, also where the original was kept."""
        if not self._warm:
            split, size = self.scenario.split, self.scenario.training.batch_size
            some = split.subset("retain", np.arange(min(size, split.size("retain"))))
            finetune(self.original, some, epochs=1, batch_size=size)
            self._warm = True

    @cached_property
    def _bench(self) -> "Bench":
        return Bench(self.scenario, self.original, self._columns)


class Bench:
    """Measures one model after another on a task; the original is measured once.

    Args:
        scenario: the task.
        original: the trained original.
        shown: the metrics of a row.
    """

    def __init__(self, scenario: Scenario, original: keras.Model, shown: Sequence[Column]) -> None:
        self._scenario, self._split, self._shown = scenario, scenario.split, tuple(shown)
        self._reader = Reader(self._split, self._split.roles)
        self._probes = {
            name: (Reader(_probe_split(self._split, examples), ("test",)), examples[1])
            for name, examples in scenario.probes.items()
        }
        self._original = original
        self._measured = measure(original, self._split, self._reader)

    def row(self, label: str, model: keras.Model, seconds: float) -> Row:
        """Returns a model's row.

        Args:
            label: the row's name.
            model: the model; the original itself under its own name.
            seconds: what it took to make it.
        """
        models, measured = {ORIGINAL: self._original}, {ORIGINAL: self._measured}
        if label != ORIGINAL:
            models[label], measured[label] = model, measure(model, self._split, self._reader)
        times, seed = {label: seconds}, self._scenario.seed
        maker = RowMaker(models, self._split, ORIGINAL, measured, times, self._shown, seed)
        row = maker.row(label)
        values = {**row.values, **{name: self._probe(name, model) for name in self._probes}}
        return dataclasses.replace(row, values=values)

    def _probe(self, name: str, model: keras.Model) -> float | None:
        """Returns the accuracy on a probe, or None if the model's outputs are not finite."""
        reader, labels = self._probes[name]
        [(_, scores)] = reader.read(model)
        return metrics.accuracy(labels, scores) if np.isfinite(scores).all() else None


def _probe_split(split: ForgetSplit, examples: tuple[np.ndarray, np.ndarray]) -> ForgetSplit:
    """Returns a split whose test role is the examples of a probe, so that they can be read."""
    return ForgetSplit.by_index(
        *split.test, forget=[0], test=examples, num_classes=split.num_classes
    )
