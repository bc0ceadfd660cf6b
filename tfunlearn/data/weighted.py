"""Splits whose training examples have weights in the loss."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from tfunlearn.data.roles import Roles
from tfunlearn.data.sources import Source
from tfunlearn.data.weights import check_retain, check_weights, weights_by_class

_TRAINED = ("forget", "retain")


class Weighted(Roles):
    """The part of ``ForgetSplit`` that gives training examples weights, or takes them away."""

    @property
    def is_weighted(self) -> bool:
        """Whether training examples carry weights, so that batches are ``(x, y, weights)``."""
        return any(self.source(role).weights is not None for role in _TRAINED)

    def weighted(
        self, *, class_weight: Mapping[int, float] | None = None, sample_weight: Any = None
    ) -> "Self":
        """Returns a split with the same examples, whose training examples have weights.

        Batches of ``forget`` and ``retain`` then are ``(x, y, weights)``, of which ``fit``
        multiplies each example's loss by its weight and divides by the number of examples. Weights
        multiply each other and those that the split carries already by class. Held-out roles have
        none, so that what is measured on them stays as it is.

        Args:
            class_weight: ``{class: weight}``, as in ``keras.Model.fit``; a class that is not named
                has weight 1.
            sample_weight: a weight of at least 0 for each example of the training data, ``(N,)``
                in the order in which the split was given it.

        Raises:
            TypeError: if one of them is something else.
            ValueError: if weights are of another length, negative, not finite, or all 0 on retain;
                a class is unknown; or sample weights are given to a split that carries some.

        Example:
            >>> import numpy as np
            >>> from tfunlearn.data import by_index
            >>> x, y = np.zeros((4, 2)), np.array([0, 1, 0, 1])
            >>> split = by_index(x, y, forget=[1], test=(x, y))
            >>> split.weighted(class_weight={1: 20.0}).sample_weights("retain")
            array([ 1.,  1., 20.], dtype=float32)
        """
        split = self
        if sample_weight is not None:
            split = split._with_samples(sample_weight)
        if class_weight is not None:

            def by_class(source: Source) -> np.ndarray:
                found = weights_by_class(class_weight, source.y, self.num_classes)
                return found if source.weights is None else found * source.weights

            split = split._with_sources(by_class)
            check_retain(split.source("retain").weights, split.ids["retain"], "class_weight")
        return split

    def unweighted(self, *roles: str) -> "Self":
        """Returns a split in which examples have no weights.

        Args:
            *roles: roles whose examples have weight 1 instead; none for a split without weights.
        """
        if not self.is_weighted:
            return self
        if not roles:
            return self._with_sources(lambda source: None)
        ids = {id(self.source(role)): [] for role in roles}
        for role in roles:
            ids[id(self.source(role))].append(self.ids[role])

        def ones(source: Source) -> np.ndarray | None:
            if source.weights is None or id(source) not in ids:
                return source.weights
            changed = source.weights.copy()
            changed[np.concatenate(ids[id(source)])] = 1.0
            return changed

        return self._with_sources(ones)

    def _with_samples(self, sample_weight: Any) -> "Self":
        """Returns a split whose training data has sample weights."""
        if self.is_weighted:
            raise ValueError(
                "sample_weight: the split carries sample weights already. Expected: weights in one "
                "of the two places; split.unweighted() has none. Received: both."
            )
        found = check_weights(sample_weight, len(self._train.y))
        if self.source("retain") is not self._train:
            raise ValueError(
                "sample_weight: weights are given by position in the training data. Expected: a "
                "retain set from there. Received: one that was replaced by other arrays."
            )
        check_retain(found, self.ids["retain"], "sample_weight")
        return self._with_sources(lambda source: found if source is self._train else None)

    def _with_sources(self, weigh: Callable[[Source], np.ndarray | None]) -> "Self":
        """Returns a split whose sources of training examples have other weights."""
        sources = {id(source): source for source in map(self.source, _TRAINED)}
        changed = {key: source.weighted(weigh(source)) for key, source in sources.items()}
        held_out = {
            role: changed.get(id(source), source) for role, source in self._held_out.items()
        }
        split = dataclasses.replace(
            self,
            _train=changed.get(id(self._train), self._train),
            _held_out=MappingProxyType(held_out),
        )
        split.__dict__["_finite_roles"] = set(self.__dict__.get("_finite_roles", ()))
        return split
