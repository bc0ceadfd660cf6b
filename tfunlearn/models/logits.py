"""Models that return logits, whatever activation their head ends with."""

from typing import Any

import keras
import numpy as np

from tfunlearn.models.copying import copy, example_batch, input_structure, require_built

_OFF = 1e-2  # how far the sum of a row of probabilities is from 1 at most: bfloat16 needs that


def logits_model(model: keras.Model, *, seed: int | None = None) -> keras.Model:
    """Returns an uncompiled copy of a classifier that gives logits in place of probabilities.

    Probabilities of a trained network saturate at 0 and 1; losses and margins need logits.

    Args:
        model: a built classifier that ends in a layer with a linear or softmax activation, in an
            ``Activation("softmax")`` or in a ``Softmax`` layer. The head may be nested.
        seed: seed of the copy's dropout masks, as in ``models.copy``.

    Returns:
        The copy. Its softmax is the model's output, or the model's output itself if that is linear.

    Raises:
        ValueError: if the last activation is something else and cannot be taken off, or if what
            comes out is still a row of probabilities.

    Example:
        >>> import keras
        >>> from tfunlearn.models import logits_model
        >>> head = [keras.Input((4,)), keras.layers.Dense(3, activation="softmax")]
        >>> logits_model(keras.Sequential(head)).layers[-1].activation.__name__
        'linear'
    """
    twin = copy(model, seed=seed)
    owner, last = _last_layer(twin)
    if isinstance(last, keras.layers.Softmax):
        if owner is not twin:
            raise ValueError(
                "model: a Softmax layer inside a nested model cannot be taken off. Expected: a "
                f"Softmax layer in the outer model. Received: {last.name!r} in {owner.name!r}."
            )
        return _checked(keras.Model(input_structure(twin), last.input, name=twin.name), model)
    if _activation(last) is keras.activations.softmax:
        last.activation = keras.activations.linear
    return _checked(twin, model)


def logits_reader(model: keras.Model) -> keras.Model:
    """Returns a model that gives a classifier's logits, to be read and not changed.

    That is the model itself where it gives logits, and otherwise ``logits_model``'s copy, which
    takes time to make.

    Args:
        model: as in ``logits_model``.

    Raises:
        TypeError: if ``model`` is not a Keras model.
        ValueError: as ``logits_model``.

    Example:
        >>> from tfunlearn import models
        >>> net = models.small_cnn()
        >>> models.logits_reader(net) is net
        True
    """
    require_built(model)
    if _activation(_last_layer(model)[1]) is keras.activations.softmax:
        return logits_model(model)
    return _checked(model, model)


def gives_logits(model: keras.Model) -> bool:
    """Tells whether a classifier's outputs are logits rather than probabilities.

    Args:
        model: a built classifier whose last activation is linear or softmax.

    Raises:
        ValueError: if the last activation is something else.

    Example:
        >>> from tfunlearn import models
        >>> models.gives_logits(models.small_cnn())
        True
    """
    require_built(model)
    if _activation(_last_layer(model)[1]) is keras.activations.softmax:
        return False
    scores = keras.tree.flatten(model(example_batch(model), training=False))[0]
    return not _probabilities(keras.ops.convert_to_numpy(scores))


def num_classes(model: keras.Model) -> int:
    """Returns the number of classes that a built classifier tells apart.

    Args:
        model: a built model with one output of shape ``(batch, classes)``.

    Raises:
        ValueError: if it has several outputs, or one that is not a row of class scores.

    Example:
        >>> from tfunlearn import models
        >>> models.num_classes(models.mnist_dense())
        10
    """
    require_built(model)
    shape = model.output_shape if getattr(model, "outputs", None) else _called_shape(model)
    if not isinstance(shape, tuple) or len(shape) != 2 or not isinstance(shape[1], int):
        raise ValueError(
            "model: expected one output of shape (batch, classes). "
            f"Received an output of shape {shape}."
        )
    if shape[1] < 2:
        raise ValueError(
            "model: expected at least two class scores; a single sigmoid unit or logit is not "
            "supported. The same classifier has a head Dense(2, activation='softmax') with kernel "
            "np.hstack([0 * w, w]) and bias np.hstack([0, b]), of the unit's kernel w and "
            "bias b, compiled with 'sparse_categorical_crossentropy' for labels 0 and 1. "
            f"Received: an output of shape {shape}."
        )
    return shape[1]


def _activation(last: keras.layers.Layer) -> object:
    """Returns the linear or softmax activation of a last layer, or raises."""
    if isinstance(last, keras.layers.Softmax):
        return keras.activations.softmax
    activation = getattr(last, "activation", None)
    if activation not in (keras.activations.softmax, keras.activations.linear):
        name = getattr(activation, "__name__", activation)
        raise ValueError(
            "model: its logits cannot be read. Expected: a last layer with a linear or softmax "
            f"activation. Received: {type(last).__name__} {last.name!r} with activation {name}."
        )
    return activation


def _called_shape(model: keras.Model) -> Any:
    """Returns the output shape of a subclassed model, from one batch."""
    outputs = model(example_batch(model), training=False)
    return keras.tree.map_structure(lambda output: (None, *output.shape[1:]), outputs)


def _checked(twin: keras.Model, model: keras.Model) -> keras.Model:
    """Returns the twin if softmax of its output is the model's, or its output is not softmax's."""
    batch = example_batch(model)
    scores = keras.tree.flatten(twin(batch, training=False))[0]
    given = scores if twin is model else keras.tree.flatten(model(batch, training=False))[0]
    scores, given, softmax = (
        keras.ops.convert_to_numpy(part).astype("float64")
        for part in (scores, given, keras.ops.softmax(scores))
    )
    # outputs of a model that diverged are not finite, which is not for here to say
    unchanged = np.allclose(scores, given, atol=1e-5, equal_nan=True)
    taken_off = np.allclose(softmax, given, atol=1e-2, equal_nan=True)
    if _probabilities(scores) or not (unchanged or taken_off):
        raise ValueError(
            "model: its logits cannot be read. Expected: a softmax as the very last step, in a "
            "layer of its own or as the activation of the last layer. Received: a model whose "
            "output without it is still a row of probabilities, or something else."
        )
    return twin


def _probabilities(scores: np.ndarray) -> bool:
    """Tells whether every row of scores could be probabilities."""
    return bool((scores >= 0).all() and np.allclose(scores.sum(-1), 1, atol=_OFF))


def _last_layer(model: keras.Model) -> tuple[keras.Model, keras.layers.Layer]:
    """Returns the layer that makes a model's output, and the model that holds it directly."""
    if isinstance(model, keras.Sequential) or not getattr(model, "outputs", None):
        last = model.layers[-1]
    else:
        last = model.outputs[0]._keras_history.operation
    if isinstance(last, keras.Model):
        return _last_layer(last)
    return model, last
