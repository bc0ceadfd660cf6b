"""The result of a method: a plain Keras model with the original's compile state."""

import keras

from tfunlearn.models import copy
from tfunlearn.training.recipe import Recipe, metrics_config, optimizer_config


def adopt(original: keras.Model, student: keras.Model, *, seed: int | None = None) -> keras.Model:
    """Returns an uncompiled copy of the original that holds the weights of a student.

    For a student of other form, such as ``models.logits_model`` gives.

    Args:
        original: the model whose form the result has, its last activation included.
        student: a model with weights of the same shapes in the same order.
        seed: seed of the result's dropout masks, as in ``models.copy``.

    Raises:
        ValueError: if the weights are not of the same shapes.
    """
    shapes = [[tuple(weight.shape) for weight in model.weights] for model in (original, student)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "student: its weights must be those of the original in form. "
            f"Expected: {shapes[0]}. Received: {shapes[1]}."
        )
    result = copy(original, seed=seed)
    result.set_weights(student.get_weights())
    return result


def finish(student: keras.Model, original: keras.Model) -> keras.Model:
    """Returns a trained student with the original's compile state and a fresh optimizer.

    Args:
        student: the trained model, compiled for its training.
        original: the model that it came from.

    Returns:
        A plain Keras model that loads without this package. If the original is not compiled with
        an optimizer and a loss, the result is not compiled. Loss weights and weighted metrics are
        not carried over.
    """
    if getattr(original, "optimizer", None) is None or original.loss is None:
        return copy(student)
    config, no_decay = optimizer_config(original)
    recipe = Recipe(original.loss, config, metrics_config(original), no_decay)
    recipe.compile(student, jit_compile=original.jit_compile)
    student.optimizer.build(student.trainable_variables)  # so that saving keeps it whole
    return student
