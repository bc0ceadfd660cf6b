"""The reference bank: many models retrained under different seeds, and their logits on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn import models
from tfunlearn.audit import bank_spool, marks
from tfunlearn.audit.bank_entry import DIVERGED, SETTINGS, Entries
from tfunlearn.audit.bank_job import Item, Job, whole
from tfunlearn.audit.bank_key import data_marks, settings, weighting
from tfunlearn.audit.bank_make import make_here
from tfunlearn.audit.bank_reading import BankReading
from tfunlearn.audit.bank_training import Trainer
from tfunlearn.audit.bank_workers import make_with_processes
from tfunlearn.data import ForgetSplit
from tfunlearn.methods.checks import check
from tfunlearn.pool import DIED, ERROR, LOST, Event, check_counts, until_done
from tfunlearn.reading import expanded
from tfunlearn.report.wording import shown_seeds
from tfunlearn.storage import clear_scratch
from tfunlearn.training import Recipe, check_epochs

__all__ = ["ReferenceBank"]

IN_SEED_STEP = 500_000  # from a bank's first seed to that of its first model with the forget set
_SHOWN = 16  # digits of the key that are the folder's name


class ReferenceBank(BankReading):
    """Models trained without the forget set, and if asked with it, under different seeds.

    What is kept of each is its logits on every role. A model is trained as `methods.retrain` does
    it, but that whole epochs of a dense network are compiled from 750 steps on instead of 6,000,
    as the models share what is compiled: see `training.xla`. It has the bank's seed, or that plus
    1, 2, ...; a model with the forget set has those plus 500,000, so that no two start alike.

    Models are kept under all that they depend on: architecture, recipe, data, seed, versions and
    this package's code. If any of it changes, the bank is another one, and empty; several may share
    a directory. What a killed `fill` had finished is there, and a file that was torn or altered is
    seen, left out, and made again.

    Args:
        directory: Where banks are kept; made if it is not there.
        model: The original, a built classifier; a copy of it is kept.
        split: The data; reads forget, retain and the roles below.
        epochs: Passes over the training examples, at least 1; as many as the original was given.
        batch_size: Examples a batch.
        loss: Loss on class ids or one-hot rows; by default the model's own.
        optimizer: Optimizer; by default a fresh one like the model's own.
        roles: Roles whose logits are kept; by default all that the split has.
        dtype: "float32", or "float16" for half the space.
        keep_weights: Keep the weights too.
        seed: Seed of the first model, from 0. Take another one than the original's.
        threads: CPU threads of an operation, at least 1. The last bits of a convolution depend on
            them, so the number belongs to the bank, and models are made in other processes, where
            it can be set. None trains in this process, with the threads that it has: for streams,
            for layers that other processes cannot import, and where starting a process takes longer
            than the training. Set on TensorFlow alone; other backends take what they take.
        jit_compile: As in `keras.Model.compile`.
        class_weight: `{class: weight}` in the loss, as the original's `fit` had it.
        sample_weight: Weight of each training example, (N,) in the order of the training data.
        initial: What the original's training began with, where that was no random start: every
            model begins with its weights. Of a model that holds a part, a backbone say, or has
            another head, the layers of the same name, class and shapes are taken, and the others
            drawn from each model's seed; see `models.Start`.
        fresh: Names of layers that are drawn from the seed although `initial` holds them.
        say: Called with a line when something is wrong or goes on anew; None for silence.

    Attributes:
        folder: Where this bank's models are.
        settings: What they depend on, as JSON values.

    Raises:
        TypeError: If the loss or a config is nothing that a bank can be kept under.
        ValueError: If an argument is out of range, or model, split and loss do not fit together.

    Example:
        >>> import tempfile
        >>> import keras, numpy as np
        >>> from tfunlearn import audit, data
        >>> x, y = np.eye(6, dtype="float32"), np.arange(6) % 2
        >>> split = data.by_index(x, y, forget=[0, 3], test=(x, y))
        >>> net = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> net.compile("sgd", loss)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     bank = audit.ReferenceBank(folder, net, split, epochs=1, threads=None)
        ...     made = bank.fill(3)
        ...     made, bank.seeds, bank.logits("forget").shape
        (3, [0, 1, 2], (3, 2, 2))
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        model: keras.Model,
        split: ForgetSplit,
        *,
        epochs: int = 5,
        batch_size: int = 128,
        loss: Any = None,
        optimizer: Any = None,
        roles: Sequence[str] | None = None,
        dtype: str = "float32",
        keep_weights: bool = False,
        seed: int = 0,
        threads: int | None = 1,
        jit_compile: bool | str = "auto",
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial: keras.Model | None = None,
        fresh: Sequence[str] | str = (),
        say: Callable[[str], None] | None = print,
    ) -> None:
        roles = _roles(split, roles)
        _check(epochs, dtype, threads)
        split.check("retain", batch_size)
        check(model, split, {"forget", "retain", *roles}, seed=seed)
        recipe = dataclasses.replace(Recipe.of(model, loss=loss, optimizer=optimizer), metrics=[])
        split = split.weighted(sample_weight=sample_weight)
        weighed = split.weighted(class_weight=class_weight)
        if fresh and initial is None:
            raise ValueError(f"fresh: expected initial with it. Received: {fresh!r} alone.")
        job = Job(
            model=models.copy(model),
            split=weighed,
            recipe=recipe,
            epochs=int(epochs),
            batch_size=int(batch_size),
            jit_compile=jit_compile,
            roles=roles,
            dtype=dtype,
            keep_weights=keep_weights,
            weighting=weighting(split, class_weight),
            start=None if initial is None else models.Start.of(model, initial, fresh=fresh),
        )
        models.logits_model(job.model)  # raises if there are none to keep
        self._seed, self._threads = int(seed), threads
        self.settings = settings(job, seed=self._seed, threads=threads)
        key = marks.text_mark(self.settings)
        folder = expanded(directory, "directory") / key[:_SHOWN]
        entries = Entries(folder, key, roles, keep_weights)
        super().__init__(job, entries, say or (lambda line: None))

    @property
    def rate(self) -> str:
        """The learning rate that models are trained with and where it came from, in words."""
        return self._job.recipe.rate

    def fill(
        self,
        count: int,
        *,
        include_forget: bool = False,
        workers: int | None = None,
        ray_address: str | None = None,
        retries: int = 2,
        retry_diverged: bool = False,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> int:
        """Makes what is missing of the first models of the bank.

        A model whose training diverges is kept as a fact, by its seed: it is none of the models,
        the others are made all the same, and it is not tried again unless asked.

        May be killed at any moment and run again, and several may run at once, on one machine or
        on a shared folder: no model is made twice. The same seed gives the same bytes however
        many processes there are, on processors of one kind.

        Args:
            count: How many models there are to be, at least 1.
            include_forget: Models that are trained on the forget set as well.
            workers: Processes at work at a time: on this machine by default 1, on Ray as many as
                it has processors for.
            ray_address: Work on Ray: the address of a cluster, "auto" for the one that runs, or
                "local" to start one here. Results come back to this process, which writes them.
            retries: How often a model is tried again whose process died.
            retry_diverged: Try again the models that are known to diverge.
            progress: Called with the number of models done in this call, of all that it has to
                do, and a line on the last one.

        Returns:
            How many models were made, by this call or by another process meanwhile; those that
            diverged are not among them, see `diverged`. Costs `epochs` passes over the training
            examples for each.

        Raises:
            ImportError: If Ray is asked for and not installed.
            OSError: If the folder cannot be written to.
            RuntimeError: If a training failed, every model diverged, or a model's process died too
                often; what was finished is kept. Also if the split's arrays were changed since the
                bank was made.
            ValueError: If an argument is out of range, or the job cannot be given to processes.
        """
        items = self._wanted(count, include_forget)
        workers = self._workers(workers, ray_address, retries)
        if include_forget:
            whole(self._job.split)  # raises if there is no such thing
        self._entries.write_settings(self.settings)
        left = self._entries.clear_all()
        for other in self.folder.parent.glob(f"*/{SETTINGS}"):  # copies of data, of any bank here
            left += clear_scratch(other.parent)
        if left:
            self._say(f"{left} leftovers of a process that died: removed")
        self._require_distinct()
        if retry_diverged:
            for item in items:
                self._entries.forget_diverged(item)
        faults = {item: self._fault(item, "made again") for item in items}
        todo = [item for item, fault in faults.items() if fault not in (None, DIVERGED)]
        made = self._make(todo, workers, ray_address, retries, progress) if todo else 0
        self._say_diverged(items)
        return made

    def _make(
        self,
        todo: list[Item],
        workers: int | None,
        ray_address: str | None,
        retries: int,
        progress: Callable[[int, int, str], None] | None,
    ) -> int:
        """Makes models; returns how many were made, those that diverged left out."""
        self._require_same_data()
        if self._job.start is not None:
            self._say(str(self._job.start))
        done, diverged, total = 0, 0, len(todo)
        with (
            self._maker(workers, ray_address, retries) as make,
            contextlib.closing(until_done(todo, make, self._free)) as events,
        ):
            for event in events:
                if event.kind == DIED:
                    self._say(f"{event.item}: its process {event.text}; tried again")
                    continue
                if event.kind in (LOST, ERROR):
                    words = "its process " if event.kind == LOST else ""
                    raise RuntimeError(f"{event.item}: {words}{event.text}")
                done += 1
                diverged += event.kind == DIVERGED
                if progress is not None:
                    progress(done, total, str(event))
        return done - diverged

    def _say_diverged(self, items: list[Item]) -> None:
        """Says which of some models diverged; raises if all did."""
        side = items[0].include_forget
        known = self._entries.diverged(side)
        seeds = [item.seed for item in items if item.seed in known]
        if not seeds:
            return
        again = "Not tried again unless asked: retry_diverged=True, or --retry-diverged."
        if len(seeds) == len(items):
            raise RuntimeError(
                f"count: the training of each of {len(items)} models diverged. Expected: at least "
                f"one that is finite; lower the learning rate. Received: {items[0]}: "
                f"{known[seeds[0]]} {again}"
            )
        self._say(
            f"{len(seeds)} of {len(items)} models {'with' if side else 'without'} the forget set "
            f"diverged and are not kept: {shown_seeds(seeds)}. {again}"
        )

    def missing(self, count: int, *, include_forget: bool = False) -> list[int]:
        """Returns the seeds of the first models that are not there, or not whole.

        Those that are known to diverge are left out.

        Args:
            count: How many models there are to be.
            include_forget: Of the models that are trained on the forget set as well.
        """
        items = self._wanted(count, include_forget)
        faults = {item.seed: self._fault(item, "left out") for item in items}
        return [seed for seed, fault in faults.items() if fault not in (None, DIVERGED)]

    def _wanted(self, count: int, include_forget: bool) -> list[Item]:
        """Returns the first models of a side."""
        if not isinstance(count, int | np.integer) or not 1 <= count <= IN_SEED_STEP:
            raise ValueError(
                f"count: expected a whole number of 1 to {IN_SEED_STEP} models. "
                f"Received: {count!r}."
            )
        first = self._seed + (IN_SEED_STEP if include_forget else 0)
        return [Item(first + number, include_forget) for number in range(count)]

    def _workers(self, workers: int | None, ray_address: str | None, retries: int) -> int | None:
        """Returns how many processes are to work, once it is known that they can."""
        check_counts(workers=workers, retries=retries)
        if self._threads is None:
            if (workers or 1) > 1 or ray_address is not None:
                raise ValueError(
                    "workers: a bank with threads=None trains in this process. Expected: 1, or a "
                    f"bank with threads=1. Received: {workers or ray_address}."
                )
        else:
            bank_spool.check_spoolable(self._job)
        return workers

    @contextlib.contextmanager
    def _maker(
        self, workers: int | None, ray_address: str | None, retries: int
    ) -> Iterator[Callable[[list[Item]], Iterator[Event]]]:
        """Yields the function that makes models and tells what became of each."""
        if self._threads is None:
            trainer = Trainer(self._job)
            yield lambda items: make_here(trainer, self._entries, items)
            return
        with self._entries.scratch() as folder:
            bank_spool.write(self._job, folder)
            options = {"workers": workers, "threads": self._threads, "retries": retries}
            if ray_address is None:
                options["workers"] = workers or 1
                yield lambda items: make_with_processes(self._entries, folder, items, **options)
                return
            from tfunlearn.audit.bank_ray import make_on_ray
            from tfunlearn.pool.on_ray import running

            with running(ray_address):
                yield lambda items: make_on_ray(self._entries, folder, items, **options)

    def _free(self, item: Item) -> bool:
        """Tells whether no other process is making a model."""
        with self._entries.claim(item) as mine:
            return mine

    def _require_same_data(self) -> None:
        """Raises if arrays were changed in place since they were marked."""
        split, roles = self._job.split, self._job.roles
        if any(split.source(role).is_stream for role in split.roles):
            return
        if data_marks(split, roles) != self.settings["data"]:
            raise RuntimeError(
                "split: its arrays were changed in place since the bank was made, which is kept "
                "under what they were. Expected: the same examples; make the bank anew."
            )


def _roles(split: ForgetSplit, roles: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the roles to keep in the split's order."""
    if not isinstance(split, ForgetSplit):
        raise TypeError(f"split: expected a ForgetSplit. Received: {type(split).__name__}.")
    asked = split.roles if roles is None else (roles,) if isinstance(roles, str) else tuple(roles)
    if not asked or set(asked) - set(split.roles):
        raise ValueError(
            f"roles: expected some of {', '.join(split.roles)}. Received: {list(asked)}."
        )
    return tuple(role for role in split.roles if role in asked)


def _check(epochs: Any, dtype: Any, threads: Any) -> None:
    """Raises unless options are in range."""
    check_epochs(epochs)
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype: expected 'float32' or 'float16'. Received: {dtype!r}.")
    check_counts(threads=threads)
