"""The contract of a method as checks that anyone can run on a method of their own.

Example:
    >>> from tfunlearn import testing
    >>> [check.__name__ for check in testing.checks()][:2]
    ['check_signature', 'check_original_untouched']

``check_method(Method(my_function, {"retain"}, scope="both", cost="one pass"))`` runs them all.
"""

import unittest
from collections.abc import Callable
from typing import Any

from tfunlearn.methods import Method
from tfunlearn.testing.agreement import (
    check_arrays_and_streams_agree,
    check_jit_agrees,
    check_replicas_agree,
)
from tfunlearn.testing.behaviour import (
    check_errors,
    check_no_collapse,
    check_reads,
    check_seed,
    check_weights,
    check_zero_strength,
)
from tfunlearn.testing.result import (
    check_finite,
    check_original_untouched,
    check_plain_result,
    check_signature,
)

__all__ = [
    "check_arrays_and_streams_agree",
    "check_errors",
    "check_finite",
    "check_jit_agrees",
    "check_method",
    "check_no_collapse",
    "check_original_untouched",
    "check_plain_result",
    "check_reads",
    "check_replicas_agree",
    "check_seed",
    "check_signature",
    "check_weights",
    "check_zero_strength",
    "checks",
]


def checks() -> tuple[Callable[..., None], ...]:
    """Returns every check, cheap ones first.

    Each is called as ``check(method, **options)``, where the options go to the method. It raises
    ``AssertionError`` if the method breaks the rule, and ``unittest.SkipTest`` (which pytest
    reports as a skip) where it cannot be run here.
    """
    return (
        check_signature,
        check_original_untouched,
        check_finite,
        check_seed,
        check_reads,
        check_weights,
        check_zero_strength,
        check_errors,
        check_arrays_and_streams_agree,
        check_jit_agrees,
        check_no_collapse,
        check_plain_result,
        check_replicas_agree,
    )


def check_method(method: Method, **options: Any) -> dict[str, str]:
    """Runs every check on a method, about half a minute on two cores.

    Args:
        method: the method as a line of the table: function, roles it reads, scope and cost.
        **options: arguments of the method's own, where its defaults do not suit tiny data.

    Returns:
        Check to ``"passed"`` or ``"skipped: <reason>"``.

    Raises:
        AssertionError: if the method breaks the contract; the message lists every broken rule.
    """
    results, broken = {}, []
    for check in checks():
        try:
            check(method, **options)
            results[check.__name__] = "passed"
        except unittest.SkipTest as reason:
            results[check.__name__] = f"skipped: {reason}"
        except Exception as error:  # whatever a broken method raises, the other checks still run
            broken.append(f"{check.__name__}: {type(error).__name__}: {error}")
    if broken:
        raise AssertionError(
            f"{method.name} breaks {len(broken)} of {len(checks())} checks:\n" + "\n".join(broken)
        )
    return results
