"""Making the rows of a comparison: in this process, in several, or on Ray."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tfunlearn.experiments.compare_job import attempts_to_json, write
from tfunlearn.experiments.compare_ray import StageExchange
from tfunlearn.experiments.compare_run import FAILED, Attempt, Run, Stage, waiting
from tfunlearn.pool import (
    DIED,
    ERROR,
    LOST,
    Event,
    Work,
    clear_scratch,
    scratch,
    until_done,
    with_processes,
)
from tfunlearn.pool.on_ray import import_ray, running, size, with_ray

_WORKER = "tfunlearn.experiments.compare_worker"


@dataclasses.dataclass(frozen=True)
class Workers:
    """Who makes the rows.

    Attributes:
        count: workers at a time; None for one here, and for as many as Ray has processors for.
        ray_address: the address of a cluster, "auto", "local", or None for processes here.
        threads: CPU threads of an operation in each; None for as many as the machine gives.
        retries: how often a row is tried again whose worker died.
    """

    count: int | None = None
    ray_address: str | None = None
    threads: int | None = None
    retries: int = 2

    @property
    def here(self) -> bool:
        """Whether this process makes the rows itself."""
        return (self.count or 1) == 1 and self.ray_address is None and self.threads is None

    def check(self, attempts: Sequence[Attempt]) -> None:
        """Raises unless rows can be made by these workers.

        Args:
            attempts: the rows besides originals and references.

        Raises:
            ImportError: if Ray is asked for and not installed.
            ValueError: if other processes cannot be given a method or an option.
        """
        if not self.here:
            attempts_to_json(attempts)
        if self.ray_address is not None:
            import_ray()


def make_with_workers(
    runs: Mapping[int, Run],
    attempts: Sequence[Attempt],
    references: int,
    workers: Workers,
    say: Callable[[str], None],
) -> dict[int, dict[str, str]]:
    """Makes every row that is not there yet with workers.

    Args:
        runs: seed to its run.
        attempts: their rows besides the original and its references.
        references: how many references a seed.
        workers: who makes them.
        say: called with each line of output.

    Returns:
        Seed to label to reason of the methods that failed.

    Raises:
        ImportError: if Ray is asked for and not installed.
        RuntimeError: if an original or a reference could not be made.
    """
    failed: dict[int, dict[str, str]] = {seed: {} for seed in runs}
    todo = [Stage(seed, label) for seed, run in runs.items() for label in run.missing(references)]
    methods = {attempt.label for attempt in attempts}
    if not todo:
        return failed
    with contextlib.ExitStack() as stack:
        make = stack.enter_context(_maker(runs, attempts, workers, len(todo)))
        events = until_done(
            todo,
            make,
            lambda stage: runs[stage.seed].free(stage.label),
            lambda left: say(waiting(left)),
        )
        for event in stack.enter_context(contextlib.closing(events)):
            stage, reason = event.item, _reason(event)
            if event.kind == DIED:
                say(f"{stage}: its worker {event.text}; tried again")
            elif reason is None:
                say(str(event))
            elif event.kind == ERROR or stage.label not in methods:
                raise RuntimeError(f"{stage}: {reason}")
            else:
                failed[stage.seed][stage.label] = reason
                say(f"{stage}: failed: {reason}")
    return failed


def _reason(event: Event) -> str | None:
    """Returns why a row could not be made, or None if it was."""
    if event.kind == LOST:
        return f"its worker {event.text}"
    return event.text if event.kind in (FAILED, ERROR) else None


@contextlib.contextmanager
def _maker(
    runs: Mapping[int, Run],
    attempts: Sequence[Attempt],
    workers: Workers,
    most: int,
) -> Iterator[Callable[[list[Stage]], Iterator[Event]]]:
    """Yields the function that makes rows and tells what became of each."""
    options: dict[str, Any] = {"retries": workers.retries, "needs": lambda stage: stage.needs}
    given: dict[str, Any] = {"threads": workers.threads}
    folder = next(iter(runs.values())).folder
    clear_scratch(folder)
    with scratch(folder) as job:
        write(list(runs.values()), attempts, job)
        if workers.ray_address is None:
            count = min(workers.count or 1, most)
            given |= {"workers": count, "stages": str(folder.resolve())}
            work = Work(f"{_WORKER}:start", job.resolve(), given, workers.threads)
            options |= {"workers": count, "question": dataclasses.asdict}
            yield functools.partial(with_processes, work, **options)
            return
        with running(workers.ray_address):
            count = min(workers.count or size(workers.threads), most)
            given |= {"workers": count}
            work = Work(f"{_WORKER}:start_apart", job, given, workers.threads)
            options |= {"workers": count, "exchange": StageExchange(runs)}
            yield functools.partial(with_ray, work, **options)
