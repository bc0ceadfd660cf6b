"""Where a role's examples come from: arrays in memory, or a stream read again at each pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfunlearn.data.labels import check_labels
from tfunlearn.data.pipelines import need_tensorflow
from tfunlearn.data.rows import SINGLE, Rows, note_rows

if TYPE_CHECKING:
    import tensorflow as tf

WINDOW = 1024  # examples that a stream holds back to shuffle among
_LOOKS = ["once"]  # see looks


class ArraySource:
    """Examples held in two arrays, shared and not copied until a role is read."""

    is_stream = False

    def __init__(self, x: Any, y: Any, name: str = "x") -> None:
        x = np.asanyarray(x)
        if x.dtype == object:
            raise TypeError(
                f"{name}: expected an array of numbers. Received dtype object; "
                "are the examples of different shapes?"
            )
        if x.ndim < 2:
            raise ValueError(f"{name}: expected shape (N, ...). Received shape {x.shape}.")
        self.x, self.y = x, check_labels(y, len(x), "y" if name == "x" else f"{name} labels")
        self.shape, self.dtype = x.shape[1:], str(x.dtype)
        self._lender: ArraySource | None = None  # whose tensor of the inputs is used

    def take(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the examples at some ids, as a view where they are all of them."""
        if len(ids) == len(self.y):
            return self.x, self.y
        return self.x[ids], self.y[ids]

    def all_finite(self, ids: np.ndarray) -> bool:
        """Tells whether the examples at some ids hold neither NaN nor infinity."""
        if not np.issubdtype(self.x.dtype, np.inexact):
            return True
        blocks = np.array_split(ids, max(1, len(ids) // 4096))
        return all(np.isfinite(self.x[block]).all() for block in blocks)

    def relabelled(self, y: np.ndarray) -> "ArraySource":
        """Returns the same inputs, shared as arrays and as tensors, with other labels."""
        other = ArraySource(self.x, y)
        other._lender = self if self._lender is None else self._lender
        return other

    def tensors(self) -> tuple[Any, Any]:
        """Returns inputs and labels as tensors, made once and shared by all streams."""
        return self._images, self._labels

    @cached_property
    def _images(self) -> Any:
        import tensorflow as tf

        if self._lender is not None:
            return self._lender._images
        with tf.device("CPU"):
            return tf.constant(self.x)

    @cached_property
    def _labels(self) -> Any:
        import tensorflow as tf

        with tf.device("CPU"):
            return tf.constant(self.y)

    def dataset(
        self,
        ids: np.ndarray,
        batch_size: int,
        shuffle: bool,
        seed: int,
        needed: int | None = None,
        lane: int = 0,
    ) -> "tf.data.Dataset":
        """Returns batches of the examples at some ids, reshuffled at each pass under the seed."""
        import tensorflow as tf

        x, y = self._images, self._labels
        total = len(ids) if needed is None else needed
        rows = Rows(self, ids, batch_size, shuffle, seed, total, lane, _passes())

        def order() -> Iterator[np.ndarray]:
            yield rows.next_pass()

        spec = tf.TensorSpec((total,), tf.int64)
        batches = tf.data.Dataset.from_generator(order, output_signature=spec).flat_map(
            lambda row: tf.data.Dataset.from_tensor_slices(row).batch(batch_size)
        )
        batches = batches.map(
            lambda row: (tf.gather(x, row), tf.gather(y, row)), num_parallel_calls=tf.data.AUTOTUNE
        )
        return note_rows(_finish(batches, total, batch_size), {SINGLE: rows})


class StreamSource:
    """Examples of a ``tf.data.Dataset``, read one after the other and never held together."""

    is_stream = True

    def __init__(self, dataset: "tf.data.Dataset", name: str = "dataset") -> None:
        need_tensorflow(f"{name}: a stream", "arrays (data.by_index, data.random, data.by_class)")
        self._dataset, self._name = dataset, name
        image = _example_spec(dataset, name)
        self.shape, self.dtype = tuple(image.shape), image.dtype.name
        labels, finite, marks = self._survey()
        if not np.array_equal(marks, self._marks(), equal_nan=True):
            raise ValueError(
                f"{name}: ids are positions, so every pass must give the same order. Expected: a "
                "dataset without shuffle (shuffle afterwards, through the split). Received: one "
                "whose first examples differ from pass to pass."
            )
        self.y, self._finite = labels, finite

    def _survey(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads the stream once: every label, whether each image is finite, the first marks."""
        import tensorflow as tf

        if self._dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(f"{self._name}: expected a finite dataset. Received an endless one.")
        rows = self._dataset.map(_describe, num_parallel_calls=tf.data.AUTOTUNE).batch(1024)
        labels, finite, marks = [], [], []
        for label, ok, mark in rows.as_numpy_iterator():
            labels.append(label)
            finite.append(ok)
            marks.append(mark if len(marks) == 0 else mark[:0])
        if not labels:
            raise ValueError(f"{self._name}: expected at least one example. Received none.")
        found = np.concatenate(labels)
        return (
            check_labels(found, len(found), f"{self._name} labels"),
            np.concatenate(finite),
            np.concatenate(marks)[:64],
        )

    def _marks(self) -> np.ndarray:
        """Returns one number for each of the first examples, read again."""
        rows = self._dataset.take(64).map(_describe).batch(64)
        return next(iter(rows.as_numpy_iterator()))[2]

    def take(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Refuses: a stream is not collected into memory."""
        raise TypeError(
            "a split of a tf.data.Dataset holds no arrays. Expected: split.dataset(role), which "
            "streams. Received: a request for arrays."
        )

    def all_finite(self, ids: np.ndarray) -> bool:
        """Tells whether the examples at some ids hold neither NaN nor infinity."""
        return bool(self._finite[ids].all())

    def relabelled(self, y: np.ndarray) -> "StreamSource":
        """Returns the same stream with other labels, looked up by position."""
        import tensorflow as tf

        table = tf.constant(y, tf.int64)
        other = copy(self)
        other._dataset = self._dataset.enumerate().map(lambda i, row: (row[0], table[i]))
        other.y = y
        return other

    def dataset(
        self,
        ids: np.ndarray,
        batch_size: int,
        shuffle: bool,
        seed: int,
        needed: int | None = None,
        lane: int = 0,
    ) -> "tf.data.Dataset":
        """Returns batches of the examples at some ids, shuffled within windows under the seed."""
        examples = self._only(ids)
        if needed is not None:
            examples = _rounds(examples, len(ids), needed)
        if shuffle:
            examples = _shuffled(examples, min(WINDOW, len(ids)), seed, lane)
        total = len(ids) if needed is None else needed
        if needed is not None:
            examples = examples.take(needed)
        return _finish(examples.batch(batch_size), total, batch_size)

    def _only(self, ids: np.ndarray) -> "tf.data.Dataset":
        """Filters the stream by position, with a search in the smaller of the two id sets."""
        import tensorflow as tf

        total = len(self.y)
        if len(ids) == total:
            return self._dataset.map(lambda image, label: (image, _flat(label)))
        keep = len(ids) <= total - len(ids)
        listed = ids if keep else np.setdiff1d(np.arange(total), ids, assume_unique=True)
        table = tf.constant(listed, tf.int64)

        def chosen(position: Any, _: Any) -> Any:
            place = tf.searchsorted(table, position[tf.newaxis])[0]
            found = table[tf.minimum(place, len(listed) - 1)] == position
            return found if keep else tf.logical_not(found)

        numbered = self._dataset.enumerate().filter(chosen)
        return numbered.map(lambda _, example: (example[0], _flat(example[1])))


def _rounds(examples: "tf.data.Dataset", size: int, needed: int) -> "tf.data.Dataset":
    """Repeats a stream; where it is longer than a window, each pass goes on where the last ended.

    Otherwise passes that take less than the whole would never see its later part.
    """
    import tensorflow as tf

    if size <= WINDOW:
        return examples.repeat()
    passes = _passes()

    def start() -> Iterator[int]:
        yield next(passes) * needed % size

    starts = tf.data.Dataset.from_generator(start, output_signature=tf.TensorSpec((), tf.int64))
    return starts.flat_map(lambda first: examples.repeat().skip(first))


def _shuffled(examples: "tf.data.Dataset", window: int, seed: int, lane: int) -> "tf.data.Dataset":
    """Permutes examples inside consecutive windows, in another order at each pass."""
    import tensorflow as tf

    passes = _passes()

    def orders() -> Iterator[np.ndarray]:
        numbers = np.random.default_rng([seed, next(passes), lane])
        while True:
            yield numbers.permutation(window)

    spec = tf.TensorSpec((window,), tf.int64)
    blocks = tf.data.Dataset.zip(
        examples.batch(window), tf.data.Dataset.from_generator(orders, output_signature=spec)
    )

    def permute(block: Any, order: Any) -> "tf.data.Dataset":
        order = tf.boolean_mask(order, order < tf.shape(block[1], tf.int64)[0])
        rows = tuple(tf.gather(part, order) for part in block)
        return tf.data.Dataset.from_tensor_slices(rows)

    return blocks.flat_map(permute)


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


def _passes() -> Iterator[int]:
    """Counts passes over a dataset, without the looks that Keras takes under ``tf.distribute``."""
    import tensorflow as tf

    if not tf.distribute.has_strategy():
        return count()
    own = {"once": lambda n: max(n - 1, 0), "always": lambda n: n // 2, "never": lambda n: n}
    return (own[_LOOKS[0]](number) for number in count())


def _finish(batches: "tf.data.Dataset", total: int, batch_size: int) -> "tf.data.Dataset":
    """States the number of batches and prefetches."""
    import tensorflow as tf

    steps = tf.data.experimental.assert_cardinality(-(-total // batch_size))
    return batches.apply(steps).prefetch(tf.data.AUTOTUNE)


def _example_spec(dataset: Any, name: str) -> Any:
    """Returns the image spec of a dataset of single (image, label) examples, or raises."""
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(f"{name}: expected a tf.data.Dataset. Received: {type(dataset).__name__}.")
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise ValueError(f"{name}: expected elements (image, label). Received elements {spec}.")
    if not isinstance(spec[0], tf.TensorSpec) or spec[0].shape.rank is None:
        raise ValueError(
            f"{name}: expected images that are single tensors of known rank. Received {spec[0]}; "
            "tf.ensure_shape inside dataset.map states a shape."
        )
    label = spec[1].shape
    if label.rank is None or not (label.rank == 0 or (label.rank == 1 and label[0] == 1)):
        raise ValueError(
            f"{name}: expected single examples with scalar labels. Received labels of shape "
            f"{label}; if these are batches, pass dataset.unbatch(), if one-hot, map tf.argmax."
        )
    return spec[0]


def _describe(image: Any, label: Any) -> tuple[Any, Any, Any]:
    """Returns (label, whether the image is finite, a number that tells examples apart)."""
    import tensorflow as tf

    values = tf.cast(tf.reshape(image, [-1]), tf.float64)
    weights = tf.cast(tf.range(1, tf.size(values) + 1), tf.float64)
    finite = tf.reduce_all(tf.math.is_finite(values))
    return _flat(label), finite, tf.reduce_sum(values * tf.math.sin(weights))


def _flat(label: Any) -> Any:
    """Returns a label as a scalar of its own integer type."""
    import tensorflow as tf

    label = tf.reshape(label, [])
    return tf.cast(label, tf.int64) if label.dtype.is_integer else label


Source = ArraySource | StreamSource
