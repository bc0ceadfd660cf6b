"""The metrics that `compare` measures, in the order they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from tfunlearn.report.parts import Column

__all__ = ["columns"]

_NEAR = "near the reference's"
_BY_ROLE = {
    "forget_accuracy": "lower: more of the forget set is lost, and zero is not the target",
    "forget_loss": "higher: less sure of the forget examples' labels",
    "accuracy": "higher: more right answers",
    "loss": "lower: surer of the right answers",
    "balanced_accuracy": "higher: more right answers, every class counting alike",
    "worst_recall": "higher: more right answers on the class with the fewest",
}
_KINDS = (  # key, words, unit, group
    ("accuracy", "accuracy", "fraction", "accuracy"),
    ("loss", "loss", "nats", "loss"),
    ("balanced_accuracy", "balanced accuracy", "fraction", "balanced"),
    ("worst_recall", "worst class recall", "fraction", "worst"),
)


def columns(roles: Sequence[str]) -> tuple[Column, ...]:
    """Returns the columns of an audit over these roles.

    Balanced accuracy and the worst class's recall are over the classes that a role has examples of.
    They are shown, and are not among the figures of the test against the references.

    Example:
        >>> [column.name for column in columns(["forget", "retain", "test"])][:3]
        ['forget_accuracy', 'retain_accuracy', 'test_accuracy']
    """
    by_role = [
        Column(f"{role}_{kind}", f"{role} {words}", unit, _direction(role, kind), group)
        for kind, words, unit, group in _KINDS
        for role in roles
    ]
    return (
        *by_role,
        Column(
            "membership_accuracy",
            "membership attack",
            "fraction",
            f"{_NEAR}; higher: forget examples are told from test examples more often, 0.5 is "
            "chance",
            "attack",
        ),
        Column(
            "membership_deviation",
            "deviation over folds",
            "deviation",
            "no target; standard deviation of the attack's accuracy; lower: a surer number",
            "attack",
        ),
        Column(
            "utility_preservation",
            "utility preservation",
            "ratio",
            f"{_NEAR}; higher: more test accuracy is kept, 1 is the original's",
            "utility",
        ),
        Column(
            "performance_drop",
            "performance drop",
            "fraction",
            f"{_NEAR}; higher: more test accuracy is lost, 0 is the original's",
            "utility",
        ),
        Column(
            "weight_distance",
            "weight distance",
            "distance",
            "no target; higher: the weights moved further from the original's",
            "cost",
        ),
        Column("seconds", "seconds", "seconds", "below the reference's; lower: faster", "cost"),
    )


def _direction(role: str, kind: str) -> str:
    key = f"{role}_{kind}"
    return f"{_NEAR}; {_BY_ROLE.get(key, _BY_ROLE[kind])}"
