"""The reading half of a bank: which models are there and whole, and what is kept of them."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn import metrics, models
from tfunlearn.audit.bank_entry import ABSENT, DIVERGED, WEIGHTS, Entries
from tfunlearn.audit.bank_job import Item, Job

__all__ = ["BankReading"]


class BankReading:
    """What `ReferenceBank` tells of its models; every file is checked when it is read.

    Args:
        job: What the models have in common.
        entries: The models on disk.
        say: Called with a line on each model that is damaged.
    """

    def __init__(self, job: Job, entries: Entries, say: Callable[[str], None]) -> None:
        self._job, self._entries, self._say = job, entries, say
        self._named: set[str] = set()
        self.folder = entries.folder

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose logits are kept."""
        return self._job.roles

    @property
    def seeds(self) -> list[int]:
        """Seeds of the whole models that were trained without the forget set, ascending."""
        return self.finished()

    @property
    def diverged(self) -> dict[int, str]:
        """Seeds of the models without the forget set whose training diverged, and how each did.

        They are no references. Leaving them out without a word would hide that this recipe fails
        for some seeds, so an audit counts them in a note.
        """
        return self._entries.diverged(False)

    @property
    def seconds(self) -> np.ndarray:
        """What training each of `seeds` took, float64 of shape (models,)."""
        return np.array([note["seconds"] for note in self.notes()], np.float64)

    def __len__(self) -> int:
        """The number of whole models that were trained without the forget set."""
        return len(self.seeds)

    def finished(self, *, include_forget: bool = False) -> list[int]:
        """Returns the seeds of the whole models, ascending.

        Args:
            include_forget: Of the models that are trained on the forget set as well.

        Raises:
            ValueError: If two folders hold the same logits or weights, which would count as two.
        """
        self._require_distinct()
        return self._finished(include_forget)

    def logits(
        self, role: str, *, include_forget: bool = False, seeds: Sequence[int] | None = None
    ) -> np.ndarray:
        """Returns all models' logits on a role, in the order of their seeds.

        Args:
            role: One of the roles that are kept.
            include_forget: Of the models that are trained on the forget set as well.
            seeds: Of these models, in this order; by default of all that are whole.

        Returns:
            Logits of shape (models, examples, classes), in the bank's dtype; examples are in the
            order of `split.labels(role)`.

        Raises:
            ValueError: If the role is not kept, the bank is empty, or a model is not whole.
        """
        self._require_role(role)
        items = self._chosen(seeds, include_forget)
        return np.stack([self._entries.logits(item, role) for item in items])

    def margins(
        self, role: str, *, include_forget: bool = False, seeds: Sequence[int] | None = None
    ) -> np.ndarray:
        """Returns all models' margins on a role, as `metrics.margins` defines them.

        Args:
            role: One of the roles that are kept.
            include_forget: Of the models that are trained on the forget set as well.
            seeds: Of these models, in this order; by default of all that are whole.

        Returns:
            Margins in nats, float64 of shape (models, examples).

        Raises:
            ValueError: As `logits`.
        """
        labels = self._job.split.labels(role)
        scores = self.logits(role, include_forget=include_forget, seeds=seeds)
        return np.stack([metrics.margins(labels, one) for one in scores])

    def accuracy(
        self, role: str, *, include_forget: bool = False, seeds: Sequence[int] | None = None
    ) -> np.ndarray:
        """Returns all models' accuracies on a role.

        Args:
            role: One of the roles that are kept.
            include_forget: Of the models that are trained on the forget set as well.
            seeds: Of these models, in this order; by default of all that are whole.

        Returns:
            Fractions in [0, 1], float64 of shape (models,), from the logits before they were
            stored.

        Raises:
            ValueError: As `logits`.
        """
        self._require_role(role)
        notes = self.notes(include_forget=include_forget, seeds=seeds)
        if not notes:
            self._chosen(seeds, include_forget)
        return np.array([note["accuracy"][role] for note in notes], np.float64)

    def notes(
        self, *, include_forget: bool = False, seeds: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Returns what is noted of each model: seed, seconds, accuracies, versions, sha256 sums.

        Args:
            include_forget: Of the models that are trained on the forget set as well.
            seeds: Of these models, in this order; by default of all that are whole.

        Raises:
            ValueError: If a model that was asked for is not whole.
        """
        if seeds is None and not self.finished(include_forget=include_forget):
            return []
        return [self._entries.note(item) for item in self._chosen(seeds, include_forget)]

    def model(self, seed: int, *, include_forget: bool = False) -> keras.Model:
        """Returns one of the models, uncompiled, where weights are kept.

        Args:
            seed: Its seed.
            include_forget: Of the models that are trained on the forget set as well.

        Raises:
            ValueError: If weights are not kept, or the model is not whole.
        """
        if not self._job.keep_weights:
            raise ValueError(
                "keep_weights: this bank keeps logits alone. Expected: a bank with "
                "keep_weights=True. Received: keep_weights=False."
            )
        [item] = self._chosen([seed], include_forget)
        content = self._entries.file(item, WEIGHTS)
        found = models.copy(self._job.model)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / WEIGHTS
            path.write_bytes(content)
            found.load_weights(path)
        return found

    def __repr__(self) -> str:
        sides = {side: len(self._finished(side)) for side in (False, True)}
        lost = sum(len(self._entries.diverged(side)) for side in sides)
        return (
            f"ReferenceBank({str(self.folder)!r}: {sides[False]} models without the forget set, "
            f"{sides[True]} with it{f', {lost} diverged' if lost else ''})"
        )

    def _finished(self, include_forget: bool) -> list[int]:
        """Returns the seeds of the whole models, copies or not."""
        found = self._entries.items(include_forget)
        return [item.seed for item in found if self._fault(item, "left out") is None]

    def _require_distinct(self) -> None:
        """Names, once, the folders that are no model's; raises if two hold the same model."""
        for path in self._entries.strangers():
            if path.name not in self._named:
                self._named.add(path.name)
                self._say(
                    f"{path.name!r} is no model of this bank, whose folders are out-SEED and "
                    "in-SEED, with the seed as 0, 1, 2, ...; left out"
                )
        groups = self._entries.copies()
        if groups:
            shown = "; ".join(" = ".join(map(repr, group)) for group in groups)
            raise ValueError(
                "bank: a model counts once, so none may be there twice. Expected: other logits and "
                f"weights under every name. Received in {str(self.folder)!r}: {shown}. Remove the "
                "copies. If each was trained, the seed changes nothing in this training (no random "
                "start, one batch an epoch), and one model is all there is."
            )

    def _fault(self, item: Item, remedy: str) -> str | None:
        """Returns what keeps a model from being used; says so if it is there and damaged."""
        fault = self._entries.fault(item)
        if fault not in (None, ABSENT, DIVERGED):
            self._say(f"{item}: {fault}; {remedy}")
        return fault

    def _chosen(self, seeds: Sequence[int] | None, include_forget: bool) -> list[Item]:
        """Returns the models that were asked for, all of which are whole."""
        if seeds is None:
            seeds = self.finished(include_forget=include_forget)
        items = [Item(int(seed), include_forget) for seed in seeds]
        if not items:
            raise ValueError(
                "the bank is empty. Expected: at least one whole model; fill it first. "
                f"Received: none in {str(self.folder)!r}."
            )
        for item in items:
            if (fault := self._entries.fault(item)) is not None:
                raise ValueError(
                    f"seeds: expected models that are whole; fill the bank. Received: {item}, "
                    f"of which: {fault}."
                )
        return items

    def _require_role(self, role: str) -> None:
        if role not in self._job.roles:
            raise ValueError(
                f"role: expected one of {', '.join(self._job.roles)}, which this bank keeps. "
                f"Received: {role!r}."
            )
