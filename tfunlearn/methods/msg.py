"""MSG: draw anew what forget and retain set pull at least, and train that before the rest."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfunlearn import gradients, losses, models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.data.streams import batches_to_read
from tfunlearn.methods.checks import check
from tfunlearn.methods.prmq import kernels
from tfunlearn.methods.rates import constant_rate, rate_of

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)


def msg(
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
    learning_rate: float | None = None,
    share: float = 0.3,
    others: float = 0.1,
) -> keras.Model:
    """Draws the weights of small gradient anew and trains on the retain set, the others slowly.

    Gradients of cross-entropy are summed over the batches of as many retain examples as there are
    to forget, less those of the forget set. In each convolution the weights with the smallest are
    drawn from ``N(0, 2 / fan_out)``. In training the other weights of these kernels make only a
    part of each update. The learning rate rises linearly to the middle epoch and falls again.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget`` and ``retain``.
        seed: seed of the retain examples, the draws, the dropout masks and the batch order.
        epochs: passes over the retain set.
        batch_size: examples a batch, also for the gradients.
        callbacks: Keras callbacks for the training; they see epochs, not batches.
        jit_compile: as in ``keras.Model.compile``.
        verbose: 0 for silence, otherwise a progress bar.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it;
            the gradients that choose what is drawn anew are taken without weights.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        loss: loss on integer labels for the training; by default the model's own.
        optimizer: optimizer with a constant learning rate; by default a fresh one like the
            model's own.
        learning_rate: highest learning rate of an optimizer like the model's own; by default
            three times the model's own.
        share: share of each kernel that is drawn anew, inside (0, 1].
        others: part of each update that the rest of these kernels makes, in [0, 1].

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set, and two gradients of the
        forget set's size.

    Raises:
        ValueError: if a number is outside its range, no kernel can be drawn anew, there is no
            loss or no optimizer, or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: second place of the NeurIPS 2023 unlearning competition, "Masked Small Gradients" in
    Cadet et al., 2024, arXiv 2410.01276.
    Deviation: the update is scaled and not the gradient, which momentum and Adam would undo. A
    model without convolutions, which the source does not treat, has this done to all its kernels;
    what is drawn anew there may be weights of inputs that are always 0, and forget little.
    Biases stay as they are; the port in that paper's code draws those of convolutions anew, as it
    replaces the layers. Gradients are taken in inference mode. The learning rate is three times the
    original's own, since most weights make a tenth of it, rather than SGD's 0.001.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    training.check_epochs(epochs)
    _check_numbers(share, others)
    rate = constant_rate(model, optimizer, learning_rate, scale=3.0)
    recipe = training.Recipe.of(model, loss=loss, optimizer=optimizer, learning_rate=rate)
    student = models.copy(model, seed=seed)
    pull = _pull(model, split, seed, batch_size, jit_compile)
    scales = _draw_small(student, pull, share, others, np.random.default_rng(seed))
    recipe.compile(student, jit_compile=jit_compile)
    training.fit_steps(
        student,
        scaled_updates(student, scales),
        batches(split, "retain", batch_size=batch_size, shuffle=True, seed=seed),
        epochs=epochs,
        callbacks=[_rise_and_fall(rate_of(student.optimizer), epochs), *callbacks],
        verbose=verbose,
    )
    return training.finish(student, model)


def scaled_updates(
    model: keras.Model, scales: list[tuple[keras.Variable, np.ndarray]]
) -> Callable[..., dict[str, float]]:
    """Returns a training step in which some weights make only a part of each update.

    The part is taken of what the optimizer did, momentum and weight decay included.

    Args:
        model: a compiled model.
        scales: weights of the model, each with an array of its shape: the part of the update.
    """
    parts = [(weight, ops.convert_to_tensor(scale, weight.dtype)) for weight, scale in scales]

    def step(*batch: Any) -> dict[str, float]:
        before = [ops.copy(ops.convert_to_tensor(weight)) for weight, _ in parts]
        logs = model.train_on_batch(*batch, return_dict=True)
        for (weight, scale), old in zip(parts, before, strict=True):
            weight.assign(old + scale * (ops.convert_to_tensor(weight) - old))
        return logs

    return step


def _check_numbers(share: float, others: float) -> None:
    """Raises unless the numbers are inside their ranges."""
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a share inside (0, 1]. Received: {share!r}.")
    if not 0 <= others <= 1:
        raise ValueError(f"others: expected a number in [0, 1]. Received: {others!r}.")


def _pull(
    model: keras.Model, split: ForgetSplit, seed: int, batch_size: int, jit_compile: bool | str
) -> list[np.ndarray]:
    """Returns the gradient on retain examples less that on the forget set, for each weight."""
    net, count = models.logits_reader(model), min(split.size("forget"), split.size("retain"))
    chosen = np.random.default_rng(seed).permutation(split.size("retain"))[:count]
    some = split.subset("retain", np.sort(chosen))
    streams = [batches_to_read(some, role, batch_size) for role in ("retain", "forget")]
    (keep, _), (go, _) = gradients.gradient_sums(
        net, streams, losses.cross_entropy, jit_compile=jit_compile
    )
    return [a - b for a, b in zip(keep, go, strict=True)]


def _draw_small(
    student: keras.Model,
    pull: list[np.ndarray],
    share: float,
    others: float,
    numbers: np.random.Generator,
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Draws the weights of small gradient anew; returns what part of an update each may make."""
    gradient = {id(w): g for w, g in zip(student.trainable_variables, pull, strict=True)}
    found = kernels(student)
    chosen = [pair for pair in found if isinstance(pair[0], _CONVOLUTIONS)] or found
    scales = []
    for layer, kernel in chosen:
        shape = tuple(kernel.shape)
        small = np.zeros(int(np.prod(shape)), bool)
        order = np.argsort(np.abs(gradient[id(kernel)]).reshape(-1), kind="stable")
        small[order[: round(share * small.size)]] = True
        small = small.reshape(shape)
        drawn = numbers.normal(0.0, np.sqrt(2 / _fan_out(layer, shape)), shape)
        kernel.assign(np.where(small, drawn, ops.convert_to_numpy(kernel)).astype("float32"))
        scales.append((kernel, np.where(small, 1.0, others)))
    return scales


def _fan_out(layer: keras.layers.Layer, shape: tuple[int, ...]) -> int:
    """Returns how many units an input of a kernel has part in, with all groups counted."""
    depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    return int(np.prod(shape if depthwise else (*shape[:-2], shape[-1])))


def _rise_and_fall(rate: float, epochs: int) -> keras.callbacks.Callback:
    """Returns a callback for a learning rate that rises to the middle epoch and falls again."""
    top, end = (epochs + 1) // 2, epochs + 1

    def at(epoch: int, _: float) -> float:
        step = epoch + 1
        return rate * (step / top if step <= top else (end - step) / (end - top))

    return keras.callbacks.LearningRateScheduler(at)
