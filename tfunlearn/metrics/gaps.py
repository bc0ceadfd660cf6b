"""The gaps to a retrained model, and the scores that sum them up. Everything is a fraction."""

from __future__ import annotations

import math
from collections.abc import Mapping

from numpy.typing import ArrayLike

from tfunlearn.metrics.accuracy import accuracy
from tfunlearn.metrics.arrays import fraction

__all__ = ["average_gap", "gaps", "tug_of_war", "unlearning_accuracy"]

_ROLES = ("forget", "retain", "test")
_ATTACK = "membership"


def unlearning_accuracy(labels: ArrayLike, logits: ArrayLike) -> float:
    """Returns 1 minus the accuracy on the forget set (UA).

    One is not the target: the target is the value of a model retrained without the forget set.
    For a random forget set that is about the test error, for a whole class about 1.

    Args:
        labels: The forget role's class numbers, integers of shape (N,), in [0, C).
        logits: The unlearned model's scores for them, shape (N, C), finite.

    Returns:
        A fraction in [0, 1].

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If a shape, a label or a logit breaks the rules above.

    Example:
        >>> unlearning_accuracy([0, 0, 0, 0], [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
        0.75

    Reference:
        Jia, Liu, Ram, Yao, Liu, Liu, Sharma, Liu, 2023, "Model Sparsity Can Simplify Machine
        Unlearning", arXiv 2304.04934.
    Deviation:
        A fraction, not percent.
    """
    return 1.0 - accuracy(labels, logits)


def gaps(unlearned: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float]:
    """Returns the unlearned model's UA, RA, TA and MIA minus those of a retrained model.

    Args:
        unlearned: The unlearned model's accuracy by role: `forget`, `retain` and `test`, fractions
            in [0, 1]. Optionally `membership`: what a membership attack says of the forget set
            (SalUn: the share of it that is taken for non-members), a fraction too.
        reference: The same of a model retrained without the forget set. `membership` is needed
            here if and only if it is there.

    Returns:
        Signed differences in [-1, 1] under `UA`, `RA`, `TA` and, where an attack was given,
        `MIA`. UA is 1 - forget accuracy: its gap is the forget accuracy's with the sign turned.

    Raises:
        TypeError: If a value is not a number.
        ValueError: If a role is missing or unknown, a value lies outside [0, 1], or only one
            model has `membership`.

    Example:
        >>> unlearned = {"forget": 1.0, "retain": 1.0, "test": 0.75}
        >>> gaps(unlearned, {"forget": 0.75, "retain": 0.875, "test": 0.75})
        {'UA': -0.25, 'RA': 0.125, 'TA': 0.0}

    Reference:
        Fan, Liu, Zhang, Wong, Wei, Liu, 2023, "SalUn: Empowering Machine Unlearning via
        Gradient-based Weight Saliency in Both Image Classification and Generation",
        arXiv 2310.12508.
    Deviation:
        Fractions, not percent.
    """
    found, wanted = _checked("unlearned", unlearned), _checked("reference", reference)
    if set(found) != set(wanted):
        raise ValueError(
            "membership must be given for both models or for neither. Expected the same keys. "
            f"Received {sorted(found)} for unlearned and {sorted(wanted)} for reference."
        )
    by_name = {
        "UA": wanted["forget"] - found["forget"],
        "RA": found["retain"] - wanted["retain"],
        "TA": found["test"] - wanted["test"],
    }
    if _ATTACK in found:
        by_name["MIA"] = found[_ATTACK] - wanted[_ATTACK]
    return by_name


def average_gap(unlearned: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """Returns the mean absolute gap to a retrained model over UA, RA, TA and, if given, MIA.

    Args:
        unlearned: As in `gaps`.
        reference: As in `gaps`.

    Returns:
        A fraction in [0, 1]; 0 means that all figures are those of the retrained model. A mean
        over three gaps is not comparable with one over four.

    Raises:
        TypeError: As in `gaps`.
        ValueError: As in `gaps`.

    Example:
        >>> unlearned = {"forget": 1.0, "retain": 1.0, "test": 0.75}
        >>> average_gap(unlearned, {"forget": 0.75, "retain": 0.875, "test": 0.75})
        0.125

    Reference:
        Fan, Liu, Zhang, Wong, Wei, Liu, 2023, arXiv 2310.12508 ("Avg. Gap").
    Deviation:
        A fraction, not percentage points.
    """
    found = gaps(unlearned, reference).values()
    return math.fsum(abs(gap) for gap in found) / len(found)


def tug_of_war(
    unlearned: Mapping[str, float], reference: Mapping[str, float], *, membership: bool = False
) -> float:
    """Returns the tug-of-war score (ToW): the product of 1 - |gap| over forget, retain and test.

    Args:
        unlearned: As in `gaps`.
        reference: As in `gaps`.
        membership: Take the gap of `membership` in place of that of the forget accuracy; the
            score is then called ToW-MIA. Both models must have it.

    Returns:
        A fraction in [0, 1]; 1 means that all three figures are those of the retrained model.

    Raises:
        TypeError: As in `gaps`.
        ValueError: As in `gaps`, or if `membership` is asked for and not given.

    Example:
        >>> unlearned = {"forget": 1.0, "retain": 1.0, "test": 0.75}
        >>> tug_of_war(unlearned, {"forget": 0.5, "retain": 0.5, "test": 0.75})
        0.25

    Reference:
        Zhao, Kurmanji, Barbulescu, Triantafillou, Triantafillou, 2024, "What makes unlearning
        hard and what to do about it", arXiv 2406.01257.
    Deviation:
        None known. The authors' code takes for `membership` SalUn's attack on the confidence.
    """
    found = gaps(unlearned, reference)
    if membership and "MIA" not in found:
        raise ValueError(
            "membership=True needs a membership attack on both models. Expected the key "
            f"'membership' in unlearned and reference. Received {sorted(unlearned)}."
        )
    forget = "MIA" if membership else "UA"
    return math.prod(1.0 - abs(found[name]) for name in (forget, "RA", "TA"))


def _checked(name: str, values: Mapping[str, float]) -> dict[str, float]:
    """Checks one model's figures and returns them as floats."""
    given = set(values)
    if not set(_ROLES) <= given <= {*_ROLES, _ATTACK}:
        raise ValueError(
            f"{name} must hold the model's accuracies by role. Expected the keys "
            f"{', '.join(_ROLES)} and optionally {_ATTACK}. Received {sorted(given)}."
        )
    return {role: fraction(f"{name}[{role!r}]", value) for role, value in values.items()}
