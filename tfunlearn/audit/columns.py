"""The metrics that `compare` measures, in the order they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from tfunlearn.report.parts import Column

__all__ = ["columns"]

_NEAR = "near the reference's"


def columns(roles: Sequence[str]) -> tuple[Column, ...]:
    """Returns the columns of an audit over these roles.

    Example:
        >>> [column.name for column in columns(["forget", "retain", "test"])][:3]
        ['forget_accuracy', 'retain_accuracy', 'test_accuracy']
    """
    by_role = [
        Column(f"{role}_{kind}", f"{role} {kind}", unit, _NEAR, kind)
        for kind, unit in (("accuracy", "fraction"), ("loss", "nats"))
        for role in roles
    ]
    return (
        *by_role,
        Column(
            "membership_accuracy",
            "membership attack",
            "fraction",
            f"{_NEAR}; 0.5 is chance",
            "attack",
        ),
        Column(
            "membership_deviation",
            "deviation over folds",
            "deviation",
            "standard deviation of the attack's accuracy; the smaller, the surer the number",
            "attack",
        ),
        Column(
            "forgetting_effectiveness",
            "forgetting effectiveness",
            "fraction",
            f"{_NEAR}; the forget accuracy",
            "utility",
        ),
        Column(
            "utility_preservation",
            "utility preservation",
            "ratio",
            f"{_NEAR}; 1 is the original's test accuracy",
            "utility",
        ),
        Column(
            "performance_drop",
            "performance drop",
            "fraction",
            f"{_NEAR}; 0 is the original's test accuracy",
            "utility",
        ),
        Column(
            "weight_distance",
            "weight distance",
            "distance",
            "no target; how far the weights moved from the original's",
            "cost",
        ),
        Column("seconds", "seconds", "seconds", "below the reference's", "cost"),
    )
