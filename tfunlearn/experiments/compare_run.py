"""One seed of a comparison: original, references and rows, each kept once it is made."""

import datetime
import pathlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np

from tfunlearn import methods
from tfunlearn.audit.columns import columns
from tfunlearn.audit.compare import summary
from tfunlearn.audit.environment import environment
from tfunlearn.data.scenarios import Scenario
from tfunlearn.experiments import compare_key
from tfunlearn.experiments.compare_bench import ORIGINAL, Bench
from tfunlearn.experiments.compare_figures import PROBES, beside
from tfunlearn.experiments.stages import SEED_STEP, Figures, Stages
from tfunlearn.methods import finetune, retrain
from tfunlearn.pool import BUSY, MADE, THERE, Event, claimed, here, until_done
from tfunlearn.report import AuditReport, Column, Row, reading, wording
from tfunlearn.storage.scratch import clear_writings
from tfunlearn.training import Diverged

Options = Mapping[str, Any]
FAILED, DIVERGED = "failed", "diverged"
NOT_FINITE = "not finite"  # a row's flag
_REFERENCE = "retrained-"
_PATIENCE = 0.5  # seconds between looks at an original that another process is making


@dataclass(frozen=True)
class Attempt:
    """A row to make: a method, and the options in which it differs from its defaults."""

    label: str
    method: str
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A row of one seed, with the model that it needs.

    Example:
        >>> str(Stage(3, "finetune"))
        'seed 3, finetune'
    """

    seed: int
    label: str

    @property
    def needs(self) -> tuple["Stage", ...]:
        """The stages that must be made before: the original, for all others."""
        return () if self.label == ORIGINAL else (Stage(self.seed, ORIGINAL),)

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.label}"


class Run:
    """One seed of a task: an original, its references, and the rows that are measured.

    Args:
        scenario: the task.
        folder: where the stages of all seeds are.
        verbose: as in ``keras.Model.fit``.
        say: called with each line of output.
        attempts: the rows besides the original and its references.
        workers: how many workers are at work at a time, as rows note it with their seconds.
        threads: CPU threads of an operation if they are fixed; rows are then kept under them.

    Raises:
        TypeError: if an option of an attempt is nothing that a row can be kept under.
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: pathlib.Path,
        verbose: int,
        say: Callable[[str], None],
        attempts: Sequence[Attempt] = (),
        workers: int = 1,
        threads: int | None = None,
    ) -> None:
        self.scenario, self.folder, self.workers = scenario, folder, workers
        self._verbose, self._warm = verbose, False
        self._noted: dict[str, Figures] = {}  # of a model's stage: beside whom it was made
        self._say = lambda line: say(f"seed {scenario.seed}, {line}")
        stages = folder / f"{scenario.dataset}-{scenario.name}-seed-{scenario.seed}"
        self.settings = compare_key.common(scenario, threads)
        self._stages = Stages(stages, self.settings, self._say)
        probes = [
            Column(name, PROBES[name], "fraction", "near the reference's", "attack")
            for name in scenario.probes
        ]
        self._columns = (*columns(scenario.split.roles), *probes)
        self._plan(attempts)

    @cached_property
    def original(self) -> keras.Model:
        """The original, trained or loaded at the first look, by one process at a time."""
        while True:
            with claimed(self._lock(ORIGINAL)) as mine:
                if mine:
                    self._clear(ORIGINAL)
                    return self._staged(
                        ORIGINAL, lambda: self.scenario.train(verbose=self._verbose), {}
                    )
            time.sleep(_PATIENCE)

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
        self._plan(attempts)
        failed: dict[str, str] = {}
        todo = [Stage(self.scenario.seed, label) for label in self.missing(references)]
        make, needs = (lambda stage: self.make(stage.label)), (lambda stage: stage.needs)
        for event in until_done(
            todo,
            lambda left: here(make, left, needs=needs),
            lambda stage: self.free(stage.label),
            lambda left: self._say(waiting(left)),
        ):
            if event.kind == DIVERGED:
                self._say(f"{event.item.label}: diverged: {event.text}")
            if event.kind == FAILED:
                failed[event.item.label] = event.text
                self._say(f"{event.item.label}: failed: {event.text}")
        return self.audit(references, failed), failed

    def missing(self, references: int) -> list[str]:
        """Returns the labels of what is still to be made, or to be made again as it is damaged.

        A model that was removed is made again where a row is that needs it.

        Args:
            references: how many references.
        """
        found = [
            label
            for label in self._labels(references)
            if self._content(label) is None or self._spoiled(label)
        ]
        if found and ORIGINAL not in found and not self._stages.has_model(ORIGINAL, {}):
            found.insert(0, ORIGINAL)
        return found

    def make(self, label: str) -> Event:
        """Makes a row, unless it is there or another process is at it.

        Args:
            label: the original, a reference or an attempt.

        Returns:
            What became of it: "failed" with the reason where an attempt raised something,
            "diverged" where a reference's training did, which is kept as a fact.

        Raises:
            OSError: if the folder cannot be written to, which is no method's failure.
            RuntimeError: if the original cannot be made, which is none either.
        """
        stage = Stage(self.scenario.seed, label)
        with self.claim(label) as mine:
            if not mine:
                return Event(BUSY, stage)
            if self.has(label):
                return Event(THERE, stage)
            bench = self._bench  # with the original: if that fails, no method has
            self._clear(label)
            try:
                seconds = self._make(bench, label).values["seconds"]
            except OSError:
                raise
            except Exception as error:  # one method's failure is a row, not the end
                if isinstance(error, Diverged) and label.startswith(_REFERENCE):
                    return self._note_diverged(label, error)
                if label not in self._attempts:
                    raise
                return Event(FAILED, stage, " ".join(str(error).split()) or type(error).__name__)
        return Event(MADE, stage, f"in {seconds:.1f} s")

    def has(self, label: str) -> bool:
        """Tells whether a row is there; of the original, also its model, which others need.

        Args:
            label: the row's name.
        """
        whole = label != ORIGINAL or self._stages.has_model(ORIGINAL, {})
        return whole and self._content(label) is not None and not self._spoiled(label)

    def claim(self, label: str) -> AbstractContextManager[bool]:
        """Claims the making of a row for the time of a block; yields whether it is ours.

        Args:
            label: the row's name.
        """
        return claimed(self._lock(_file(label)))

    def free(self, label: str) -> bool:
        """Tells whether no other process is at a row.

        Args:
            label: the row's name.
        """
        with self.claim(label) as mine:
            return mine

    def files(self, label: str) -> list[pathlib.Path]:
        """Returns where the files of a stage are, in the order in which they are written.

        Args:
            label: the row's name.
        """
        folder, row = self._stages.folder, f"{_file(label)}.json"
        models = () if label in self._attempts else (f"{label}.keras", f"{label}.json")
        return [folder / name for name in (*models, row)]

    def measured(self, label: str) -> dict[str, Any]:
        """Returns how many workers were at work when a row's model was made, and the processor.

        Args:
            label: the row's name.
        """
        content = self._content(label) or {}
        return {"workers": content.get("workers", 1), "processor": content.get("processor", "")}

    def audit(self, references: int, failed: Mapping[str, str]) -> AuditReport:
        """Returns the audit of the rows that are there.

        Args:
            references: how many references.
            failed: label to reason of the rows that could not be made.

        Raises:
            RuntimeError: if another row is missing, or every reference diverged.
        """
        diverged = self.diverged(references)
        kept = [name for name in map(_reference, range(1, references + 1)) if name not in diverged]
        if not kept:
            raise RuntimeError(
                f"seed {self.scenario.seed}: all {references} references diverged, so there is "
                "nothing to compare with. Expected: at least one that is finite. Received: "
                f"{next(iter(diverged.values()))}"
            )
        absent = {*failed, *diverged}
        labels = [label for label in self._labels(references) if label not in absent]
        rows = tuple(map(self._row, labels))
        workers = max(self.measured(label)["workers"] for label in labels)
        notes = [f"{label}: failed: {reason}" for label, reason in failed.items()]
        if diverged:
            notes.append(wording.diverged(len(diverged), references, ", ".join(diverged)))
        if workers > 1:
            notes.append(beside(workers))
        return AuditReport(
            title=f"{self.scenario.dataset}, {self.scenario.name}, seed {self.scenario.seed}",
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            environment=environment(),
            split=summary(self.scenario.split),
            original=ORIGINAL,
            references=tuple(kept),
            columns=self._columns,
            rows=rows,
            notes=tuple(notes),
        )

    def diverged(self, references: int) -> dict[str, str]:
        """Returns the references whose training diverged, and how.

        Args:
            references: how many references.
        """
        found = {name: self._content(name) for name in map(_reference, range(1, references + 1))}
        return {name: own[DIVERGED] for name, own in found.items() if own and DIVERGED in own}

    def _plan(self, attempts: Sequence[Attempt]) -> None:
        """Notes the rows besides the original and its references."""
        self._attempts = {attempt.label: attempt for attempt in attempts}
        self._kept_under = {label: self._settings(own) for label, own in self._attempts.items()}

    def _labels(self, references: int) -> list[str]:
        """Returns the names of all rows, in their order."""
        return [ORIGINAL, *map(_reference, range(1, references + 1)), *self._attempts]

    def _clear(self, label: str) -> None:
        """Removes what a dead process left half-written of a row, whose claim is ours."""
        clear_writings(self._stages.folder, [path.name for path in self.files(label)])

    def _lock(self, name: str) -> pathlib.Path:
        return self._stages.folder / "locks" / name

    def _content(self, label: str) -> dict[str, Any] | None:
        """Returns what is kept of a row, or None."""
        settings = self._kept_under.get(label, {})
        return self._stages.content(_file(label), settings, lambda own: self._check(label, own))

    def _check(self, label: str, content: dict[str, Any]) -> None:
        """Raises a ValueError unless what is kept is a row, or how a reference diverged."""
        if isinstance(content.get(DIVERGED), str) and label not in self._attempts:
            return
        row = _as_row(label, content)
        missing = [column.name for column in self._columns if column.name not in row.values]
        if missing or row.values["seconds"] is None:
            raise ValueError(f"it lacks {', '.join(missing) or 'seconds'}")

    def _spoiled(self, label: str) -> bool:
        """Tells whether something else lies in the place of a row's model."""
        if label in self._attempts:
            return False
        return self._stages.spoiled(label, self._model_settings(label))

    def _model_settings(self, label: str) -> dict[str, Any]:
        """Returns what the model of the original, or of a reference, is kept under."""
        return {} if label == ORIGINAL else {"reference": self._reference_seed(label)}

    def _reference_seed(self, label: str) -> int:
        return self.scenario.seed + int(label.removeprefix(_REFERENCE)) * SEED_STEP

    def _row(self, label: str) -> Row:
        """Returns a row from its file."""
        kept = self._content(label)
        if kept is None:
            raise RuntimeError(
                f"{Stage(self.scenario.seed, label)}: its file is no longer what was written. "
                "Expected: no other run with other settings in the same folder."
            )
        return _as_row(label, kept)

    def _note_diverged(self, label: str, error: Diverged) -> Event:
        """Keeps that a reference's training diverged, so that it is known and not tried again."""
        stage, reason = Stage(self.scenario.seed, label), " ".join(str(error).split())
        content = {DIVERGED: reason, "seed": self._reference_seed(label), **self._surroundings()}
        self._stages.noted(_file(label), lambda: content, {})
        return Event(DIVERGED, stage, reason)

    def _make(self, bench: Bench, label: str) -> Row:
        """Makes a row and its model, and writes what is kept."""
        if label != ORIGINAL:
            self._warm_up()
        row = bench.row(label, *self._model(label))
        if label not in self._attempts and NOT_FINITE in row.flags:
            raise Diverged(
                f"{label}: training diverged, some of its outputs are not finite. Expected: finite "
                "outputs; lower the learning rate."
            )
        content = {"values": row.values, "flags": row.flags, "histograms": row.histograms}
        content |= self._surroundings() if label in self._attempts else self._noted[label]
        settings = dict(self._kept_under.get(label, {}))
        self._stages.noted(_file(label), lambda: content, settings)
        return row

    def _model(self, label: str) -> tuple[keras.Model, float]:
        """Returns the model of a row and the seconds that it took."""
        if label in self._attempts:
            return self._unlearned(self._attempts[label])
        if label == ORIGINAL:
            return self.original, self._stages.seconds[ORIGINAL]
        return self._retrained(label)

    def _unlearned(self, attempt: Attempt) -> tuple[keras.Model, float]:
        """Returns a method's model, and the seconds that it took."""
        original, split, given = self.original, self.scenario.split, self._given(attempt)
        start = time.perf_counter()
        model = methods.unlearn(original, split, attempt.method, **given)
        seconds = round(time.perf_counter() - start, 3)
        self._say(f"{attempt.label}: {seconds:.1f} s")
        return model, seconds

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

    def _retrained(self, label: str) -> tuple[keras.Model, float]:
        """Returns a model retrained without the forget set, and the seconds that it took."""
        scenario, original, seed = self.scenario, self.original, self._reference_seed(label)
        options = {"seed": seed, "verbose": self._verbose, **scenario.fit_options}
        settings = self._model_settings(label)
        model = self._staged(label, lambda: retrain(original, scenario.split, **options), settings)
        return model, self._stages.seconds[label]

    def _staged(
        self, label: str, make: Callable[[], keras.Model], settings: dict[str, Any]
    ) -> keras.Model:
        """Returns the model of a stage, and notes beside whom its seconds were taken."""
        model, self._noted[label] = self._stages.measured(
            label, lambda: (make(), self._surroundings()), settings
        )
        return model

    def _surroundings(self) -> Figures:
        """Returns what is noted with seconds that are taken now."""
        return {"workers": self.workers, "processor": environment()["processor"]}

    def _warm_up(self) -> None:
        """Trains a copy for one step at the first call, also where the original was kept."""
        if not self._warm:
            split, size = self.scenario.split, self.scenario.training.batch_size
            some = split.subset("retain", np.arange(min(size, split.size("retain"))))
            finetune(self.original, some, epochs=1, batch_size=size)
            self._warm = True

    @cached_property
    def _bench(self) -> Bench:
        return Bench(self.scenario, self.original, self._columns)


def waiting(stages: Sequence[Stage]) -> str:
    """Returns what is said while another run is at all rows that are left.

    Args:
        stages: the rows.

    Example:
        >>> waiting([Stage(0, "finetune"), Stage(0, "ssd")])
        'waiting for another run, which makes: seed 0, finetune; seed 0, ssd'
    """
    return f"waiting for another run, which makes: {'; '.join(map(str, stages))}"


def _as_row(label: str, content: Mapping[str, Any]) -> Row:
    """Returns a row from what is kept of it; a ValueError if it is something else."""
    kept = {name: content.get(name) for name in ("values", "flags", "histograms")}
    return reading.read(Row, {"name": label, **kept}, label)


def _reference(number: int) -> str:
    return f"{_REFERENCE}{number}"


def _file(label: str) -> str:
    """Returns the name of a row's file."""
    return f"row-{re.sub('[^a-z0-9]+', '-', label.lower()).strip('-')}"
