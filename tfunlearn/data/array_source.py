"""Examples held in two arrays."""

from collections.abc import Iterator
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tfunlearn.data.blocks import as_written, mapped
from tfunlearn.data.labels import check_labels
from tfunlearn.data.one_array import one_array
from tfunlearn.data.passes import finish, passes
from tfunlearn.data.row_hash import keys
from tfunlearn.data.rows import SINGLE, Rows, note_rows
from tfunlearn.data.weights import check_weights

if TYPE_CHECKING:
    import tensorflow as tf


class ArraySource:
    """Examples held in two arrays, shared and not copied until a role is read.

    Args:
        x: inputs, ``(N, ...)``.
        y: integer labels.
        name: the inputs' name in messages.
        weights: sample weights, ``(N,)``; None for batches without.
    """

    is_stream = False

    def __init__(self, x: Any, y: Any, name: str = "x", weights: Any = None) -> None:
        x = one_array(x, name)
        if x.ndim < 2:
            raise ValueError(f"{name}: expected shape (N, ...). Received shape {x.shape}.")
        self.x, self.y = x, check_labels(y, len(x), "y" if name == "x" else f"{name} labels")
        self.shape, self.dtype = x.shape[1:], str(x.dtype)
        self.weights = None if weights is None else check_weights(weights, len(x))
        self._lender: ArraySource | None = None  # whose tensor of the inputs is used

    def take(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the examples at some ids, as a view where they are all of them."""
        if len(ids) == len(self.y):
            return self.x, self.y
        return self.x[ids], self.y[ids]

    def keys(self, ids: np.ndarray) -> np.ndarray:
        """Returns a uint64 for each example, equal to that of one at some ids for equal inputs."""
        return keys(np.asarray(self.x), ids)

    def all_finite(self, ids: np.ndarray) -> bool:
        """Tells whether the examples at some ids hold neither NaN nor infinity."""
        if not np.issubdtype(self.x.dtype, np.inexact):
            return True
        blocks = np.array_split(ids, max(1, len(ids) // 4096))
        return all(np.isfinite(self.x[block]).all() for block in blocks)

    def relabelled(self, y: np.ndarray) -> "ArraySource":
        """Returns the same inputs, shared as arrays and as tensors, with other labels."""
        return self._changed(y=check_labels(y, len(self.y)))

    def weighted(self, weights: np.ndarray | None) -> "ArraySource":
        """Returns the same inputs and labels with other sample weights, float32, or none."""
        return self._changed(weights=weights)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """Inputs and labels, and sample weights where there are some."""
        return (self.x, self.y) if self.weights is None else (self.x, self.y, self.weights)

    def tensors(self) -> tuple[Any, ...]:
        """Returns ``arrays`` as tensors, made once and shared by all streams."""
        both = (self._images, self._labels)
        return both if self.weights is None else (*both, self._weights)

    def _changed(self, **parts: Any) -> "ArraySource":
        """Returns a source with other labels or weights, which lends the tensor of the inputs."""
        other = copy(self)
        for name in ("_images", "_labels", "_weights"):
            other.__dict__.pop(name, None)
        other.__dict__.update(parts)
        other._lender = self if self._lender is None else self._lender
        return other

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

    @cached_property
    def _weights(self) -> Any:
        import tensorflow as tf

        with tf.device("CPU"):
            return tf.constant(self.weights)

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

        parts = self.tensors()
        total = len(ids) if needed is None else needed
        rows = Rows(self, ids, batch_size, shuffle, seed, total, lane, passes())

        def order() -> Iterator[np.ndarray]:
            yield rows.next_pass()

        spec = tf.TensorSpec((total,), tf.int64)
        batches = tf.data.Dataset.from_generator(order, output_signature=spec).flat_map(
            as_written(lambda row: tf.data.Dataset.from_tensor_slices(row).batch(batch_size))
        )
        batches = mapped(batches, lambda row: tuple(tf.gather(part, row) for part in parts))
        return note_rows(finish(batches, total, batch_size), {SINGLE: rows})
