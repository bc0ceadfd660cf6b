"""Forgetting by learning wrong labels for the forget set."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import keras
import numpy as np

from tfunlearn import models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.methods.checks import check
from tfunlearn.methods.descent import Descent

_ORDERS = ("passes", "union")


def random_labels(
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
    optimizer: Any = None,
    learning_rate: float | None = None,
    once: bool = False,
    exclude_true: bool | None = None,
    order: Literal["passes", "union"] = "passes",
    frozen_statistics: bool = True,
) -> keras.Model:
    """Trains on the forget set under random labels and on the retain set under its own.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget`` and ``retain``.
        seed: seed of the labels, the batch order and the dropout masks.
        epochs: passes over forget and retain set.
        batch_size: examples a batch.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it;
            forget examples, under the labels that are drawn, have 1.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default 0.1 times
            its own.
        once: draw the labels once, as amnesiac relabelling does, rather than anew for each epoch.
        exclude_true: never draw an example's own label; by default where ``once`` is set.
        order: ``"passes"`` for the forget set and then the retain set in each epoch; ``"union"``
            for batches of both shuffled together.
        frozen_statistics: run all batches in inference mode: batch statistics stay as they are,
            and there is no dropout. If False, forget batches alone do, except in a union, where
            forget examples then have part in the statistics.

    Returns:
        The unlearned model. Costs ``epochs`` passes over forget and retain set.

    Raises:
        ValueError: if there is no optimizer, the order is none of its values, or model and split
            do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Graves et al., 2021, "Amnesiac Machine Learning", arXiv 2010.10981 (relabelling,
    ``once=True``); Golatkar et al., 2020, arXiv 1911.04933 (random labels, as a baseline); as in
    the code of Fan et al., 2024, "SalUn", arXiv 2310.12508.
    Deviation: batch normalisation is frozen, which neither code does: with it in training mode,
    and forget batches not, small networks collapsed. The learning rate is 0.1 times the
    original's rather than 0.013 (SalUn's code) or Adam's 0.0001.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    split = split.unweighted("forget")  # whose own labels have no part
    if order not in _ORDERS:
        raise ValueError(f"order: expected one of {_ORDERS}. Received: {order!r}.")
    student = models.logits_model(model, seed=seed)
    descent = Descent(student, frozen_statistics)
    optimizer = training.optimizer_like(
        model, optimizer=optimizer, learning_rate=learning_rate, scale=0.1
    )
    descent.compile(optimizer, jit_compile=jit_compile)
    wrong = once if exclude_true is None else exclude_true
    options = {"batch_size": batch_size, "shuffle": True, "named": True}
    retain = batches(split, "retain", seed=seed, **options)

    def passes(epoch: int) -> list[Any]:
        """Returns the batches of an epoch."""
        labels, order_seed = _draw(split, seed, 0 if once else epoch, wrong), _seed(seed, epoch)
        changed = split.relabelled("forget", labels)
        if order == "union":
            return [batches(_union(changed), "retain", seed=order_seed, **options)]
        return [batches(changed, "forget", seed=order_seed, **options), retain]

    training.fit_passes(descent, passes, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def _draw(split: ForgetSplit, seed: int, epoch: int, wrong: bool) -> np.ndarray:
    """Draws a label for each forget example, if asked for never its own."""
    numbers, true = np.random.default_rng([seed, epoch]), split.labels("forget")
    if wrong:
        return (true + numbers.integers(1, split.num_classes, len(true))) % split.num_classes
    return numbers.integers(0, split.num_classes, len(true))


def _seed(seed: int, epoch: int) -> int:
    """Returns a seed for the batch order of an epoch."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _union(split: ForgetSplit) -> ForgetSplit:
    """Returns a split that retains the examples to forget as well."""
    everything = np.sort(np.concatenate([split.ids["forget"], split.ids["retain"]]))
    return dataclasses.replace(split, ids=MappingProxyType({**split.ids, "retain": everything}))
