"""Fuzz tests try the same 150 examples each; with TFUNLEARN_FUZZ=N in the environment, N new."""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("TFUNLEARN_FUZZ", "0"))

settings.register_profile(
    "fuzz",
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def pytest_runtest_setup(item):
    settings.load_profile("fuzz")


def pytest_runtest_teardown(item):
    settings.load_profile("default")
