"""Reading a model's outputs inside one graph, where the data is in memory: `predict`, but faster.

`predict` reads each batch and starts each step from Python, which for a small network takes several
times as long as the step.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfunlearn.data.rows import SINGLE, Rows, rows_of

__all__ = ["GraphReader", "readable_rows"]


def readable_rows(model: keras.Model, stream: Any) -> Rows | None:
    """Returns the rows behind a stream if a model's outputs on them can be read inside one graph.

    They can on TensorFlow without other devices than CPUs, if the stream is that of arrays, and the
    model is Sequential or Functional, of Keras' own class, with a single output.

    Args:
        model: A built model.
        stream: What `data.batches` returned for a role, or anything else.

    Example:
        >>> from tfunlearn import models
        >>> readable_rows(models.mnist_dense(4), [1, 2]) is None
        True
    """
    if keras.backend.backend() != "tensorflow" or type(model).__module__.split(".")[0] != "keras":
        return None
    import tensorflow as tf

    cpu = all(device.device_type == "CPU" for device in tf.config.list_physical_devices())
    graph = not (tf.config.functions_run_eagerly() or tf.distribute.has_strategy())
    single = len(getattr(model, "outputs", None) or ()) == 1
    return (rows_of(stream) or {}).get(SINGLE) if cpu and graph and single else None


class GraphReader:
    """Reads the outputs of a model, whose weights may change in between.

    It is traced once for arrays of any number of examples, and once more for those of other types.

    Args:
        model: A built model, for which `readable_rows` gives rows.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._runs: dict[tuple[Any, ...], Any] = {}

    def read(self, rows: Rows) -> np.ndarray:
        """Returns the model's outputs on the next pass over rows, in inference mode.

        Args:
            rows: The examples, in batches of the size that `predict` would be given.

        Returns:
            Outputs (N, ...), in the type that the model gives.
        """
        x, _ = rows.source.tensors()
        run = self._run(x)
        return np.concatenate([run(x, ids).numpy() for ids in rows.next_batches() if len(ids)])

    def _run(self, x: Any) -> Any:
        """Returns the graph for arrays like this one."""
        import tensorflow as tf

        key = (*x.shape[1:], x.dtype)
        if key not in self._runs:
            inputs = tf.TensorSpec((None, *x.shape[1:]), x.dtype)
            specs = [inputs, tf.TensorSpec((None, None), tf.int32)]
            self._runs[key] = tf.function(self._all, input_signature=specs, autograph=False)
        return self._runs[key]

    def _all(self, x: Any, ids: Any) -> Any:
        """Returns the outputs on all batches, one after the other."""
        import tensorflow as tf

        def step(number: Any, found: Any) -> tuple[Any, Any]:
            batch = tf.gather(x, ids[number])
            [scores] = tf.nest.flatten(self._model(batch, training=False))
            return number + 1, found.write(number, scores)

        count = tf.shape(ids)[0]
        found = tf.TensorArray(self._model.outputs[0].dtype, count)
        _, found = tf.while_loop(
            lambda number, _: number < count, step, (0, found), parallel_iterations=1
        )
        return found.concat()
