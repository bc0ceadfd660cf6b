"""Examples held in two arrays."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tfunlearn.data.blocks import as_written, mapped
from tfunlearn.data.labels import check_labels
from tfunlearn.data.passes import finish, passes
from tfunlearn.data.rows import SINGLE, Rows, note_rows

if TYPE_CHECKING:
    import tensorflow as tf


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
        rows = Rows(self, ids, batch_size, shuffle, seed, total, lane, passes())

        def order() -> Iterator[np.ndarray]:
            yield rows.next_pass()

        spec = tf.TensorSpec((total,), tf.int64)
        batches = tf.data.Dataset.from_generator(order, output_signature=spec).flat_map(
            as_written(lambda row: tf.data.Dataset.from_tensor_slices(row).batch(batch_size))
        )
        batches = mapped(batches, lambda row: (tf.gather(x, row), tf.gather(y, row)))
        return note_rows(finish(batches, total, batch_size), {SINGLE: rows})
