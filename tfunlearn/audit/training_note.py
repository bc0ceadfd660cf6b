"""Were the references trained as the original was? A two-sided look at what they all trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tfunlearn.audit.spread import spread_test

__all__ = ["FEW", "MARGINS", "retain_figures", "training_note"]

FEW = 18
"""References with which `spread_test` can tell nothing at its level; margins are fixed then."""

LEVEL = 0.95
MARGINS = {"retain accuracy": 0.05, "retain loss": 0.1, "recall": 0.1}
"""How far beyond the range of a few references an original lies before it is told: fractions and
nats. A recall must be off by 3 examples as well."""

_EXAMPLES = 3
_NAMED = 3


def retain_figures(accuracy: float, loss: float, recalls: np.ndarray) -> dict[str, float]:
    """Returns how well a model fits the retain set, by name of the figure.

    Args:
        accuracy: Share of right answers.
        loss: Mean cross-entropy, nats.
        recalls: Share of right answers by class, shape (C,); NaN for a class without examples.

    Example:
        >>> list(retain_figures(0.75, 0.5, np.array([0.5, np.nan, 1.0])))
        ['retain accuracy', 'retain loss', 'recall of class 0', 'recall of class 2']
    """
    present = np.flatnonzero(~np.isnan(recalls))
    by_class = {f"recall of class {label}": float(recalls[label]) for label in present}
    return {"retain accuracy": accuracy, "retain loss": loss, **by_class}


def training_note(
    original: Mapping[str, float],
    references: Sequence[Mapping[str, float]],
    class_counts: Sequence[int],
) -> list[str]:
    """Returns a note if references fit the retain set other than the original does; else nothing.

    All of them trained on the retain set, so its figures tell whether they trained alike. From 19
    references on it is `spread_test` over these figures, however many classes there are: an
    original that is one more of them gets a note in at most 5 % of cases. With fewer, a figure is
    told that lies beyond the range of the references by more than `MARGINS`. In both, figures
    inside the references' range are not told.

    Args:
        original: The original's `retain_figures`.
        references: Each reference's, of the same names; at least 1.
        class_counts: Retain examples of each class.

    Example:
        >>> one, other = retain_figures(0.8, 0.5, np.ones(1)), retain_figures(0.9, 0.45, np.ones(1))
        >>> training_note(one, [other], [100])[0].split(". ")[1]
        'Retain accuracy 90.0% against 80.0% (references better)'
    """
    values = {name: [own[name] for own in references] for name in original}
    beyond = {name: _beyond(original[name], own) for name, own in values.items()}
    steps = _steps(original, class_counts)
    if len(references) > FEW:
        test = spread_test(original, values, level=LEVEL, resolution=steps)
        told = [name for name in test.furthest if beyond[name] > 0]
        told = told if test.inside is False else []
        how = (
            f"Over {len(original)} figures of the retain set the original lies outside the spread "
            f"of the {len(references)} references (p = {test.p_value:.2g})"
        )
    else:
        told = [name for name in original if beyond[name] > _margin(name, steps)]
        told.sort(key=lambda name: -beyond[name] / _margin(name, steps))
        how = "The original lies beyond the references by more than a fixed margin"
    if not told:
        return []
    shown = ", ".join(_shown(name, original[name], values[name]) for name in told[:_NAMED])
    more = f", and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return [
        "The references do not fit the retain set, on which all of them were trained, as the "
        f"original does. {shown[:1].upper()}{shown[1:]}{more}. {how}. Were they trained as it was, "
        "with the same epochs, batch size, learning rate, and class or sample weights? If not, "
        "every gap shows that as well. Wrong labels or triggers in the forget set can be a cause "
        "too."
    ]


def _beyond(value: float, others: Sequence[float]) -> float:
    """Returns how far a value lies beyond the range of others; 0 inside."""
    return max(min(others) - value, value - max(others), 0.0)


def _steps(names: Mapping[str, float], class_counts: Sequence[int]) -> dict[str, float]:
    """Returns what one example changes in each figure that counts examples."""
    found = {"retain accuracy": 1 / max(sum(class_counts), 1)}
    for name in names:
        if name.startswith("recall"):
            found[name] = 1 / max(class_counts[int(name.rsplit(" ", 1)[1])], 1)
    return found


def _margin(name: str, steps: Mapping[str, float]) -> float:
    if name.startswith("recall"):
        return max(MARGINS["recall"], (_EXAMPLES - 0.5) * steps[name])
    return MARGINS[name]


def _shown(name: str, value: float, others: Sequence[float]) -> str:
    """Returns a figure with the references' mean, the original's value, and who is better."""
    mean = math.fsum(others) / len(others)
    better = (mean > value) is not (name == "retain loss")
    mean, own = (f"{v:.4f}" if name == "retain loss" else f"{v:.1%}" for v in (mean, value))
    return f"{name} {mean} against {own} (references {'better' if better else 'worse'})"
