"""Workers that are actors on Ray, on one machine or a cluster; one that dies is replaced."""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import keras
import numpy as np

from tfunlearn.pool.events import BUSY, ERROR, LOST, THERE, Event
from tfunlearn.pool.line import Line
from tfunlearn.pool.work import Work, begin
from tfunlearn.storage.scratch import temporary

__all__ = ["Exchange", "RemoteWorker", "import_ray", "running", "size", "with_ray"]

T = TypeVar("T")


class Exchange(Protocol):
    """What the driver does with pieces that are made elsewhere, as no worker sees its disk."""

    def claim(self, item: Any) -> contextlib.AbstractContextManager[bool]:
        """Claims the making of a piece for the time of a block; yields whether it is ours."""

    def has(self, item: Any) -> bool:
        """Tells whether a piece is made; its claim is ours."""

    def question(self, item: Any) -> Sequence[Any]:
        """Returns what a worker is asked for a piece; references of Ray are resolved for it."""

    def take(self, item: Any, answer: Any) -> Event:
        """Writes what a worker answered; its claim is ours."""


class RemoteWorker:
    """What runs on Ray: takes a folder's files once, then makes one piece after the other.

    Args:
        files: Path to content of what the driver wrote to the folder.
        start: As in `Work`.
        options: As in `Work`.
        threads: As in `Work`.
        paths: Where the driver looks for modules; looked at here after this machine's own.
    """

    def __init__(
        self,
        files: dict[str, np.ndarray],
        start: str,
        options: dict[str, Any],
        threads: int | None,
        paths: Sequence[str] = (),
    ) -> None:
        self._files, self._given = files, (start, options, threads)
        self._stack = contextlib.ExitStack()
        self._answer: Callable[..., Any] | None = None
        sys.path.extend(path for path in paths if path not in sys.path)

    def ask(self, *question: Any) -> Any:
        """Returns the answer to a question; the first one begins the work.

        Args:
            *question: What the driver's exchange asks.
        """
        if self._answer is None:  # not when it is made: what is raised there, Ray takes for a death
            self._answer = self._begin()
        return self._answer(*question)

    def close(self) -> None:
        """Removes the files again."""
        self._stack.close()

    def _begin(self) -> Callable[..., Any]:
        """Writes the files and returns the function that answers."""
        folder = self._stack.enter_context(temporary())
        for name, content in self._files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.data)
        self._files = {}
        start, options, threads = self._given
        return begin(start, folder, options, threads, self._stack, at_once=threads)


@contextlib.contextmanager
def running(address: str) -> Iterator[None]:
    """Connects to Ray for the time of a block, unless this process is connected already.

    Args:
        address: The address of a cluster, "auto" for the one that runs, "local" for a new one here.

    Raises:
        ImportError: If Ray is not installed.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield
        return
    own = {"include_dashboard": False} if address == "local" else {}
    ray.init(address=address, log_to_driver=False, **own)
    try:
        yield
    finally:
        ray.shutdown()


def size(threads: int | None) -> int:
    """Returns for how many workers the cluster that this process is connected to has processors.

    Args:
        threads: Processors of a worker; None for one.
    """
    return max(1, int(import_ray().cluster_resources().get("CPU", 1)) // (threads or 1))


def with_ray(
    work: Work,
    items: Sequence[T],
    *,
    workers: int,
    retries: int,
    exchange: Exchange,
    needs: Callable[[T], Iterable[T]] | None = None,
) -> Iterator[Event]:
    """Makes pieces of work with actors on Ray and yields what became of each, as it ends.

    Args:
        work: What the actors are started with; each is given `threads` processors, or one.
        items: The pieces, hashable.
        workers: How many actors.
        retries: How often a piece is tried again whose actor died.
        exchange: Asks, and takes what is answered.
        needs: Gives the pieces that must be made before a piece.

    Yields:
        Events; after one of kind "lost" or "error" nothing new is begun until the next is asked
        for. Actors that are left when the caller stops asking are ended.
    """
    crew = _Crew(import_ray(), work, Line(items, retries=retries, needs=needs), exchange)
    try:
        yield from crew.work(workers)
    finally:
        crew.end()


class _Crew:
    """The actors at work, those that wait, and what is still to be done."""

    def __init__(self, ray: Any, work: Work, line: Line, exchange: Exchange) -> None:
        self._ray, self._line, self._exchange = ray, line, exchange
        variables = {
            "KERAS_BACKEND": keras.backend.backend(),
            # else Ray sets it to 1, and NumPy's last bits would be others than the driver's
            "OMP_NUM_THREADS": str(work.threads or os.cpu_count()),
        }
        options = {"max_restarts": 0, "runtime_env": {"env_vars": variables}}
        kind = ray.remote(num_cpus=work.threads or 1, **options)(RemoteWorker)
        files = ray.put(_files(work.folder))
        given = (work.start, work.options, work.threads, [path for path in sys.path if path])
        self._hire = lambda: kind.remote(files, *given)
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Any, contextlib.ExitStack]] = {}
        self._events: collections.deque[Event] = collections.deque()

    def work(self, workers: int) -> Iterator[Event]:
        """Yields what became of each piece, as it ends."""
        self._hand_out(workers)
        while self._busy or self._events:
            if not self._events:
                [ready], _ = self._ray.wait(list(self._busy), num_returns=1)
                self._note(self._ended(ready))
            if self._events[-1].kind not in (LOST, ERROR):
                self._hand_out(workers)
            yield self._events.popleft()
            self._hand_out(workers)

    def end(self) -> None:
        """Ends the actors that are left, and gives their claims back."""
        for actor, _, claim in self._busy.values():
            self._ray.kill(actor)
            claim.close()
        self._busy.clear()
        while self._idle:
            self._dismiss(self._idle.pop())

    def _hand_out(self, workers: int) -> None:
        """Gives idle actors, or new ones, what can be made now and is nobody else's."""
        while len(self._busy) < workers and (item := self._line.next()) is not None:
            claim = contextlib.ExitStack()
            if not claim.enter_context(self._exchange.claim(item)):
                claim.close()
                self._note(Event(BUSY, item))
            elif self._exchange.has(item):
                claim.close()
                self._note(Event(THERE, item))
            else:
                actor = self._idle.pop() if self._idle else self._hire()
                answer = actor.ask.remote(*self._exchange.question(item))
                self._busy[answer] = (actor, item, claim)
        if not len(self._line):
            while self._idle:
                self._dismiss(self._idle.pop())

    def _note(self, event: Event) -> None:
        self._line.ended(event)
        self._events.append(event)

    def _ended(self, ready: Any) -> Event:
        """Takes an answer and returns what became of the piece; keeps the actor if it lives."""
        errors = self._ray.exceptions
        actor, item, claim = self._busy.pop(ready)
        with claim:
            try:
                answer = self._ray.get(ready)
            except errors.RayTaskError as error:
                self._idle.append(actor)
                return Event(ERROR, item, str(error.cause or error))
            except (errors.RayActorError, errors.ObjectLostError) as error:
                return self._line.died(item, f"died on Ray: {' '.join(str(error).split())[:300]}")
            self._idle.append(actor)
            return self._exchange.take(item, answer)

    def _dismiss(self, actor: Any) -> None:
        """Ends an actor that waits, once it has removed its files."""
        with contextlib.suppress(self._ray.exceptions.RayError):  # it has died meanwhile
            self._ray.get(actor.close.remote())
        self._ray.kill(actor)


def _files(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns path to bytes of all files below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): np.frombuffer(path.read_bytes(), "u1")
        for path in paths
    }


def import_ray() -> Any:
    """Imports Ray.

    Raises:
        ImportError: If it is not installed; the message names what to install.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "ray_address: Ray is not installed. Expected: pip install 'tfunlearn[distributed]'. "
            f"Received: {error}."
        ) from error
    return ray
