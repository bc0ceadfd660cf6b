"""Seeding what Keras draws when it builds a model, without touching the caller's random state."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import keras


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


def dropout_seed() -> int | None:
    """Returns the seed to give to a dropout layer that is built inside ``seeded``.

    None, with which Keras draws one from Python's ``random``, but for PyTorch: dropout that was
    given none draws there from PyTorch's own random state, so it is drawn here.

    Example:
        >>> from tfunlearn.models.seeding import dropout_seed
        >>> dropout_seed() is None  # on TensorFlow
        True
    """
    return random.randrange(2**31 - 1) if keras.backend.backend() == "torch" else None
