"""A stream as blocks of rows, which are repeated and shuffled without a step for each row.

A block is ``(images, labels)`` of some examples that follow each other, ``(rows, ...)`` and
``(rows,)``, and may have their weights as a third part, ``(rows,)``. How many rows it has is of no
account: `rebatched` makes batches of one size.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tfunlearn.data.passes import passes

if TYPE_CHECKING:
    import tensorflow as tf

_ROWS, _BYTES = 64, 2**20  # of the blocks that single examples are put into


def blocks_of(examples: "tf.data.Dataset") -> "tf.data.Dataset":
    """Returns single examples as blocks that are small in rows and in bytes."""
    image = examples.element_spec[0]
    size = image.shape.num_elements()
    rows = 1 if size is None else _BYTES // max(1, size * image.dtype.size)  # sizes may differ
    return examples.batch(max(1, min(_ROWS, rows)))


def mapped(blocks: "tf.data.Dataset", function: Callable[..., Any]) -> "tf.data.Dataset":
    """Returns a function's results for every block, several at once, in order."""
    import tensorflow as tf

    options = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}
    return blocks.map(as_written(function), **options)


def as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function whose Python TensorFlow is not to read for loops: that takes long."""
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)


def numbered(blocks: "tf.data.Dataset") -> "tf.data.Dataset":
    """Returns ``(position of the first row, images, labels, ...)`` for every block."""
    import tensorflow as tf

    def number(start: Any, block: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        return start + tf.shape(block[1], tf.int64)[0], (start, *block)

    return blocks.scan(np.int64(0), as_written(number))


def repeated(blocks: "tf.data.Dataset", size: int, needed: int, window: int) -> "tf.data.Dataset":
    """Repeats a stream; where it is longer than a window, each pass goes on where the last ended.

    Otherwise passes that take less than the whole would never see its later part.

    Args:
        blocks: the stream.
        size: its rows.
        needed: rows that a pass takes.
        window: rows that are shuffled together.
    """
    import tensorflow as tf

    if size <= window:
        return blocks.repeat()
    number = passes()

    def start() -> Iterator[int]:
        yield next(number) * needed % size

    def rest(first: Any) -> "tf.data.Dataset":
        def cut(at: Any, *block: Any) -> tuple[Any, ...]:
            return tuple(part[tf.maximum(first - at, 0) :] for part in block)

        return mapped(numbered(blocks.repeat()), cut)

    starts = tf.data.Dataset.from_generator(start, output_signature=tf.TensorSpec((), tf.int64))
    return starts.flat_map(as_written(rest))


def shuffled(blocks: "tf.data.Dataset", window: int, seed: int, lane: int) -> "tf.data.Dataset":
    """Permutes rows inside consecutive windows, in another order at each pass.

    Args:
        blocks: the stream.
        window: rows that are shuffled together.
        seed: seed of the orders.
        lane: tells apart the orders of two roles with one seed.
    """
    import tensorflow as tf

    number = passes()

    def orders() -> Iterator[np.ndarray]:
        numbers = np.random.default_rng([seed, next(number), lane])
        while True:
            yield numbers.permutation(window)

    spec = tf.TensorSpec((window,), tf.int64)
    both = tf.data.Dataset.zip(
        blocks.rebatch(window), tf.data.Dataset.from_generator(orders, output_signature=spec)
    )

    def permute(block: Any, order: Any) -> tuple[Any, ...]:
        order = tf.boolean_mask(order, order < tf.shape(block[1], tf.int64)[0])
        return tuple(tf.gather(part, order) for part in block)

    return both.map(as_written(permute))


def rebatched(
    blocks: "tf.data.Dataset", batch_size: int, needed: int | None = None
) -> "tf.data.Dataset":
    """Returns batches of one size; the last has what is left.

    Args:
        blocks: the stream.
        batch_size: rows of a batch.
        needed: rows that are taken from the stream, which may be endless; by default all.
    """
    if blocks.element_spec[0].shape[1:].is_fully_defined():
        batches = blocks.rebatch(batch_size)
    else:  # images of other sizes may follow
        batches = blocks.unbatch().batch(batch_size)
    if needed is None:
        return batches
    batches = batches.take(-(-needed // batch_size))
    if needed % batch_size == 0:
        return batches

    def cut(at: Any, batch: Any) -> tuple[Any, ...]:
        return tuple(part[: needed - at * batch_size] for part in batch)

    return batches.enumerate().map(as_written(cut))
