"""Forgetting in the last layers: fine-tuning of those alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.checks import check
from tfunlearn.models.copying import example_batch
from tfunlearn.models.listening import listening

Layer = keras.layers.Layer


def cf_k(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 10,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
    k: int = 1,
) -> keras.Model:
    """Goes on training the last k layers on the retain set, and holds the others still.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain``.
        seed: seed of the dropout masks and the batch order.
        epochs: passes over the retain set.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        loss: loss on class ids or one-hot rows; by default the model's own.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default the
            model's own.
        k: layers that train, counted from the last: a layer with a kernel at any depth, together
            with what follows it up to the next one (batch normalisation, say). Layers that are
            frozen in the original do not count. All layers is fine-tuning.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set, backwards through the
        last layers alone.

    Raises:
        ValueError: if ``k`` is below 1 or more than there are layers, the order of the layers
            cannot be told, there is no loss or no optimizer, or model and split do not fit
            together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Goel et al., 2022, "Towards Adversarial Evaluation of Inexact Machine Unlearning",
    arXiv 2201.06640, CF-k ("catastrophically forgetting the last k layers").
    Deviation: optimizer and learning rate are the original's own. Batch normalisation in the
    layers that are held keeps its statistics as well.
    """
    check(model, split, {"retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    recipe = training.Recipe.of(model, loss=loss, optimizer=optimizer, learning_rate=learning_rate)
    student = models.copy(model, seed=seed)
    freeze_others(student, last_layers(student, k))
    recipe.compile(student, jit_compile=jit_compile)
    stream = batches(split, "retain", batch_size=batch_size, shuffle=True, seed=seed)
    training.fit(student, stream, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def last_layers(model: keras.Model, k: int) -> list[Layer]:
    """Returns the last k layers that train, with the normalisation that follows each.

    Args:
        model: the model.
        k: layers, counted as in ``cf_k``.

    Raises:
        ValueError: if ``k`` is below 1 or more than there are layers that train, or the layers
            named last are not those that run last.
    """
    blocks: list[list[Layer]] = []
    kernels: list[Layer] = []
    first: list[Layer] = []  # what comes before any kernel goes with the first one
    for layer in models.iter_layers(model):
        own = [weight for weight in own_weights(layer) if weight.trainable]
        if not own:
            continue
        if any(len(weight.shape) > 1 for weight in own):
            blocks.append([])
            kernels.append(layer)
        (blocks[-1] if blocks else first).append(layer)
    blocks[:1] = [first + block for block in blocks[:1]]
    if not isinstance(k, int | np.integer) or not 1 <= k <= len(blocks):
        raise ValueError(
            f"k: expected a whole number from 1 to {len(blocks)}, the layers with kernels that "
            f"train. Received: {k!r}."
        )
    _check_order(model, kernels, int(k))
    return [layer for block in blocks[-int(k) :] for layer in block]


def _check_order(model: keras.Model, kernels: list[Layer], k: int) -> None:
    """Raises if a model with Python code of its own runs other layers last than it names last."""
    inside = [
        part for part in models.iter_layers(model) if any(True for _ in models.iter_layers(part))
    ]
    if all(getattr(part, "outputs", None) for part in (model, *inside)):
        return  # a graph, which says the order itself
    ran: dict[int, Layer] = {}
    for layer in _runs(model, kernels):
        ran.pop(id(layer), None)
        ran[id(layer)] = layer
    seen = [layer for layer in kernels[-k:] if id(layer) in ran]
    last = list(ran.values())[-max(1, len(seen)) :]
    if {id(layer) for layer in seen} != {id(layer) for layer in last}:
        named = ", ".join(layer.name for layer in kernels[-k:])
        raise ValueError(
            "k: the last layers of this model cannot be told. Expected: attributes in the order "
            f"in which call uses them. Received: {named} named last, but "
            f"{', '.join(layer.name for layer in last)} run last."
        )


def _runs(model: keras.Model, layers: list[Layer]) -> list[Layer]:
    """Returns some layers of a model in the order in which it runs them."""
    order: list[Layer] = []
    with listening(layers, lambda layer, x: order.append(layer)):
        model(example_batch(model), training=False)
    return order


def first_layer(model: keras.Model) -> Layer:
    """Returns the layer with a kernel that runs first, of those that train.

    Args:
        model: the model.

    Raises:
        ValueError: if no layer has a kernel that is not frozen.
    """
    kernels = kernel_layers(model)
    if not kernels:
        raise ValueError(
            "model: expected a layer with a kernel that is not frozen. Received: none."
        )
    return next(iter(_runs(model, kernels)), kernels[0])


def kernel_layers(model: keras.Model) -> list[Layer]:
    """Returns the layers with a kernel of their own that trains, at any depth.

    Args:
        model: the model.
    """
    return [
        layer
        for layer in models.iter_layers(model)
        if any(weight.trainable and len(weight.shape) > 1 for weight in own_weights(layer))
    ]


def draw_anew(student: keras.Model, model: keras.Model, layers: list[Layer], seed: int) -> None:
    """Gives some layers of a student the weights that a fresh model of that form has.

    Args:
        student: a copy of the original, changed in place.
        model: the original.
        layers: layers of the student.
        seed: seed of the fresh weights.
    """
    drawn = {id(weight) for layer in layers for weight in own_weights(layer)}
    fresh = models.reinitialized(model, seed=seed)
    for old, new in zip(student.weights, fresh.weights, strict=True):
        if id(old) in drawn:
            old.assign(new)


def freeze_others(model: keras.Model, kept: list[Layer]) -> None:
    """Freezes every layer of a model but some; a layer with others inside stays open for those.

    Args:
        model: a model that is not compiled yet, changed in place.
        kept: the layers that go on training.
    """
    open_ones = {id(layer) for layer in kept}
    for layer in models.iter_layers(model):
        if id(layer) in open_ones:
            continue
        if any(True for _ in models.iter_layers(layer)):
            for weight in own_weights(layer):
                weight.trainable = False
        else:
            layer.trainable = False


def own_weights(layer: Layer) -> list[Any]:
    """Returns the weights that a layer holds itself, not in a layer inside it."""
    inside = {id(weight) for part in models.iter_layers(layer) for weight in part.weights}
    return [weight for weight in layer.weights if id(weight) not in inside]
