"""A pretrained start: weights that every retrained model begins with, and what is drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tfunlearn.models.copying import copy, reinitialized, require_built
from tfunlearn.models.walk import iter_layers


@dataclass(frozen=True, eq=False)
class Start:
    """What a model is before its first step, as a function of the seed: for `retrain(initialize=)`.

    Attributes:
        base: a model of the original's architecture that holds the start's weights.
        drawn: places in its weights of those that are drawn from the seed.
        fresh: names of the layers that hold them.

    Example:
        >>> from tfunlearn import models
        >>> net, before = models.mnist_dense(4, seed=0), models.mnist_dense(4, seed=1)
        >>> start = models.Start.of(net, before, fresh=[net.layers[-1].name])
        >>> one, two = start(5), start(6)
        >>> same = [(a == b).all() for a, b in zip(one.get_weights(), two.get_weights())]
        >>> bool(same[0]), bool(same[-2])
        (True, False)
    """

    base: keras.Model
    drawn: tuple[int, ...]
    fresh: tuple[str, ...]

    @classmethod
    def of(
        cls, model: keras.Model, initial: keras.Model, *, fresh: Sequence[str] | str = ()
    ) -> Start:
        """Returns the start of a model from another one's weights.

        If the weights of both have the same shapes in the same order, all are taken. If not, as of
        a backbone alone or with another head, those of each layer are whose name, class and shapes
        are the same; the others are drawn from the seed.

        Args:
            model: the original, built; the architecture and the trainable flags are its own.
            initial: what training began with, built.
            fresh: names of layers, nested models among them, that are drawn from the seed although
                `initial` holds them: a new head, say.

        Raises:
            TypeError: if `initial` is no Keras model.
            ValueError: if it is not built or not finite, has no layer of the model, is the original
                itself, or if a name in `fresh` is no layer's, or a frozen one's.
        """
        require_built(model)
        _check(initial)
        fresh = (fresh,) if isinstance(fresh, str) else tuple(fresh)
        anew = _named(model, fresh)
        taken = {place: own for place, own in _pairs(model, initial).items() if place not in anew}
        if not taken:
            raise ValueError(
                "initial: nothing of it is taken. Expected: the model's architecture, or layers of "
                "the same names, classes and shapes that are not among fresh. Received: "
                f"{_listed(initial)}, for a model of {_listed(model)}."
            )
        _require_other(model, taken)
        base = copy(model)
        values = model.get_weights()
        for place, own in taken.items():
            values[place] = np.asarray(keras.ops.convert_to_numpy(own))
        base.set_weights(values)
        base = copy(base)  # layers that compute with constants read them anew
        drawn = tuple(place for place in range(len(values)) if place not in taken)
        owners = _owners(model)
        names = dict.fromkeys(owners[id(model.weights[place])].name for place in drawn)
        return cls(base, drawn, tuple(names))

    def __call__(self, seed: int) -> keras.Model:
        """Returns an uncompiled model as it is before its first step.

        Args:
            seed: seed of what is drawn, and of the dropout masks.
        """
        student = copy(self.base, seed=seed)
        if self.drawn:
            other = reinitialized(self.base, seed=seed)
            for place in self.drawn:
                student.weights[place].assign(other.weights[place])
        return student

    def __str__(self) -> str:
        if self.drawn:
            return f"initial: its weights are taken; drawn from the seed: {', '.join(self.fresh)}"
        return (
            "initial: all weights are taken, so that models differ by batch order and dropout "
            "alone; name layers as fresh to draw them from the seed, such as a new head"
        )


def _check(initial: keras.Model) -> None:
    """Raises unless a model can be a start."""
    if not isinstance(initial, keras.Model) or not initial.built:
        kind = TypeError if not isinstance(initial, keras.Model) else ValueError
        raise kind(f"initial: expected a built keras.Model. Received: {type(initial).__name__}.")
    if not all(np.isfinite(weight).all() for weight in initial.get_weights()):
        raise ValueError("initial: expected finite weights. Received: some that are not.")


def _owners(model: keras.Model) -> dict[int, keras.layers.Layer]:
    """Returns the innermost layer that holds each weight, by the weight's identity."""
    layers = (model, *iter_layers(model))  # a container comes before what it contains
    return {id(weight): layer for layer in layers for weight in layer.weights}


def _named(model: keras.Model, fresh: tuple[str, ...]) -> set[int]:
    """Returns the places of the weights of layers of some names."""
    layers: dict[str, list[keras.layers.Layer]] = {}
    for layer in iter_layers(model):
        if layer.weights:
            layers.setdefault(layer.name, []).append(layer)
    unknown = [name for name in fresh if name not in layers]
    if unknown:
        raise ValueError(
            f"fresh: expected names of layers with weights: {', '.join(layers)}. "
            f"Received: {', '.join(map(repr, unknown))}."
        )
    chosen = [layer for name in fresh for layer in layers[name]]
    frozen = [layer.name for layer in chosen if not layer.trainable]
    if frozen:
        raise ValueError(
            "fresh: a frozen layer is never trained, so it cannot begin anew. Expected: layers "
            f"that are trainable in the model. Received: {', '.join(frozen)}."
        )
    held = {id(weight) for layer in chosen for weight in layer.weights}
    return {place for place, weight in enumerate(model.weights) if id(weight) in held}


def _pairs(model: keras.Model, initial: keras.Model) -> dict[int, keras.Variable]:
    """Returns the place of each weight that a start holds, and that weight of the start."""
    shapes = [[tuple(weight.shape) for weight in one.weights] for one in (model, initial)]
    if shapes[0] == shapes[1]:
        return dict(enumerate(initial.weights))
    ours, theirs = _by_layer(model), _by_layer(initial)
    found: dict[int, keras.Variable] = {}
    places = {id(weight): place for place, weight in enumerate(model.weights)}
    for key, weights in ours.items():
        others = theirs.get(key, [])
        if [tuple(own.shape) for own in weights] == [tuple(own.shape) for own in others]:
            found |= {places[id(own)]: other for own, other in zip(weights, others, strict=True)}
    return found


def _by_layer(model: keras.Model) -> dict[tuple[str, str], list[keras.Variable]]:
    """Returns the weights of each layer by its name and class; of two of one name, none."""
    owners, found, seen = _owners(model), {}, {}
    for weight in model.weights:
        layer = owners[id(weight)]
        key = (layer.name, type(layer).__name__)
        if seen.setdefault(key, layer) is not layer:
            found[key] = []
            continue
        found.setdefault(key, []).append(weight)
    return {key: weights for key, weights in found.items() if weights}


def _require_other(model: keras.Model, taken: dict[int, keras.Variable]) -> None:
    """Raises if what was trained is the start as well: the original itself is none."""
    moving = {id(weight) for weight in model.trainable_weights}
    weights = model.weights
    pairs = [(weights[at], other) for at, other in taken.items() if id(weights[at]) in moving]
    same = [
        np.array_equal(*(np.asarray(keras.ops.convert_to_numpy(side)) for side in pair))
        for pair in pairs
    ]
    if pairs and all(same) and len(pairs) == len(moving):
        raise ValueError(
            "initial: a model that begins with the original's weights has seen what is to be "
            "forgotten. Expected: what the original's training began with. Received: the "
            "original's own weights."
        )


def _listed(model: keras.Model) -> str:
    """Returns the first layers with weights of a model, as text."""
    names = list(dict.fromkeys(layer.name for layer in _owners(model).values()))
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
