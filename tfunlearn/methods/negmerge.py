"""NegMerge: what several fine-tunings on the forget set agree on is taken off the original."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.checks import check, check_count
from tfunlearn.methods.descent import Descent
from tfunlearn.methods.rates import constant_rate, rate_of

RATES = (0.1, 0.3, 1.0)  # of the original's learning rate


def negmerge(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    epochs: int = 5,
    batch_size: int = 128,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    optimizer: Any = None,
    learning_rates: Sequence[float] | None = None,
    repeats: int = 3,
    strength: float | None = None,
    keep: float = 0.95,
) -> keras.Model:
    """Fine-tunes on the forget set several times and goes the way they agree on backwards.

    With ``d_k`` the change of the k-th fine-tuning, the result is the original less ``strength``
    times the mean of all ``d_k``, for each weight in which all of them have one sign; the other
    weights stay as they are.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget``, and ``retain`` to find the strength.
        seed: seed of the batch orders.
        epochs: passes over the forget set in each fine-tuning.
        batch_size: examples a batch.
        callbacks: Keras callbacks, for each fine-tuning.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        optimizer: optimizer, whose learning rate is replaced; by default one like the model's own.
        learning_rates: learning rates of the fine-tunings; by default 0.1, 0.3 and 1 times the
            optimizer's own.
        repeats: fine-tunings with each of these, which differ in their batch order.
        strength: how far to go (lambda), positive; by default as far as ``keep`` allows.
        keep: share of the original's retain accuracy that the strength keeps where it is not
            given, inside (0, 1].

    Returns:
        The unlearned model. Costs ``epochs`` passes over the forget set for each fine-tuning, and
        some 15 forward passes over the retain set to find the strength.

    Raises:
        ValueError: if a number is outside its range, the fine-tunings agree on nothing, no
            strength keeps retain accuracy, there is no optimizer, or model and split do not fit
            together.
        RuntimeError: if a fine-tuning changed nothing or diverged.

    Reference: Kim, Han and Choe, 2025, "NegMerge: Sign-Consensual Weight Merging for Machine
    Unlearning", ICML, arXiv 2410.05583.
    Deviation: fine-tunings differ in learning rate and batch order alone, and run in inference
    mode, so that batch statistics and dropout have no part. The strength is found on the retain
    set by accuracy, since a fixed one does nothing to one network and ruins another.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.unweighted()
    check_count(repeats=repeats)
    if strength is not None and not 0 < strength < np.inf:
        raise ValueError(f"strength: expected a positive number or None. Received: {strength!r}.")
    if not 0 < keep <= 1:
        raise ValueError(f"keep: expected a share inside (0, 1]. Received: {keep!r}.")
    rate = constant_rate(model, optimizer)
    optimizer = training.optimizer_like(model, optimizer=optimizer, learning_rate=rate)
    own = rate_of(optimizer)
    rates = [own * part for part in RATES] if learning_rates is None else learning_rates
    if np.ndim(rates) != 1 or len(rates) == 0 or not all(0 <= rate < np.inf for rate in rates):
        raise ValueError(
            "learning_rates: expected one or more numbers of at least 0. "
            f"Received: {learning_rates!r}."
        )
    student = models.logits_model(model, seed=seed)
    descent = Descent(student, frozen_statistics=True)
    descent.compile(optimizer, jit_compile=jit_compile)
    optimizer.build(student.trainable_variables)
    options = {"batch_size": batch_size, "shuffle": True, "named": True}
    start, fresh = _values(student.trainable_variables), _values(optimizer.variables)
    changes = []
    for place, rate in enumerate(np.repeat(rates, repeats)):
        _assign(student.trainable_variables, start)
        _assign(optimizer.variables, fresh)
        optimizer.learning_rate = float(rate)
        order = int(np.random.SeedSequence([seed, place]).generate_state(1)[0])
        stream = batches(split, "forget", seed=order, **options)
        training.fit(descent, stream, epochs=epochs, callbacks=callbacks, verbose=verbose)
        after = _values(student.trainable_variables)
        changes.append([new - old for new, old in zip(after, start, strict=True)])
    merged = [_agreed(parts) for parts in zip(*changes, strict=True)]
    if not any(part.any() for part in merged):
        raise ValueError(
            "learning_rates: taking off what the fine-tunings agree on changed no weight. Expected:"
            f" at least one weight that all of them move one way. Received: {len(changes)} "
            "fine-tunings without one."
        )

    def go(far: float) -> None:
        moved = [old - far * part for old, part in zip(start, merged, strict=True)]
        _assign(student.trainable_variables, moved)

    if strength is None:
        retain = batches(split, "retain", batch_size=batch_size, named=True)
        strength = _strongest(go, lambda: _accuracy(descent, retain), keep)
    go(strength)
    return training.finish(training.adopt(model, student, seed=seed), model)


def _strongest(go: Callable[[float], None], accuracy: Callable[[], float], keep: float) -> float:
    """Returns the largest strength, to a tenth, at which a share of the accuracy is kept."""
    go(0.0)
    level = keep * accuracy()

    def holds(power: float) -> bool:
        go(2.0**power)
        return accuracy() >= level

    low, high = -10.0, 7.0
    if not holds(low):
        raise ValueError(
            "keep: no strength keeps the retain set. Expected: retain accuracy of at least "
            f"{level:.3f} at strength {2.0**low:.2g}. Received: {accuracy():.3f}."
        )
    while high - low > 0.125:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return 2.0**low


def _accuracy(model: keras.Model, retain: Any) -> float:
    """Returns retain accuracy, a fraction."""
    return float(model.evaluate(retain, return_dict=True, verbose=0)["retain_accuracy"])


def _values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Returns what some variables hold."""
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Sets variables to values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _agreed(changes: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the mean of some changes of a weight where all have one sign, elsewhere 0."""
    signs = np.sign(changes)
    same = (signs == signs[0]).all(0)
    return np.where(same, np.mean(changes, axis=0, dtype="float64"), 0.0).astype(signs.dtype)
