"""UNSIR: noise in place of the forgotten class impairs the model, retained data repair it."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfunlearn import gradients, models, training
from tfunlearn.data import ForgetSplit, batches, pairs
from tfunlearn.losses import cross_entropy
from tfunlearn.methods.checks import check, check_count, check_fraction
from tfunlearn.methods.descent import Descent
from tfunlearn.models.precision import widened


class ImpairRepair(Descent):
    """Lowers a student's cross-entropy on noise (as ``forget``) and retain, or on retain alone.

    Args:
        student: the model to train, in place; it gives logits.
        noise_share: weight of the noise where there is any; retain has the rest.
        frozen_statistics: keep all batches in inference mode.
    """

    def __init__(self, student: keras.Model, noise_share: float, frozen_statistics: bool) -> None:
        super().__init__(student, frozen_statistics)
        self._shares = {"forget": noise_share, "retain": 1 - noise_share}

    def terms(self, x: dict[str, Any], y: dict[str, Any], logits: dict[str, Any]) -> dict[str, Any]:
        """Returns the weighted cross-entropy of each example."""
        terms = super().terms(x, y, logits)
        if "forget" not in terms:
            return terms
        return {role: self._shares[role] * term for role, term in terms.items()}


def unsir(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 3,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
    classes: Sequence[int] | None = None,
    samples: int = 1000,
    noise_size: int = 32,
    noise_steps: int = 25,
    noise_share: float = 0.1,
    frozen_statistics: bool = True,
) -> keras.Model:
    """Impairs the model on noise under the forgotten labels, and repairs it on the retain set.

    The noise N of a class c minimises ``-CE(f(N), c) + 0.1 ||N||^2`` per example. A first pass
    trains on it, labelled c, beside as many retain examples; a second on retain examples alone.
    The images of the forget set are never looked at.

    Args:
        model: the original, with floating point inputs; it is left as it was.
        split: the data, whose forget set holds whole classes; reads ``retain``, and of ``forget``
            the labels alone.
        seed: seed of the noise, the sample of the retain set, the batch order and the dropout
            masks.
        epochs: repairing passes over the sample of the retain set, after one impairing pass.
        batch_size: retain examples a batch; an impairing one holds as much noise.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default its own.
        classes: classes to forget, of which nothing stays; by default those of the forget set,
            whose labels are not read otherwise.
        samples: examples of each retained class that are used, at most.
        noise_size: noise images of each forgotten class, at least 1.
        noise_steps: steps of Adam, at rate 0.1, that the noise is trained for, at least 1.
        noise_share: weight of the noise in an impairing batch, in (0, 1].
        frozen_statistics: run all batches in inference mode: batch statistics stay as they are,
            and there is no dropout. If False, the noise alone is.

    Returns:
        The unlearned model. Costs ``noise_steps`` gradients of the noise, a pass over the sample
        of the retain set with as much noise, and ``epochs`` passes over that sample.

    Raises:
        ValueError: if there is no optimizer, an option is out of its range, inputs are of unknown
            size, the forget set leaves a part of its classes, or model and split do not fit
            together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Tarun et al., 2023, "Fast Yet Effective Machine Unlearning", arXiv 2111.08947.
    Deviation: noise and retain examples are paired in each batch rather than shuffled together,
    and weighted 0.1 to 0.9. The noise of a class is 32 images trained for 25 steps; in the official
    code it is a batch of 256, trained for 40. There are three repairing passes, for small data; the
    paper makes one.
    Batch normalisation is frozen, and both passes have one learning rate, the original's.
    """
    check(model, split, {"retain"}, seed=seed, whole_classes=classes is None)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    check_count(samples=samples, noise_size=noise_size, noise_steps=noise_steps)
    check_fraction(noise_share=noise_share)
    forgotten = _classes(split, classes)
    optimizer = training.optimizer_like(model, optimizer=optimizer, learning_rate=learning_rate)
    student = models.logits_model(model, seed=seed)
    rows = [
        error_maximising_noise(
            student, label, _shape(split, noise_size), steps=noise_steps, seed=[seed, label]
        )
        for label in forgotten
    ]
    some = split.subset("retain", _sample(split, samples, seed))
    noisy = some.replaced("forget", np.concatenate(rows), np.repeat(forgotten, noise_size))
    impairing = pairs(noisy, batch_size, anchor="retain", seed=seed)
    repairing = batches(
        some, "retain", batch_size=batch_size, shuffle=True, seed=seed + 1, named=True
    )
    trained = ImpairRepair(student, noise_share, frozen_statistics)
    trained.compile(optimizer, jit_compile=jit_compile)
    training.fit_passes(
        trained,
        lambda epoch: [repairing] if epoch else [impairing, repairing],
        epochs=epochs,
        callbacks=callbacks,
        verbose=verbose,
    )
    return training.finish(training.adopt(model, student, seed=seed), model)


def error_maximising_noise(
    student: keras.Model,
    label: int,
    shape: tuple[int, ...],
    *,
    steps: int = 25,
    learning_rate: float = 0.1,
    penalty: float = 0.1,
    seed: Any = 0,
) -> np.ndarray:
    """Returns inputs that a model tells to be anything but one class.

    Adam minimises the mean of ``-CE(f(N), label) + penalty ||N||^2``, from a standard normal N.

    Args:
        student: a model that gives logits; it is left as it was.
        label: the class.
        shape: shape of the noise, examples first.
        steps: steps of Adam.
        learning_rate: rate of Adam.
        penalty: weight of the squared norm.
        seed: seed of the start, as ``np.random.default_rng`` takes it.
    """
    noise = np.random.default_rng(seed).standard_normal(shape, "float32")
    labels = np.full(shape[0], label)

    def score(x: Any) -> Any:
        norms = ops.sum(ops.square(x), axis=tuple(range(1, len(shape))))
        loss = cross_entropy(labels, widened(student(x, training=False)))
        return (penalty * norms - ops.cast(loss, norms.dtype)) / shape[0]

    first, second = np.zeros_like(noise), np.zeros_like(noise)
    for step in range(1, steps + 1):
        slopes = ops.convert_to_numpy(gradients.input_gradients(score, noise))
        first, second = 0.9 * first + 0.1 * slopes, 0.999 * second + 0.001 * slopes**2
        size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        noise = (noise - learning_rate * first / (1 - 0.9**step) / size).astype("float32")
    return noise


def _classes(split: ForgetSplit, classes: Sequence[int] | None) -> np.ndarray:
    """Returns the classes to forget, or raises if they cannot be."""
    if classes is None:
        return np.flatnonzero(split.class_counts("forget"))
    found, retained = np.unique(classes), np.flatnonzero(split.class_counts("retain"))
    known = np.setdiff1d(np.arange(split.num_classes), retained)
    if not found.size or np.setdiff1d(found, known).size:
        raise ValueError(
            "classes: expected classes of which nothing is in the retain set. "
            f"Expected: some of {known.tolist()}. Received: {classes!r}."
        )
    return found


def _shape(split: ForgetSplit, noise_size: int) -> tuple[int, ...]:
    """Returns the shape of the noise of a class."""
    if None in split.input_shape:
        raise ValueError(
            "split: noise needs inputs of one known shape. Expected: no unknown sizes. "
            f"Received: {split.input_shape}."
        )
    return (int(noise_size), *split.input_shape)


def _sample(split: ForgetSplit, samples: int, seed: int) -> np.ndarray:
    """Draws so many positions of each class of the retain set, or all where there are fewer."""
    labels, numbers = split.labels("retain"), np.random.default_rng([seed, split.num_classes])
    order = numbers.permutation(len(labels))
    drawn = [order[labels[order] == label][: int(samples)] for label in np.unique(labels)]
    return np.sort(np.concatenate(drawn))
