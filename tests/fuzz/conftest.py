"""Fuzz tests try the same 150 examples each; with TFUNLEARN_FUZZ=N in the environment, N new."""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("TFUNLEARN_FUZZ", "0"))

FUZZ = settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def pytest_itemcollected(item):
    """Gives each test the settings; a profile that is loaded now comes too late for `given`."""
    if not getattr(item.obj, "is_hypothesis_test", False) or hasattr(item.obj, "fuzzed"):
        return
    FUZZ(item.obj).fuzzed = True
