"""Filling a bank on Ray, on one machine or a cluster; results come back to the driver."""

from __future__ import annotations

import collections
import contextlib
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn.audit import bank_spool
from tfunlearn.audit.bank_entry import Entries
from tfunlearn.audit.bank_job import Item, Made
from tfunlearn.audit.bank_make import BUSY, DIED, MADE, THERE, Event
from tfunlearn.audit.bank_training import Trainer
from tfunlearn.audit.bank_worker import limit_threads

__all__ = ["RemoteTrainer", "make_on_ray", "running"]


class RemoteTrainer:
    """What runs on Ray: takes the job once, then trains one model after the other.

    Args:
        files: Name to content of the folder that the job was written to.
        threads: CPU threads of an operation.
    """

    def __init__(self, files: dict[str, np.ndarray], threads: int) -> None:
        limit_threads(threads)
        self._stack = contextlib.ExitStack()
        folder = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        for name, content in files.items():
            (folder / name).write_bytes(content.data)
        self._trainer = Trainer(bank_spool.read(folder, self._stack))

    def make(self, seed: int, include_forget: bool) -> dict[str, Any]:
        """Returns what is kept of a model, as plain values and arrays.

        Args:
            seed: Its seed.
            include_forget: Whether it is trained on the forget set as well.
        """
        return vars(self._trainer.make(Item(seed, include_forget)))


@contextlib.contextmanager
def running(address: str) -> Iterator[None]:
    """Connects to Ray for the time of a block, unless this process is connected already.

    Args:
        address: The address of a cluster, "auto" for the one that runs, "local" for a new one here.

    Raises:
        ImportError: If Ray is not installed.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    own = {"include_dashboard": False} if address == "local" else {}
    ray.init(address=address, log_to_driver=False, **own)
    try:
        yield
    finally:
        ray.shutdown()


def make_on_ray(
    entries: Entries,
    job: pathlib.Path,
    items: Sequence[Item],
    *,
    workers: int | None,
    threads: int,
    retries: int,
) -> Iterator[Event]:
    """Makes models with actors on Ray, writes them here, and yields what became of each.

    Args:
        entries: Where the models go.
        job: The folder that the job was written to.
        items: The models.
        workers: How many actors; by default as many as there are processors for.
        threads: CPU threads of an operation, and processors that an actor is given.
        retries: How often a model is tried again whose actor died.

    Raises:
        RuntimeError: If a training failed, or a model's actors died too often.
    """
    ray = _ray()
    files = ray.put({p.name: np.frombuffer(p.read_bytes(), "u1") for p in job.iterdir()})
    if workers is None:
        workers = max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
    crew = _Crew(ray, entries, files, items, threads, retries)
    try:
        yield from crew.work(workers)
    finally:
        crew.end()


class _Crew:
    """The actors at work, and what is still to be done."""

    def __init__(
        self,
        ray: Any,
        entries: Entries,
        files: Any,
        items: Sequence[Item],
        threads: int,
        retries: int,
    ) -> None:
        self._ray, self._entries, self._retries = ray, entries, retries
        options = {"env_vars": {"KERAS_BACKEND": keras.backend.backend()}}
        kind = ray.remote(num_cpus=threads, max_restarts=0, runtime_env=options)(RemoteTrainer)
        self._hire = lambda: kind.remote(files, threads)
        self._todo = collections.deque(items)
        self._deaths: collections.Counter[Item] = collections.Counter()
        self._busy: dict[Any, tuple[Any, Item, contextlib.ExitStack]] = {}
        self._events: collections.deque[Event] = collections.deque()

    def work(self, workers: int) -> Iterator[Event]:
        """Yields what became of each model, as it ends."""
        for _ in range(min(workers, len(self._todo))):
            self._next(None)
        while self._busy:
            [ready], _ = self._ray.wait(list(self._busy), num_returns=1)
            actor, item, claim = self._busy.pop(ready)
            with claim:
                actor = self._take(ready, actor, item)
            self._next(actor)
            yield from self._told()
        yield from self._told()

    def end(self) -> None:
        """Ends the actors that are still at work, and gives their claims back."""
        for actor, _, claim in self._busy.values():
            self._ray.kill(actor)
            claim.close()
        self._busy.clear()

    def _told(self) -> Iterator[Event]:
        while self._events:
            yield self._events.popleft()

    def _next(self, actor: Any) -> None:
        """Gives an actor, or a new one, the next model that is nobody else's."""
        while self._todo:
            item, claim = self._todo.popleft(), contextlib.ExitStack()
            if not claim.enter_context(self._entries.claim(item)):
                self._events.append(Event(BUSY, item))
            elif self._entries.fault(item) is None:
                self._events.append(Event(THERE, item))
            else:
                actor = self._hire() if actor is None else actor
                answer = actor.make.remote(item.seed, item.include_forget)
                self._busy[answer] = (actor, item, claim)
                return
            claim.close()
        if actor is not None:
            self._ray.kill(actor)

    def _take(self, ready: Any, actor: Any, item: Item) -> Any:
        """Writes a result; returns the actor, or None if it died."""
        errors = self._ray.exceptions
        try:
            made = Made(**self._ray.get(ready))
        except errors.RayTaskError as error:
            raise RuntimeError(f"{item}: {error.cause or error}") from error
        except (errors.RayActorError, errors.ObjectLostError) as error:
            self._deaths[item] += 1
            reason = " ".join(str(error).split())[:300]
            if self._deaths[item] > self._retries:
                raise RuntimeError(
                    f"{item}: its actor died {self._deaths[item]} times. Expected: at most "
                    f"{self._retries}. The last one: {reason}"
                ) from error
            self._todo.appendleft(item)
            self._events.append(Event(DIED, item, f"died on Ray: {reason}"))
            return None
        self._entries.write(item, made)
        self._events.append(Event(MADE, item, f"in {made.seconds:.1f} s"))
        return actor


def _ray() -> Any:
    """Imports Ray."""
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "ray_address: Ray is not installed. Expected: pip install 'tfunlearn[distributed]'. "
            f"Received: {error}."
        ) from error
    return ray
