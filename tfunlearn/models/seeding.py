"""Seeding what Keras draws when it builds a model, without touching the caller's random state."""

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Makes the initial weights and dropout seeds drawn inside the block follow ``seed``.

    Keras takes the seed of every initializer and dropout layer that was given none from Python's
    ``random`` module. That module's state is set here and put back afterwards.

    Args:
        seed: any integer, or None to leave the draw as it is.

    Example:
        >>> import random
        >>> from tfunlearn.models.seeding import seeded
        >>> random.seed(1); before = random.random()
        >>> random.seed(1)
        >>> with seeded(5): _ = random.random()
        >>> random.random() == before
        True
    """
    if seed is None:
        yield
        return
    state = random.getstate()
    random.seed(int(seed))
    try:
        yield
    finally:
        random.setstate(state)
