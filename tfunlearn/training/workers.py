"""Training on several machines, which Keras cannot do: an error at the start, on each of them."""

from __future__ import annotations

import keras

__all__ = ["check_workers"]


def check_workers(model: keras.Model) -> None:
    """Raises if a model, or the code that runs now, is under a strategy of several workers.

    Keras 3 has no training under ``tf.distribute.MultiWorkerMirroredStrategy`` with more than one
    worker: its ``fit`` reduces a whole batch of inputs and labels at once to see its shape, which
    this strategy takes for a single tensor, and its ``predict`` needs data that TensorFlow can
    divide by files. Both would end in errors that name neither, or wait for the other workers.
    One worker is fine, and so is ``MirroredStrategy``.

    Args:
        model: any model.

    Raises:
        ValueError: if there are other workers.

    Reference: Keras issue 20585, "Does Keras 3 work with
    ``tf.distribute.MultiWorkerMirroredStrategy``?", open.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for strategy in (model.distribute_strategy, tf.distribute.get_strategy()):
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            continue
        total, own = strategy.num_replicas_in_sync, len(strategy.extended.worker_devices)
        if total > own:
            raise ValueError(
                "strategy: Keras 3 cannot train or predict on several workers under "
                "MultiWorkerMirroredStrategy. Expected: tf.distribute.MirroredStrategy over the "
                "devices of one machine, or one worker. "
                f"Received: {total} replicas, {own} of them on this worker."
            )
