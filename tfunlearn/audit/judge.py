"""Model after model held against the references of an audit, as their logits come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfunlearn.audit.copies import require_distinct_logits
from tfunlearn.audit.evidence import evidence
from tfunlearn.audit.references import References
from tfunlearn.data import ForgetSplit
from tfunlearn.report.evidence import Evidence

__all__ = ["Judge"]


class Judge:
    """Collects the evidence on the models of an audit.

    The logits of rows that are references are kept until all of them are there; of the original
    its margins' source is kept, those of the forget set; of the others nothing.

    Args:
        split: The split.
        references: The references, if they are known already: those of a bank.
        rows: Names of the models that are the references otherwise; a single one has no spread.
        original: Name of the original, or None.
        remarks: Name to sentences that go before the model's verdict.

    Attributes:
        found: Name of a model to the evidence on it.
    """

    def __init__(
        self,
        split: ForgetSplit,
        references: References | None,
        rows: Sequence[str],
        original: str | None,
        remarks: Callable[[str], Sequence[str]],
    ) -> None:
        self._split, self._references, self._remarks = split, references, remarks
        self._rows, self._original = tuple(rows), original
        self._kept: list[Mapping[str, np.ndarray]] = []
        self._original_logits: np.ndarray | None = None
        self.found: dict[str, Evidence] = {}

    def see(self, name: str, logits: Mapping[str, np.ndarray], **options: Any) -> None:
        """Takes a model's logits: first the references, then the original, then the others.

        Args:
            name: The model's name.
            logits: Role to logits; a model on which some role is missing gets no evidence.
            **options: As of `evidence`.
        """
        if name in self._rows:
            self._keep(logits)
            return
        if name == self._original:
            self._original_logits = logits["forget"]
        if self._references is None or set(logits) != set(self._split.roles):
            return
        self.found[name] = evidence(
            self._references,
            logits,
            ids=self._split.ids["forget"],
            original=self._original_logits,
            remarks=self._remarks(name),
            **options,
        )

    def _keep(self, logits: Mapping[str, np.ndarray]) -> None:
        """Keeps a reference's logits; the last one makes the references of all."""
        if len(self._rows) < 2:
            return
        self._kept.append(logits)
        if len(self._kept) == len(self._rows):
            roles = {role: self._split.labels(role) for role in self._split.roles}
            stacked = {role: np.stack([own[role] for own in self._kept]) for role in roles}
            require_distinct_logits("reference", self._rows, stacked)
            self._references = References(roles, stacked)
            self._kept = []
