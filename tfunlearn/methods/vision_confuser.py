"""Vision confuser: blur what the convolutions know, then rebuild it from the retain set."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras

from tfunlearn import training
from tfunlearn.callbacks import LayerFilter, WeightNoise
from tfunlearn.data import ForgetSplit
from tfunlearn.losses import WeightedSparseCategoricalCrossentropy
from tfunlearn.methods.finetune import finetune
from tfunlearn.methods.rates import half_cosine
from tfunlearn.models import gives_logits


def vision_confuser(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 5,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    stddev: float | Mapping[int, float] = 0.3,
    relative: bool = True,
    layers: LayerFilter = keras.layers.Conv2D,
    bias: bool = False,
    class_weights: Sequence[float] | None = None,
    learning_rate: float | None = None,
    schedule: Literal["constant", "cosine"] = "constant",
) -> keras.Model:
    """Adds noise to the convolutions of the original, then trains it on the retain set.

    Args:
        model: the original, with convolutions; it is left as it was.
        split: the data; reads ``retain``.
        seed: seed of the noise, the dropout masks and the batch order.
        epochs: passes over the retain set.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        loss: loss on integer labels; by default cross-entropy under ``class_weights``.
        optimizer: optimizer; by default SGD with momentum 0.9 and weight decay 5e-4.
        stddev: standard deviation of the noise (sigma), once before the first epoch, or
            ``{epoch: stddev}``.
        relative: measure ``stddev`` in each kernel's own standard deviation.
        layers: which layers are noised; see ``callbacks.WeightNoise``. ``"stem"`` for the first
            convolution alone.
        bias: noise the biases of these layers as well.
        class_weights: weight of each class in the loss; by default 1 each.
        learning_rate: learning rate of the default optimizer; by default 0.01.
        schedule: ``"constant"``, or ``"cosine"`` to lower the learning rate from epoch to epoch.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set.

    Raises:
        ValueError: if no layer matches, both a loss and class weights or both an optimizer and a
            learning rate are given, the schedule is unknown, or as ``finetune``.
        RuntimeError: if the training diverged.

    Reference: third place of the NeurIPS 2023 unlearning competition, "Confuse Weights" in Cadet
    et al., 2024, arXiv 2410.01276; the CIFAR-10 notebook.
    Deviation: noise in proportion to each kernel on every convolution, where the competition's
    code adds N(0, 0.6) to the stem alone (``stddev=0.6, relative=False, layers="stem"``) and a
    second noise of 0.005 before its last epoch (``stddev={0: 0.6, 3: 0.005}, epochs=4``); the
    loss weighs each example by its class, where both sources multiply two batch means. Weight
    decay is decoupled, as in Keras' SGD.
    """
    if loss is not None and class_weights is not None:
        raise ValueError(
            "class_weights: expected a loss or class weights. Received both; "
            "put the weights into the loss."
        )
    if class_weight is not None and class_weights is not None:
        raise ValueError(
            "class_weight: expected one of class_weight, a dict, and class_weights, a list for "
            "the default loss. Received both."
        )
    if optimizer is not None and learning_rate is not None:
        raise ValueError(
            "learning_rate: expected an optimizer or a learning rate. Received both; "
            "put the learning rate into the optimizer."
        )
    training.check_rate(learning_rate)
    if schedule not in ("constant", "cosine"):
        raise ValueError(f"schedule: expected 'constant' or 'cosine'. Received: {schedule!r}.")
    noise = WeightNoise(stddev, layers=layers, relative=relative, bias=bias, seed=seed)
    if loss is None:
        loss = _cross_entropy(model, class_weights)
    if optimizer is None:
        rate = 0.01 if learning_rate is None else learning_rate
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4)
    own = [noise, *([half_cosine(epochs)] if schedule == "cosine" else [])]
    return finetune(
        model,
        split,
        seed=seed,
        epochs=epochs,
        batch_size=batch_size,
        callbacks=[*own, *callbacks],
        jit_compile=jit_compile,
        verbose=verbose,
        class_weight=class_weight,
        sample_weight=sample_weight,
        loss=loss,
        optimizer=optimizer,
    )


def _cross_entropy(model: keras.Model, weights: Sequence[float] | None) -> keras.losses.Loss:
    """Returns cross-entropy for the model's kind of output, weighted if asked."""
    from_logits = gives_logits(model)
    if weights is None:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    return WeightedSparseCategoricalCrossentropy(weights, from_logits=from_logits)
