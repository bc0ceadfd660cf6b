"""The words and number formats of the pages on evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfunlearn.report import wording

__all__ = [
    "READING",
    "deviation",
    "figure_label",
    "p_value",
    "percentile",
    "references",
    "seeds",
    "span",
]

READING = (
    "Inside the references' spread: one more model retrained without the forget set would lie as "
    "far out at least as often as the p-value says. Outside: fewer than one in twenty would, at "
    "the level of 95 %. The answer is one test over all figures; a single figure far out is not "
    "yet an answer.",
    "Percentile: the share of the references below the value. The interval beside it tells how "
    "far that place is known from so few references.",
    "LiRA AUC, deviations and JS divergence hold a model against others: the model itself against "
    "the references, and each reference against the other references and the model. So the "
    "references' values of these figures differ from model to model.",
    "ROC curve: how many forget examples an attack finds (true positive rate) for how many test "
    "examples it takes for forget examples by mistake (false positive rate). Both axes are "
    "logarithmic, as an attack that is sure of a few counts. The target is what the same attack "
    "shows against the references.",
    "Margin: the logit of the right class minus the logarithm of the summed exponentials of the "
    "others. At 0 the model gives the right class a probability of one half.",
)

_LABELS = {
    "auc": "AUC",
    "advantage": "advantage",
    "balanced_accuracy": "balanced accuracy",
    "tpr_at_fpr_0_01": "TPR at 1 % FPR",
    "tpr_at_fpr_0_001": "TPR at 0.1 % FPR",
    "decision_accuracy": "own decisions' accuracy",
}


def figure_label(name: str) -> str:
    """Returns the heading of an attack's figure.

    Example:
        >>> figure_label("tpr_at_fpr_0_01"), figure_label("an_own_one")
        ('TPR at 1 % FPR', 'an own one')
    """
    return _LABELS.get(name, name.replace("_", " "))


def p_value(value: float | None) -> str:
    """Returns a p-value, never rounded to zero.

    Example:
        >>> p_value(0.0303), p_value(0.00012), p_value(None)
        ('0.030', '0.0001', '-')
    """
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.001 or value == 0 else f"{value:.1g}"


def percentile(value: float | None) -> str:
    """Returns a percentile as a whole number, never 0 or 100 where it is not.

    Example:
        >>> percentile(97.9), percentile(99.9), percentile(0.0)
        ('98', '>99', '0')
    """
    if value is None:
        return "-"
    if 99.5 <= value < 100:
        return ">99"
    return "<1" if 0 < value < 0.5 else f"{value:.0f}"


def seeds(values: Sequence[int]) -> str:
    """Returns seeds in few words.

    Example:
        >>> seeds([0, 1, 2, 3]), seeds([7, 3])
        ('0 to 3', '7, 3')
    """
    values = list(values)
    if len(values) > 2 and values == list(range(values[0], values[0] + len(values))):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(str(value) for value in values)


def deviation(value: float | None) -> str:
    """Returns a number of standard deviations with its sign.

    Example:
        >>> deviation(4.26), deviation(-0.01), deviation(None)
        ('+4.3', '+0.0', '-')
    """
    return "-" if value is None else f"{round(value, 1) + 0.0:+.1f}"


def span(low: float | None, high: float | None, unit: str = "fraction") -> str:
    """Returns a range with the digits of its unit; nothing where an end is absent."""
    if low is None or high is None:
        return ""
    return f"{wording.number(low, unit)} to {wording.number(high, unit)}"


def references(values: Sequence[float], unit: str = "fraction") -> tuple[str, str]:
    """Returns the references' mean and their range.

    Example:
        >>> references([0.1, 0.2])
        ('0.150', '0.100 to 0.200')
    """
    if not values:
        return "-", ""
    mean = math.fsum(values) / len(values)
    return wording.number(mean, unit), span(min(values), max(values), unit)
