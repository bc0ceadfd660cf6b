"""Forgetting by noise in a few weights at a time, with the others held still."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.cf_k import draw_anew, last_layers
from tfunlearn.methods.checks import check
from tfunlearn.methods.rates import constant_rate, rate_of

_NORMALISING = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)


def rni(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 9,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    loss: Any = None,
    optimizer: Any = None,
    learning_rate: float | None = None,
    share: float = 0.15,
    noised: float = 0.7,
    stddev: float = 0.04,
    full_epochs: int | None = None,
    last_rate: float = 1.0,
) -> keras.Model:
    """Draws the head anew, then trains a few weights an epoch, some of them noised first.

    In each epoch a random share of the weights trains, and all normalisation with it; the others
    are held. From the second epoch on, a part of these weights is noised before; a weight that has
    trained in an earlier epoch is not. The last epochs train everything.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain``.
        seed: seed of the head, the choices, the noise, the dropout masks and the batch order.
        epochs: passes over the retain set.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training; they see epochs, not batches.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        loss: loss on class ids or one-hot rows; by default the model's own.
        optimizer: optimizer with a constant learning rate, fresh whenever the choice changes; by
            default one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default the
            model's own.
        share: share of the weight tensors that train in an epoch, inside (0, 1]; at least one.
        noised: share of these that is noised, in [0, 1].
        stddev: standard deviation of the noise, at least 0.
        full_epochs: last epochs, which train everything, from 1 to ``epochs``; by default four of
            nine, and in proportion.
        last_rate: factor of the learning rate in the very last epoch, positive.

    Returns:
        The unlearned model. Costs ``epochs`` passes over the retain set.

    Raises:
        ValueError: if a number is outside its range, or as ``finetune``.
        RuntimeError: if the training changed nothing or diverged.

    Reference: seventh place of the NeurIPS 2023 unlearning competition, in Cadet et al., 2024,
    arXiv 2410.01276.
    Deviation: a share of 0.15 where the source takes 9 tensors, of the 28 that a ResNet-18 has
    beside those named as batch normalisation. The share of these that is noised is rounded to the
    nearest number; there it is rounded down, to 6 of 9. The last epochs, which train everything,
    share one optimizer; there each epoch has a fresh one, whose momentum starts at 0. The learning
    rate is the original's own, where the source has SGD at 0.0002 and 0.001 in the last epoch
    (``last_rate=5``). Weights that are frozen in the original have no part.
    """
    check(model, split, {"retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    training.check_epochs(epochs)
    full = max(1, round(4 * epochs / 9)) if full_epochs is None else full_epochs
    _check_numbers(epochs, share, noised, stddev, full, last_rate)
    rate = constant_rate(model, optimizer, learning_rate)
    recipe = training.Recipe.of(model, loss=loss, optimizer=optimizer, learning_rate=rate)
    student = models.copy(model, seed=seed)
    draw_anew(student, model, last_layers(student, 1), seed)
    numbers = np.random.default_rng(seed)
    always, rest = _tensors(student)
    stream = batches(split, "retain", batch_size=batch_size, shuffle=True, seed=seed)
    trained: set[int] = set()

    def passes(epoch: int) -> list[Any]:
        first_full = epochs - full
        if epoch < first_full:
            chosen = _choose(rest, share, numbers)
            if epoch > 0:
                _add_noise(chosen, noised, stddev, trained, numbers)
            trained.update(id(weight) for weight in chosen)
            _train_only(always, rest, chosen)
        elif epoch == first_full:
            _train_only(always, rest, rest)
        if epoch <= first_full:
            recipe.compile(student, jit_compile=jit_compile)
        if epoch == epochs - 1 and last_rate != 1:
            student.optimizer.learning_rate = rate_of(student.optimizer) * last_rate
        return [stream]

    training.fit_passes(student, passes, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def _check_numbers(
    epochs: int, share: float, noised: float, stddev: float, full: int, last_rate: float
) -> None:
    """Raises unless the numbers are inside their ranges."""
    rules = (
        ("share", share, "a number inside (0, 1]", 0 < share <= 1),
        ("noised", noised, "a number in [0, 1]", 0 <= noised <= 1),
        ("stddev", stddev, "a number of at least 0", 0 <= stddev < np.inf),
        ("last_rate", last_rate, "a positive number", 0 < last_rate < np.inf),
        ("full_epochs", full, f"a whole number from 1 to {epochs}", full in range(1, epochs + 1)),
    )
    for name, value, expected, holds in rules:
        if not holds:
            raise ValueError(f"{name}: expected {expected}. Received: {value!r}.")


def _tensors(model: keras.Model) -> tuple[list[Any], list[Any]]:
    """Returns the trainable weights of normalisation, and the others."""
    of_norms = {
        id(weight)
        for layer in models.iter_layers(model)
        if isinstance(layer, _NORMALISING)
        for weight in layer.weights
    }
    weights = model.trainable_variables
    return (
        [weight for weight in weights if id(weight) in of_norms],
        [weight for weight in weights if id(weight) not in of_norms],
    )


def _choose(weights: list[Any], share: float, numbers: np.random.Generator) -> list[Any]:
    """Returns a random share of some weights, at least one."""
    count = max(1, round(share * len(weights)))
    return [weights[place] for place in numbers.permutation(len(weights))[:count]]


def _add_noise(
    chosen: list[Any],
    noised: float,
    stddev: float,
    trained: set[int],
    numbers: np.random.Generator,
) -> None:
    """Adds noise to the first of the chosen weights that have not trained yet."""
    for weight in chosen[: round(noised * len(chosen))]:
        noise = numbers.standard_normal(tuple(weight.shape), dtype="float32")
        if id(weight) not in trained:
            weight.assign_add(keras.ops.cast(stddev * noise, weight.dtype))


def _train_only(always: list[Any], rest: list[Any], chosen: list[Any]) -> None:
    """Lets normalisation and the chosen weights train, and holds the others."""
    open_ones = {id(weight) for weight in (*always, *chosen)}
    for weight in (*always, *rest):
        weight.trainable = id(weight) in open_ones
