"""PRMQ: prune nearly all weights, draw them anew, match the original's entropy, quantise."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfunlearn import losses, models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.cf_k import own_weights
from tfunlearn.methods.checks import check
from tfunlearn.methods.unlearner import Unlearner

Kernel = tuple[keras.layers.Layer, keras.Variable]


class PRMQ(Unlearner):
    """Trains a student on retain batches to be right, and as sure of it as the original is.

    Each retain example's term is ``w[y] CE + (H(student) - H(original))^2``, with H the entropy of
    the predicted classes in nats.

    Args:
        student: the model to train; it gives logits (see ``models.logits_model``).
        original: a copy of the original that gives logits; it is frozen.
        class_weights: weight of each class in the cross-entropy, at least 0.

    Example:
        >>> from tfunlearn import methods, models
        >>> net = models.mnist_dense(4, seed=0)
        >>> prmq = methods.PRMQ(models.copy(net), models.copy(net), [1.0] * 10)
        >>> prmq.compile("sgd")  # then prmq.fit(data.batches(split, "retain", named=True))

    Reference: fourth place of the NeurIPS 2023 unlearning competition, in Cadet et al., 2024,
    arXiv 2410.01276.
    Deviation: none known.
    """

    def __init__(
        self, student: keras.Model, original: keras.Model, class_weights: Sequence[float]
    ) -> None:
        super().__init__(student, {"original": original})
        self.class_weights = [float(weight) for weight in class_weights]

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns the weighted cross-entropy and the squared gap in entropy of each example."""
        wrong = losses.weighted_sparse_categorical_crossentropy(
            y["retain"], logits["retain"], self.class_weights, from_logits=True
        )
        gap = _entropy(logits["retain"]) - _entropy(self.teach("original", x["retain"]))
        return {"retain": (wrong, ops.square(gap))}


def prmq(
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
    optimizer: Any = None,
    learning_rate: float | None = None,
    pruned: float = 0.99,
    half_precision: bool = False,
) -> keras.Model:
    """Draws all but the largest weights anew, then trains to be as sure as the original was.

    The smallest kernel weights in the whole model are replaced by draws from
    ``U(-1/sqrt(fan_in), 1/sqrt(fan_in))``. Training on the retain set lowers cross-entropy, with
    class weights ``count^-0.1``, plus the squared difference to the original's entropy.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain``.
        seed: seed of the draws, the dropout masks and the batch order.
        epochs: passes over the retain set.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training; they see a ``PRMQ``.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it;
            the method's own class weights multiply it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default the
            model's own.
        pruned: share of all kernel weights that is drawn anew, inside (0, 1].
        half_precision: round every weight to 16 bits at the end.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set, with forward passes of
        the original.

    Raises:
        ValueError: if a number is outside its range, there is no kernel that is not frozen, there
            is no optimizer, or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged, or a weight is beyond 16 bits.

    Reference: fourth place of the NeurIPS 2023 unlearning competition, in Cadet et al., 2024,
    arXiv 2410.01276.
    Deviation: class weights have mean 1 over the retain set, where the source's have it in each
    batch; biases are not pruned. The round trip through 16 bits, with which the source ends, is
    an option, since it forgets nothing. Epochs and learning rate are for drawing so much anew on
    small data: 10 at the original's own rate, rather than 3.2 of SGD at 0.0005.
    """
    check(model, split, {"retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    if not 0 < pruned <= 1:
        raise ValueError(f"pruned: expected a share inside (0, 1]. Received: {pruned!r}.")
    optimizer = training.optimizer_like(model, optimizer=optimizer, learning_rate=learning_rate)
    student = models.logits_model(model, seed=seed)
    prune_and_draw(student, pruned, seed)
    weights = _class_weights(split.class_counts("retain"), models.num_classes(model))
    unlearner = PRMQ(student, models.logits_model(model), weights)
    unlearner.compile(optimizer, jit_compile=jit_compile)
    stream = batches(split, "retain", batch_size=batch_size, shuffle=True, seed=seed, named=True)
    training.fit(unlearner, stream, epochs=epochs, callbacks=callbacks, verbose=verbose)
    if half_precision:
        _round_to_half(student)
    return training.finish(training.adopt(model, student, seed=seed), model)


def prune_and_draw(model: keras.Model, share: float, seed: int) -> None:
    """Replaces the smallest of all kernel weights by draws within ``1 / sqrt(fan_in)``, in place.

    Args:
        model: the model to change.
        share: share of the kernel weights, over all layers together, inside (0, 1].
        seed: seed of the draws.

    Raises:
        ValueError: if no layer has a kernel that is not frozen.

    Example:
        >>> from tfunlearn import methods, models
        >>> net = models.mnist_dense(4, seed=0)
        >>> before = models.copy(net)
        >>> methods.prune_and_draw(net, share=0.5, seed=0)
        >>> models.weight_distance(before, net) > 0
        True
    """
    found = kernels(model)
    values = [ops.convert_to_numpy(kernel).astype("float32") for _, kernel in found]
    sizes = np.abs(np.concatenate([value.reshape(-1) for value in values]))
    small = np.zeros(len(sizes), bool)
    small[np.argsort(sizes, kind="stable")[: round(share * len(sizes))]] = True
    numbers, start = np.random.default_rng(seed), 0
    for (layer, kernel), value in zip(found, values, strict=True):
        replaced = small[start : start + value.size].reshape(value.shape)
        bound = 1 / np.sqrt(fan_in(layer, value.shape))
        drawn = numbers.uniform(-bound, bound, value.shape).astype("float32")
        kernel.assign(np.where(replaced, drawn, value))
        start += value.size


def kernels(model: keras.Model) -> list[Kernel]:
    """Returns every kernel of a model that is not frozen, with its layer, at any depth.

    Args:
        model: the model.

    Raises:
        ValueError: if there is none.
    """
    found: dict[int, Kernel] = {
        id(weight): (layer, weight)
        for layer in models.iter_layers(model)
        for weight in own_weights(layer)
        if weight.trainable and "kernel" in weight.name
    }
    if not found:
        raise ValueError(
            "model: expected a layer with a kernel that is not frozen. Received: none."
        )
    return list(found.values())


def fan_in(layer: keras.layers.Layer, shape: tuple[int, ...]) -> int:
    """Returns how many inputs a unit of a kernel adds up.

    Args:
        layer: the kernel's layer.
        shape: the kernel's shape.
    """
    depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    return int(np.prod(shape[:-2] if depthwise else shape[:-1]))


def _class_weights(counts: np.ndarray, classes: int) -> np.ndarray:
    """Returns ``count^-0.1`` for each class, with mean 1 over the examples; 0 for absent ones."""
    weights = np.zeros(classes)
    present = np.flatnonzero(counts)
    weights[present] = counts[present] ** -0.1
    return weights * counts.sum() / (weights[: len(counts)] @ counts)


def _entropy(logits: Any) -> Any:
    """Returns the entropy of the predicted classes of each example, in nats."""
    log = ops.log_softmax(logits)
    return -ops.sum(ops.exp(log) * log, axis=-1)


def _round_to_half(model: keras.Model) -> None:
    """Rounds every floating-point weight to 16 bits."""
    for weight in model.weights:
        value = ops.convert_to_numpy(weight)
        if not np.issubdtype(value.dtype, np.floating):
            continue
        if np.abs(value).max(initial=0) > np.finfo("float16").max:
            raise RuntimeError(
                f"half_precision: {weight.path!r} does not fit. Expected: weights of at most "
                f"65504. Received: {np.abs(value).max():.4g}."
            )
        weight.assign(value.astype("float16").astype(value.dtype))
