"""Passes over a dataset: their count, on which the orders depend, and their length."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import tensorflow as tf

AHEAD = 2  # batches that are made ahead; AUTOTUNE makes more and more of them in a long pass
_LOOKS = ["once"]  # see looks


@contextmanager
def looks(when: Literal["once", "always", "never"]) -> Iterator[None]:
    """States when Keras reads one batch besides the passes, for the time of a training.

    Under ``tf.distribute``, ``fit`` reads a batch before its first epoch, to build what is not
    built. That look must not use up an order: replicas would train in another order than one.

    Args:
        when: ``"once"`` for one ``fit`` of all epochs, which is what holds outside; ``"always"``
            for a ``fit`` a pass; ``"never"`` for passes that are read without ``fit``.
    """
    before, _LOOKS[0] = _LOOKS[0], when
    try:
        yield
    finally:
        _LOOKS[0] = before


def passes() -> Iterator[int]:
    """Counts passes over a dataset, without the looks that Keras takes under ``tf.distribute``."""
    import tensorflow as tf

    if not tf.distribute.has_strategy():
        return count()
    own = {"once": lambda n: max(n - 1, 0), "always": lambda n: n // 2, "never": lambda n: n}
    return (own[_LOOKS[0]](number) for number in count())


def finish(batches: "tf.data.Dataset", total: int, batch_size: int) -> "tf.data.Dataset":
    """States the number of batches and prefetches."""
    import tensorflow as tf

    steps = tf.data.experimental.assert_cardinality(-(-total // batch_size))
    return batches.apply(steps).prefetch(AHEAD)
