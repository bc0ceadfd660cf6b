"""SalUn: random labels for the forget set, learnt by the salient weights alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn import gradients, losses, masking, models, training
from tfunlearn.data import ForgetSplit, batches
from tfunlearn.data.streams import batches_to_read
from tfunlearn.methods.checks import check
from tfunlearn.methods.descent import Descent


def salun(
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
    share: float = 0.5,
    frozen_statistics: bool = True,
) -> keras.Model:
    """Trains the weights that matter to the forget set under random labels there; the rest stays.

    Weights are ranked by ``|sum of the batches' gradients of cross-entropy|`` on the forget set,
    over all layers together. In each epoch the forget set is learnt under fresh random labels,
    among which an example's own may be, and then the retain set under its own.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``forget`` and ``retain``.
        seed: seed of the labels, the batch order and the dropout masks.
        epochs: passes over forget and retain set.
        batch_size: examples a batch, also for the ranking.
        callbacks: Keras callbacks for the training.
        jit_compile: as in ``keras.Model.compile``.
        verbose: as in ``keras.Model.fit``.
        class_weight: ``{class: weight}`` in the loss on retain, as the original's ``fit`` had it;
            forget examples, under the labels that are drawn, have 1, as all have in the ranking.
        sample_weight: weight of each training example, ``(N,)`` in the order of the training data.
        optimizer: optimizer; by default a fresh one like the model's own.
        learning_rate: learning rate of an optimizer like the model's own; by default 0.3 times
            its own.
        share: share of all trainable weights that trains, inside (0, 1]; with 1 it is random
            labels.
        frozen_statistics: run all batches in inference mode: batch statistics stay as they are,
            and there is no dropout. If False, forget batches alone do.

    Returns:
        The unlearned model, in which every weight outside the share is the original's. Costs
        ``epochs`` passes over forget and retain set, and one gradient of the forget set.

    Raises:
        ValueError: if ``share`` is outside its range or comes to no weight, there is no optimizer,
            or model and split do not fit together.
        RuntimeError: if the training changed nothing or diverged.

    Reference: Fan et al., 2024, "SalUn: Empowering Machine Unlearning via Gradient-based Weight
    Saliency in Both Image Classification and Generation", arXiv 2310.12508, equations 3 to 5.
    Deviation: weights that are held equal the original's after each step; the official code masked
    the gradient alone until 2026, so that weight decay and momentum moved them. Batch
    normalisation is frozen, as in ``random_labels``. Labels are drawn for each epoch. The learning
    rate is 0.3 times the original's rather than 0.013, and there are 5 epochs rather than 10.
    """
    check(model, split, {"forget", "retain"}, seed=seed)
    split = split.weighted(class_weight=class_weight, sample_weight=sample_weight)
    split = split.unweighted("forget")  # whose own labels have no part
    optimizer = training.optimizer_like(
        model, optimizer=optimizer, learning_rate=learning_rate, scale=0.3
    )
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a share inside (0, 1]. Received: {share!r}.")
    student = models.logits_model(model, seed=seed)
    forget = batches_to_read(split, "forget", batch_size)
    masking.train_only(student, saliency(student, forget, share, jit_compile=jit_compile))
    descent = Descent(student, frozen_statistics)
    descent.compile(optimizer, jit_compile=jit_compile)
    options = {"batch_size": batch_size, "shuffle": True, "named": True}
    retain = batches(split, "retain", seed=seed, **options)

    def passes(epoch: int) -> list[Any]:
        numbers = np.random.default_rng([seed, epoch])
        labels = numbers.integers(0, split.num_classes, split.size("forget"))
        order = int(numbers.integers(2**31))
        return [
            batches(split.relabelled("forget", labels), "forget", seed=order, **options),
            retain,
        ]

    training.fit_passes(descent, passes, epochs=epochs, callbacks=callbacks, verbose=verbose)
    return training.finish(training.adopt(model, student, seed=seed), model)


def saliency(
    model: keras.Model, forget: Any, share: float, *, jit_compile: bool | str = "auto"
) -> list[np.ndarray]:
    """Returns where a model's weights matter most to some examples: a mask for each weight.

    Args:
        model: a model that gives logits; it is not changed.
        forget: ``(x, y)`` batches, as ``data.batches`` gives them.
        share: share of all trainable weights, over the layers together, inside (0, 1].
        jit_compile: True for XLA.

    Returns:
        A boolean array for each of ``model.trainable_variables``, in which as many entries as the
        share comes to, rounded down, are True.

    Raises:
        ValueError: if the share comes to no weight.
    """
    sums, _ = gradients.gradient_sum(model, forget, losses.cross_entropy, jit_compile=jit_compile)
    sizes = np.abs(np.concatenate([part.reshape(-1) for part in sums]))
    count = int(share * len(sizes))
    if not count:
        raise ValueError(
            f"share: expected at least one of {len(sizes)} weights. Received: {share!r}."
        )
    chosen = np.zeros(len(sizes), bool)
    chosen[np.argsort(-sizes, kind="stable")[:count]] = True
    ends = np.cumsum([part.size for part in sums])[:-1]
    parts = zip(np.split(chosen, ends), sums, strict=True)
    return [mask.reshape(part.shape) for mask, part in parts]
