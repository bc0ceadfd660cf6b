"""What the models of a bank have in common, and what tells one of them from the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from tfunlearn import models
from tfunlearn.data import ForgetSplit
from tfunlearn.training import Recipe

__all__ = ["Item", "Job", "Made", "whole"]


@dataclass(frozen=True)
class Job:
    """Everything that is the same for all models of a bank.

    Attributes:
        model: The architecture, uncompiled; its weights matter only where retraining keeps them.
        split: The data.
        recipe: Loss and optimizer, without metrics.
        epochs: Passes over the training examples.
        batch_size: Examples a batch.
        jit_compile: As in `keras.Model.compile`.
        roles: The roles whose logits are kept.
        dtype: "float32" or "float16", the type that they are kept in.
        keep_weights: Whether the weights are kept too.
        weighting: Class and sample weights that the split's examples have, as a bank is kept under
            them; nothing where the job was read from files.
        start: What models begin with besides their seed; None for weights that are all drawn.
    """

    model: keras.Model
    split: ForgetSplit
    recipe: Recipe
    epochs: int
    batch_size: int
    jit_compile: bool | str
    roles: tuple[str, ...]
    dtype: str
    keep_weights: bool
    weighting: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    start: models.Start | None = None

    def fresh(self, seed: int) -> keras.Model:
        """Returns a model as it is before its first step, uncompiled.

        Args:
            seed: The model's seed.
        """
        if self.start is not None:
            return self.start(seed)
        return models.reinitialized(self.model, seed=seed)


@dataclass(frozen=True, order=True)
class Item:
    """One model of a bank.

    Attributes:
        seed: Seed of its initial weights, dropout masks and batch order.
        include_forget: Whether it is trained on the forget set as well.

    Example:
        >>> Item(3, False).name, str(Item(3, True))
        ('out-3', 'seed 3, with the forget set')
    """

    seed: int
    include_forget: bool

    @property
    def side(self) -> str:
        """Short for whether it was shown the forget set: "in" or "out"."""
        return "in" if self.include_forget else "out"

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.side}-{self.seed}"

    def __str__(self) -> str:
        words = "with" if self.include_forget else "without"
        return f"seed {self.seed}, {words} the forget set"


@dataclass(frozen=True)
class Made:
    """What is kept of one trained model.

    Attributes:
        logits: Role to logits, float32 or float16 of shape (N, C).
        accuracy: Role to the fraction of right answers.
        seconds: What its training took.
        weights: The content of a `.weights.h5` file, or None.
        environment: What it was made on.
        diverged: How its training diverged, and nothing of it is kept; else None.
    """

    logits: dict[str, np.ndarray]
    accuracy: dict[str, float]
    seconds: float
    weights: bytes | None
    environment: dict[str, Any]
    diverged: str | None = None


def whole(split: ForgetSplit) -> ForgetSplit:
    """Returns a split whose retain role is the whole training data, the forget set included.

    Args:
        split: The split; its forget and retain examples come from the same source.

    Raises:
        ValueError: If one of the two roles was replaced by other arrays.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.data import by_index
        >>> x, y = np.zeros((4, 2)), np.array([0, 1, 0, 1])
        >>> whole(by_index(x, y, forget=[1, 2], test=(x, y))).ids["retain"]
        array([0, 1, 2, 3])
    """
    if split.source("forget") is not split.source("retain"):
        raise ValueError(
            "split: models with the forget set are trained on forget and retain together. "
            "Expected: both from the same training data. Received: one that was replaced."
        )
    everything = np.sort(np.concatenate([split.ids["forget"], split.ids["retain"]]))
    ids = MappingProxyType({**split.ids, "retain": everything})
    return dataclasses.replace(split, ids=ids)
