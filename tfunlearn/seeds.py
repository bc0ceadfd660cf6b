"""The one rule that seeds follow."""

from typing import Any

import numpy as np


def check_seed(seed: Any) -> None:
    """Raises unless a seed is a whole number of at least 0.

    Args:
        seed: what was given as a seed.

    Raises:
        ValueError: if it is anything else.
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed: expected a whole number of at least 0. Received: {seed!r}.")
