"""From what was measured to the rows and notes of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tfunlearn import metrics
from tfunlearn.attacks.membership import FOLDS, membership_attack
from tfunlearn.audit.measure import Measured, collapsed, histogram, near_chance
from tfunlearn.data import ForgetSplit
from tfunlearn.models import weight_distance
from tfunlearn.report import Column, Row

__all__ = ["RowMaker"]

_OUTPUTS = "its weights or outputs are not finite"


class RowMaker:
    """Makes a row per model and remembers what could not be had, and why.

    Args:
        models: Name to model; None for one of which only the outputs are known.
        split: The split they were measured on.
        original: Name of the original, or None.
        measured: Name to role to what was measured; a role without finite outputs is absent.
        times: Name to seconds, where known.
        columns: The metrics of a row.
        seed: Seed of the membership attack.
    """

    def __init__(
        self,
        models: Mapping[str, keras.Model | None],
        split: ForgetSplit,
        original: str | None,
        measured: Mapping[str, Mapping[str, Measured]],
        times: Mapping[str, float],
        columns: Sequence[Column],
        seed: int,
    ) -> None:
        self._models, self._measured, self._times = models, measured, times
        self._original, self._seed = original, seed
        self._columns, self._roles = columns, split.roles
        present = np.flatnonzero(split.class_counts("forget"))
        self._comparable = np.isin(split.labels("test"), present)
        self._retain_classes = np.count_nonzero(split.class_counts("retain"))
        self._absent: dict[tuple[str, str], list[str]] = {}
        self._attack_size = 0

    def row(self, name: str) -> Row:
        """Returns the row of one model."""
        values: dict[str, float | None] = dict.fromkeys(column.name for column in self._columns)
        for role, found in self._measured[name].items():
            values[f"{role}_accuracy"] = found.accuracy
            values[f"{role}_loss"] = float(found.losses.mean())
            values[f"{role}_balanced_accuracy"] = found.balanced
            values[f"{role}_worst_recall"] = float(found.recalls[found.worst_class])
        values |= self._membership(name) | self._utility(name) | self._distance(name)
        values["seconds"] = self._times.get(name)
        if name not in self._times:
            self._miss(name, ("seconds",), "none were given")
        histograms = {role: histogram(found.losses) for role, found in self._measured[name].items()}
        return Row(name, values, tuple(self._alarms(name)), histograms)

    def notes(self) -> list[str]:
        """Returns the notes on all rows made so far: the alarming ones first."""
        notes = [f"{name}: {text}" for name in self._models for text in self._texts(name)]
        notes += self._poor()
        notes += self._absences() + self._worst_classes()
        if self._attack_size:
            notes.append(
                f"Membership attack: {self._attack_size:,} examples a side, {FOLDS} folds; the "
                "non-members are test examples of the classes in the forget set."
            )
        return notes

    def _poor(self) -> list[str]:
        """Returns a note on an original that is near chance; without one, on each such model."""
        found = []
        for name in self._models if self._original is None else [self._original]:
            retain = self._measured[name].get("retain")
            if reason := retain and near_chance(retain, self._retain_classes):
                found.append(
                    f"{name} is near chance: {reason}. If it was better where it was trained, "
                    "inputs or labels are not as they were there: their scale, their order, their "
                    "preprocessing. If it was not, no number here says much."
                )
        return found

    def _worst_classes(self) -> list[str]:
        """Returns a note that names, by role, the class with each model's lowest recall."""
        parts = []
        for role in self._roles:
            by_class: dict[int, list[str]] = {}
            for name in self._models:
                if role in self._measured[name]:
                    worst = self._measured[name][role].worst_class
                    by_class.setdefault(worst, []).append(name)
            classes = [f"{label} ({', '.join(names)})" for label, names in sorted(by_class.items())]
            parts += [f"{role}: {', '.join(classes)}"] if classes else []
        return [f"Class with the lowest recall: {'; '.join(parts)}."] if parts else []

    def _absences(self) -> list[str]:
        """Returns a note for each set of metrics that some models lack for one reason."""
        models: dict[tuple[tuple[str, ...], str], list[str]] = {}
        for (name, reason), absent in self._absent.items():
            models.setdefault((tuple(absent), reason), []).append(name)
        notes = []
        for (absent, reason), names in models.items():
            labels = ", ".join(c.label for c in self._columns if c.name in absent)
            who = "every model" if len(names) == len(self._models) else ", ".join(names)
            notes.append(f"Absent for {who}: {labels}. Reason: {reason}.")
        return notes

    def remarks(self, name: str) -> list[str]:
        """Returns sentences on what is wrong with a model at first sight; none if nothing is."""
        return [f"{flag.capitalize()}: {text}" for flag, text in self._alarms(name).items()]

    def _texts(self, name: str) -> list[str]:
        return [f"{flag}; {text}" for flag, text in self._alarms(name).items()]

    def _alarms(self, name: str) -> dict[str, str]:
        """Returns flag and text on a broken or collapsed model, and on one still the original."""
        found = {}
        broken = [role for role in self._roles if role not in self._measured[name]]
        if broken:
            found["not finite"] = (
                f"its weights or its outputs on {', '.join(broken)} are not; nothing is measured."
            )
        retain = self._measured[name].get("retain")
        original = self._measured.get(self._original, {}).get("retain")
        reason = retain and collapsed(retain, self._retain_classes, original)
        if reason:
            found["collapsed"] = f"{reason}. Its other numbers mean little."
        if self._original not in (None, name) and self._unchanged(name):
            found["unchanged"] = f"its weights equal those of {self._original} byte for byte."
        return found

    def _unchanged(self, name: str) -> bool:
        if self._models[name] is None:
            return False
        own = self._models[name].get_weights()
        other = self._models[self._original].get_weights()
        return len(own) == len(other) and all(
            a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
            for a, b in zip(own, other, strict=True)
        )

    def _miss(self, name: str, absent: tuple[str, ...], reason: str) -> None:
        self._absent.setdefault((name, reason), []).extend(absent)

    def _membership(self, name: str) -> dict[str, float]:
        absent = ("membership_accuracy", "membership_deviation")
        roles = self._measured[name]
        if "forget" not in roles or "test" not in roles:
            self._miss(name, absent, _OUTPUTS)
            return {}
        members, others = roles["forget"].losses, roles["test"].losses[self._comparable]
        if min(len(members), len(others)) < FOLDS:
            self._miss(
                name,
                absent,
                f"it needs {FOLDS} examples a side, and there are {len(members)} forget examples "
                f"and {len(others)} test examples of their classes",
            )
            return {}
        attack = membership_attack(members, others, seed=self._seed)
        self._attack_size = attack.size
        return dict(zip(absent, (attack.accuracy, attack.deviation), strict=True))

    def _utility(self, name: str) -> dict[str, float]:
        absent = ("utility_preservation", "performance_drop")
        if self._original is None:
            self._miss(name, absent, "no original was given")
            return {}
        if "test" not in self._measured[name]:
            self._miss(name, absent, _OUTPUTS)
            return {}
        pair = [self._measured[key]["test"].accuracy for key in (name, self._original)]
        found = {"performance_drop": metrics.performance_drop(*pair)}
        if pair[1] > 0:
            return found | {"utility_preservation": metrics.utility_preservation(*pair)}
        self._miss(name, absent[:1], "the original's test accuracy is 0")
        return found

    def _distance(self, name: str) -> dict[str, float]:
        if self._original is None:
            self._miss(name, ("weight_distance",), "no original was given")
            return {}
        own, other = self._models[name], self._models[self._original]
        if own is None:
            self._miss(name, ("weight_distance",), "its logits are kept, not its weights")
            return {}
        if [tuple(w.shape) for w in own.weights] != [tuple(w.shape) for w in other.weights]:
            self._miss(name, ("weight_distance",), "its weights have not the original's shapes")
            return {}
        distance = weight_distance(other, own)
        if not np.isfinite(distance):
            self._miss(name, ("weight_distance",), "its weights are not finite")
            return {}
        return {"weight_distance": distance}
