"""Examples of a ``tf.data.Dataset``, read again at each pass and never all held together."""

import math
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from tfunlearn.data import blocks
from tfunlearn.data.duplicates import of_repeats, period
from tfunlearn.data.labels import check_labels
from tfunlearn.data.one_array import SEVERAL, TEXTS
from tfunlearn.data.passes import finish
from tfunlearn.data.pipelines import need_tensorflow
from tfunlearn.data.weights import check_weights

if TYPE_CHECKING:
    import tensorflow as tf

WINDOW = 1024  # examples that a stream holds back to shuffle among
_HELD = 2**27  # bytes of small roles' images that are held after they were read once
_FIRST_LOOK, _ROUNDS = 4096, 64  # when an endless stream is looked for, and what is taken for one
_MARKED, _LOOKED = 64, 16  # examples and batches by which a shuffle is found out


class StreamSource:
    """Examples of a ``tf.data.Dataset``, single ones or batches, read one block after the other."""

    is_stream = True

    def __init__(
        self, dataset: "tf.data.Dataset", name: str = "dataset", *, once: bool = False
    ) -> None:
        need_tensorflow(f"{name}: a stream", "arrays (data.by_index, data.random, data.by_class)")
        self._name = name
        image, batched, weighted = _example_spec(dataset, name)
        self.shape, self.dtype = tuple(image.shape), image.dtype.name
        self._blocks = dataset if batched else blocks.blocks_of(dataset)
        self._held = _Held()
        self._once = once  # whether a sequence without an end is looked for
        labels, weights, finite, marks, self._keys = self._survey()
        first = self._blocks if batched else blocks.blocks_of(dataset.take(_MARKED))
        again = _marks(first.take(_LOOKED))
        if not np.array_equal(marks[: len(again)], again, equal_nan=True):
            raise ValueError(
                f"{name}: ids are positions, so every pass must give the same order. Expected: a "
                "dataset without shuffle (shuffle afterwards, through the split). Received: one "
                "whose first examples differ from pass to pass."
            )
        self.y, self._read, self._finite = labels, labels, finite
        self.weights: np.ndarray | None = None
        if weighted:  # looked up by position from here on
            self.weights = check_weights(weights, len(labels), f"{name} sample weights")
            self._blocks = blocks.mapped(self._blocks, lambda *block: block[:2])

    def _survey(self) -> tuple[np.ndarray, ...]:
        """Reads the stream once: labels, weights, whether each image is finite, marks, keys."""
        import tensorflow as tf

        if self._blocks.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                f"{self._name}: expected a finite dataset. Received an endless one; drop .repeat()."
            )
        labels, weights, finite, marks, keys = (_Column() for _ in range(5))
        described = blocks.mapped(blocks.numbered(self._blocks), _describe)
        unknown = self._blocks.cardinality() == tf.data.UNKNOWN_CARDINALITY
        look = _FIRST_LOOK if self._once and unknown else math.inf
        for label, weight, ok, mark, key in described.as_numpy_iterator():
            if len(label) != len(ok):
                raise ValueError(
                    f"{self._name}: expected batches with one label for each image. Received "
                    f"{len(ok)} images with {len(label)} labels; if the labels are one-hot, map "
                    "tf.argmax."
                )
            labels.append(label)
            weights.append(weight)
            finite.append(ok)
            marks.append(mark)
            keys.append(key)
            if keys.size >= look:
                _refuse_endless(keys.values().view("uint64"))
                look *= 2
        if not labels.size:
            raise ValueError(f"{self._name}: expected at least one example. Received none.")
        found = labels.values()
        return (
            check_labels(found, len(found), f"{self._name} labels"),
            weights.values(),
            finite.values(),
            marks.values(),
            keys.values().view("uint64"),
        )

    def keys(self, ids: np.ndarray) -> np.ndarray:
        """Returns a uint64 for each example, equal for equal inputs."""
        return self._keys

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
        other = copy(self)
        other.y = y
        return other

    def weighted(self, weights: np.ndarray | None) -> "StreamSource":
        """Returns the same stream with other sample weights, float32, or without."""
        other = copy(self)
        other.weights = weights
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
        """Returns batches of the examples at some ids, shuffled within windows under the seed.

        Ids are ascending. A small role that is not held yet is read here.
        """
        rows = self._rows(ids)
        if needed is not None:
            rows = blocks.repeated(rows, len(ids), needed, WINDOW)
        if shuffle:
            rows = blocks.shuffled(rows, min(WINDOW, len(ids)), seed, lane)
        total = len(ids) if needed is None else needed
        batches = blocks.rebatched(rows, batch_size, needed)
        return finish(self._complete(batches, total, batch_size), total, batch_size)

    def _complete(self, batches: Any, total: int, batch_size: int) -> Any:
        """Returns batches of which the last fails where it has not what is left of the total."""
        import tensorflow as tf

        def check(number: Any, batch: tuple[Any, ...]) -> tuple[Any, ...]:
            wanted = tf.minimum(total - number * batch_size, batch_size)
            words = self._unlike("examples", f"{total} at these ids")
            seen = tf.shape(batch[1], tf.int64)[0]
            with tf.control_dependencies([tf.debugging.assert_equal(seen, wanted, words)]):
                return tuple(map(tf.identity, batch))

        return batches.enumerate().map(blocks.as_written(check))

    def _rows(self, ids: np.ndarray) -> "tf.data.Dataset":
        """Returns the rows at some ids, in their order.

        To read a few rows is to read the whole stream, at each pass and at each round in a pass. So
        those of a role of at most half of the stream and 128 MiB are read now, and held.
        """
        import tensorflow as tf

        size = math.inf if None in self.shape else math.prod(self.shape)
        size *= len(ids) * tf.as_dtype(self.dtype).size
        if size > _HELD or 2 * len(ids) > len(self.y):
            return self._picked(ids)
        images = self._held.at(ids)
        if images is None:
            images = self._collected(ids)
            self._held.put(ids, images, int(size))
        with tf.device("CPU"):
            own = tuple(tf.constant(part[ids]) for part in self._looked_up())
            return tf.data.Dataset.from_tensors((images, *own))

    def _collected(self, ids: np.ndarray) -> Any:
        """Returns the images at some ids as one tensor."""
        import tensorflow as tf

        images, start = np.empty((len(ids), *self.shape), tf.as_dtype(self.dtype).as_numpy_dtype), 0
        for block, *_ in self._picked(ids).as_numpy_iterator():
            images[start : start + len(block)] = block
            start += len(block)
        if start != len(ids):
            raise ValueError(self._unlike("examples", f"{len(ids)} at these ids", f"{start}"))
        with tf.device("CPU"):
            return tf.constant(images)

    def _unlike(self, what: str, expected: str, received: str = "others") -> str:
        """Returns the words for a pass that is not like the first."""
        return (
            f"{self._name}: every pass must give the same {what}. Expected: {expected}, as in the "
            f"first pass. Received: {received}."
        )

    def _looked_up(self) -> tuple[np.ndarray, ...]:
        """Returns what is known by position: labels, and sample weights if there are some."""
        return (self.y,) if self.weights is None else (self.y, self.weights)

    def _picked(self, ids: np.ndarray) -> "tf.data.Dataset":
        """Returns the rows at some ids, in their order, and fails where the labels are not those.

        So a pass in another order than the first does not go unnoticed.
        """
        import tensorflow as tf

        flags = np.zeros(len(self.y), bool)
        flags[ids] = True
        table, read, *own = (tf.constant(p) for p in (flags, self._read, *self._looked_up()))
        words = self._unlike("order", "the same labels")

        def pick(start: Any, images: Any, labels: Any) -> tuple[Any, ...]:
            labels = _flat(labels)
            here = slice(start, start + tf.shape(labels, tf.int64)[0])
            with tf.control_dependencies([tf.debugging.assert_equal(labels, read[here], words)]):
                rows = tf.where(table[here])[:, 0]
            return tf.gather(images, rows), *(tf.gather(part[here], rows) for part in own)

        return blocks.mapped(blocks.numbered(self._blocks), pick)


class _Held:
    """Images of small roles, shared by a stream and its copies with other labels."""

    def __init__(self) -> None:
        self._roles: tuple[tuple[np.ndarray, Any, int], ...] = ()  # the newest last

    def put(self, ids: np.ndarray, images: Any, size: int) -> None:
        """Holds the images at some ids, and drops as many of those before as there is no room for.

        Args:
            ids: ascending ids.
            images: their images, as one tensor.
            size: bytes of the images.
        """
        roles = (*self._roles, (ids, images, size))
        while sum(own[2] for own in roles) > _HELD:
            roles = roles[1:]
        self._roles = roles

    def at(self, ids: np.ndarray) -> Any:
        """Returns the images at some ids, or None unless one role holds all of them."""
        import tensorflow as tf

        for known, images, _ in reversed(self._roles):
            if np.array_equal(ids, known):
                return images
            if np.isin(ids, known).all():
                with tf.device("CPU"):
                    return tf.gather(images, np.searchsorted(known, ids))
        return None


class _Column:
    """An array that grows. Many small ones would each keep a part of the memory of a batch."""

    def __init__(self) -> None:
        self._array, self.size = np.zeros(0), 0

    def append(self, part: np.ndarray) -> None:
        """Adds some values at the end."""
        size = self.size + len(part)
        if size > len(self._array) or not self.size:
            larger = np.empty(max(2 * size, 1024), part.dtype)
            larger[: self.size] = self._array[: self.size]
            self._array = larger
        self._array[self.size : size] = part
        self.size = size

    def values(self) -> np.ndarray:
        """Returns all values."""
        return self._array[: self.size].copy()


def _example_spec(dataset: Any, name: str) -> tuple[Any, bool, bool]:
    """Returns a dataset's image spec, whether it is of batches, and whether it has sample weights.

    Batches are those of a size that is left open: one that is stated looks like one-hot labels.
    """
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"{name}: expected a tf.data.Dataset, whose order is the same at every pass. Received: "
            f"{type(dataset).__name__}; arrays go into data.by_index(x, y, ...), and examples from "
            "Python into tf.data.Dataset.from_generator."
        )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(
            f"{name}: expected elements (image, label) or (image, label, sample weight). "
            f"Received elements {spec}."
        )
    image, label, *weights = spec
    if isinstance(image, dict | tuple | list):
        raise ValueError(f"{name}: {SEVERAL} Received elements {spec}.")
    if getattr(image, "dtype", None) == tf.string:
        raise ValueError(f"{name}: {TEXTS} Received elements {spec}.")
    if not isinstance(image, tf.TensorSpec) or image.shape.rank is None:
        raise ValueError(
            f"{name}: expected images that are single tensors of known rank. Received {image}; "
            "tf.ensure_shape inside dataset.map states a shape."
        )
    shape = None if label.shape.rank is None else tuple(label.shape)
    if shape in ((), (1,)):
        return image, False, _is_weighted(weights, ((), (1,)), name)
    if shape in ((None,), (None, 1)) and image.shape.rank > 1 and image.shape[0] is None:
        both = _is_weighted(weights, ((None,), (None, 1)), name)
        return tf.TensorSpec(image.shape[1:], image.dtype), True, both
    raise ValueError(
        f"{name}: expected (image, label) with scalar labels, or batches of them as dataset.batch "
        f"gives. Received images of shape {image.shape} with labels of shape {label.shape}; if "
        "these are batches of a stated size, pass dataset.unbatch(), and batch without "
        "drop_remainder=True, which loses the last examples; if one-hot, map tf.argmax."
    )


def _is_weighted(weights: list[Any], shapes: tuple[tuple, ...], name: str) -> bool:
    """Tells whether there are sample weights, once it is known that there is one per example."""
    for spec in weights:
        shape = None if spec.shape.rank is None else tuple(spec.shape)
        if shape not in shapes or not (spec.dtype.is_floating or spec.dtype.is_integer):
            raise ValueError(
                f"{name}: expected a sample weight for each example. Expected: a third part of "
                f"shape {shapes[0]}. Received: {spec}."
            )
    return bool(weights)


def _describe(start: Any, images: Any, labels: Any, *weights: Any) -> tuple[Any, ...]:
    """Returns labels, weights, whether each image is finite, numbers for a few, keys of all."""
    import tensorflow as tf

    rows, size = tf.shape(images)[0], tf.reduce_prod(tf.shape(images)[1:])
    values = tf.reshape(images, [rows, size])
    finite = tf.ones([rows], bool)
    if images.dtype.is_floating:
        finite = tf.reduce_all(tf.math.is_finite(values), axis=1)
    sines = tf.math.sin(tf.cast(tf.range(1, size + 1), tf.float64))
    few = tf.cast(values[: tf.where(start < _MARKED, _MARKED, 1)], tf.float64)
    own = tf.reshape(tf.cast(weights[0], tf.float32), [-1]) if weights else finite[:0]
    return _flat(labels), own, finite, tf.reduce_sum(few * sines, axis=1), _keys(images)


def _keys(images: Any) -> Any:
    """Returns an int64 for each image, equal for images of equal bytes and shape."""
    import tensorflow as tf

    keys = tf.bitcast(tf.raw_ops.Fingerprint(data=images, method="farmhash64"), tf.int64)
    if images.shape[1:].is_fully_defined():
        return keys
    shape = tf.cast(tf.shape(images)[1:], tf.int64)
    of_axes = [pow(1_000_003, axis, 2**61) for axis in range(1, len(images.shape))]
    return keys + tf.reduce_sum(shape * tf.constant(of_axes, tf.int64))


def _refuse_endless(keys: np.ndarray) -> None:
    """Raises if examples have come again and again so often that they may never end."""
    length = period(keys, np.zeros(len(keys), "int64"))
    if length and length * _ROUNDS <= len(keys):
        raise ValueError(of_repeats(length, len(keys)))


def _marks(first: "tf.data.Dataset") -> np.ndarray:
    """Returns the numbers for a few of the images of some blocks, in the order of this pass."""
    described = blocks.mapped(blocks.numbered(first), _describe)
    return np.concatenate([np.zeros(0), *(row[3] for row in described.as_numpy_iterator())])


def _flat(labels: Any) -> Any:
    """Returns labels of shape (rows,), whole numbers as 64-bit ones."""
    import tensorflow as tf

    labels = tf.reshape(labels, [-1])
    return tf.cast(labels, tf.int64) if labels.dtype.is_integer else labels
