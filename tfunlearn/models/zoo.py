"""The classifiers of the notebooks, and a small one for tests and demonstrations."""

import itertools
import math
from os import PathLike
from typing import Literal

import keras

from tfunlearn.models.seeding import dropout_seed, seeded


def mnist_dense(
    input_size: int = 784,
    num_classes: int = 10,
    dropout: float = 0.3,
    *,
    init: Literal["keras", "torch"] = "keras",
    seed: int | None = None,
) -> keras.Model:
    """Builds a dense network 784-256-128-64-10 with ReLU, and dropout after the first two layers.

    Args:
        input_size: length of a flattened input.
        num_classes: number of logits.
        dropout: dropout rate, in [0, 1).
        init: ``"keras"`` for Keras' default (Glorot uniform kernels, zero biases) or ``"torch"``
            for the default of PyTorch's Linear: kernels and biases uniform within
            1 / sqrt(fan_in). After 5 epochs the two differ by several points.
        seed: seed of the initial weights and dropout masks.

    Returns:
        An uncompiled model ``(batch, input_size) -> (batch, num_classes)`` that gives logits.

    Raises:
        ValueError: if ``init`` is not one of the two names.

    Example:
        >>> from tfunlearn import models
        >>> models.mnist_dense().count_params()
        242762
    """
    if init not in ("keras", "torch"):
        raise ValueError(f"init: expected 'keras' or 'torch'. Received: {init!r}.")
    sizes = (input_size, 256, 128, 64, num_classes)
    stack: list[keras.layers.Layer] = [keras.Input((input_size,))]
    with seeded(seed):
        for number, (fan_in, units) in enumerate(itertools.pairwise(sizes), start=1):
            last = number == len(sizes) - 1
            stack.append(_dense(fan_in, units, None if last else "relu", init, f"fc{number}"))
            if number <= 2:
                own = {"seed": dropout_seed(), "name": f"dropout{number}"}
                stack.append(keras.layers.Dropout(dropout, **own))
        return keras.Sequential(stack, name="mnist_dense")


def resnet50_classifier(
    num_classes: int = 10,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    weights: str | PathLike | None = "imagenet",
    dense: int = 128,
    softmax: bool = True,
    *,
    jit_compile: bool | str = "auto",
    seed: int | None = None,
) -> keras.Model:
    """Builds a ResNet50 classifier: backbone, global average pooling, Dense ReLU, Dense head.

    Args:
        num_classes: number of classes.
        input_shape: image shape, height and width at least 32.
        weights: ``"imagenet"`` (downloaded by Keras), None for random ones, or the path of a
            weight file of the backbone without its top.
        dense: units of the hidden head layer.
        softmax: end in probabilities; False for logits.
        jit_compile: passed to ``compile``; True asks for XLA.
        seed: seed of the initial weights of the head (and of the backbone, if it has none).

    Returns:
        A model compiled with Adam, sparse cross-entropy and accuracy. The backbone is one nested
        model with 53 convolutions.

    Raises:
        FileNotFoundError: if ``weights`` names a file that is not there.
    """
    if weights not in (None, "imagenet"):
        weights = _existing_file(weights)
    with seeded(seed):
        backbone = keras.applications.ResNet50(
            weights=weights, include_top=False, input_shape=input_shape
        )
        model = keras.Sequential(
            [
                keras.Input(input_shape),
                backbone,
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(dense, activation="relu"),
                keras.layers.Dense(num_classes, activation="softmax" if softmax else None),
            ],
            name="resnet50_classifier",
        )
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model


def small_cnn(
    input_shape: tuple[int, int, int] = (8, 8, 1),
    num_classes: int = 10,
    *,
    filters: int = 8,
    strides: int = 1,
    dense: int | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Builds a small convolutional network with batch normalisation and one nested sub-model.

    Args:
        input_shape: image shape ``(height, width, channels)``.
        num_classes: number of logits.
        filters: channels of the stem; the nested body has twice as many.
        strides: strides of the stem; 2 makes a quarter of the work of it all.
        dense: units of a hidden layer on the flattened features, which knows more single images
            by heart; by default the features are averaged instead.
        seed: seed of the initial weights.

    Returns:
        An uncompiled model that gives logits: a stem convolution named ``stem``, a nested model
        named ``body`` with two more convolutions, global average pooling (or the hidden layer
        named ``hidden``) and a Dense head.

    Example:
        >>> from tfunlearn import models
        >>> models.small_cnn().output_shape
        (None, 10)
    """
    with seeded(seed):
        height, width = (-(-size // strides) for size in input_shape[:2])
        body_input = keras.Input((height, width, filters))
        hidden = _conv_block(body_input, 2 * filters, strides=2)
        body = keras.Model(body_input, _conv_block(hidden, 2 * filters, strides=1), name="body")
        inputs = keras.Input(input_shape)
        stem = keras.layers.Conv2D(
            filters, 3, strides=strides, padding="same", use_bias=False, name="stem"
        )
        hidden = keras.layers.BatchNormalization(momentum=0.9)(stem(inputs))
        hidden = body(keras.layers.ReLU()(hidden))
        if dense is None:
            hidden = keras.layers.GlobalAveragePooling2D()(hidden)
        else:
            hidden = keras.layers.Flatten()(hidden)
            hidden = keras.layers.Dense(dense, activation="relu", name="hidden")(hidden)
        outputs = keras.layers.Dense(num_classes, name="head")(hidden)
        return keras.Model(inputs, outputs, name="small_cnn")


def _dense(
    fan_in: int, units: int, activation: str | None, init: str, name: str
) -> keras.layers.Dense:
    """Returns one Dense layer with the asked-for initialisation."""
    own: dict[str, keras.initializers.Initializer] = {}
    if init == "torch":
        bound = 1.0 / math.sqrt(fan_in)
        for part in ("kernel_initializer", "bias_initializer"):
            own[part] = keras.initializers.RandomUniform(-bound, bound)
    return keras.layers.Dense(units, activation=activation, name=name, **own)


def _conv_block(inputs: keras.KerasTensor, filters: int, strides: int) -> keras.KerasTensor:
    """Applies a 3 x 3 convolution, batch normalisation and ReLU."""
    conv = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(conv(inputs)))


def _existing_file(path: str | PathLike) -> str:
    """Returns a path as text if the file is there."""
    import pathlib

    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(
            "weights: expected 'imagenet', None or the path of a weight file. "
            f"Received: {str(path)!r}, which is not a file."
        )
    return str(path)
