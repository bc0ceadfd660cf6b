"""Callbacks that change, or watch, a model's weights between epochs."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfunlearn.data import ForgetSplit, batches
from tfunlearn.models import iter_layers
from tfunlearn.seeds import check_seed

Layer = keras.layers.Layer
LayerFilter = type | Sequence[type] | str | re.Pattern | Sequence[str] | Callable[[Layer], bool]


class WeightNoise(keras.callbacks.Callback):
    """Adds Gaussian noise to the kernels of matching layers, however deeply nested.

    Args:
        stddev: standard deviation of the noise, positive: a number to add noise once, before the
            first epoch, or ``{epoch: stddev}`` to add it before each of these epochs (from 0).
        layers: which layers: a class or several, a list of names, a regular expression for the
            whole name (text or compiled), ``"stem"`` for the first convolution, or a function
            of a layer.
        relative: multiply ``stddev`` by each kernel's own standard deviation.
        bias: add noise to biases as well.
        seed: seed of the noise; None draws one.

    Attributes:
        touched: after training began, the names of the layers that the noise reached.

    Raises:
        ValueError: if a deviation is not positive; when training starts, if nothing matches or
            if nothing that matches was changed.

    Example:
        >>> from tfunlearn import callbacks, models
        >>> net = models.small_cnn(seed=0)
        >>> noise = callbacks.WeightNoise(layers="stem", seed=0)
        >>> noise.apply(net, 0.6)
        ['stem']

    Reference: "Confuse Weights" of the third place of the NeurIPS 2023 unlearning competition,
    as ported by Cadet et al., 2024, arXiv 2410.01276.
    Deviation: by default every convolution at every depth is noised, as the method's words say;
    the competition's loop is not recursive and reaches the stem alone (``layers="stem"``).
    """

    def __init__(
        self,
        stddev: float | Mapping[int, float] = 0.6,
        layers: LayerFilter = keras.layers.Conv2D,
        relative: bool = False,
        bias: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.schedule = dict(stddev) if isinstance(stddev, Mapping) else {0: stddev}
        for epoch, value in self.schedule.items():
            if not np.isfinite(value) or value <= 0 or epoch != int(epoch) or epoch < 0:
                raise ValueError(
                    "stddev: expected a positive number, or {epoch: positive number} with epochs "
                    f"from 0. Received: {stddev!r}."
                )
        if not self.schedule:
            raise ValueError("stddev: expected at least one epoch. Received an empty schedule.")
        if seed is not None:
            check_seed(seed)
        self.layers, self.relative, self.bias, self.seed = layers, relative, bias, seed
        self.touched: list[str] = []
        self._numbers = np.random.default_rng(seed)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the noise anew, so that a second fit repeats the first."""
        self.touched, self._numbers = [], np.random.default_rng(self.seed)
        epochs = (self.params or {}).get("epochs")
        late = [epoch for epoch in self.schedule if epochs is not None and epoch >= epochs]
        if late:
            raise ValueError(
                f"stddev: noise is asked for before epoch {late[0]}. Expected: epochs 0 to "
                f"{epochs - 1} of this training. Received: {self.schedule}."
            )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Adds the noise that is due before this epoch."""
        if epoch in self.schedule:
            self.touched = self.apply(self.model, self.schedule[epoch])

    def on_train_end(self, logs: dict | None = None) -> None:
        """Raises if no noise was added, as after a start from a later epoch."""
        if not self.touched:
            raise ValueError(
                "stddev: the noise changed nothing. Expected: an epoch of this training. "
                f"Received: {self.schedule}."
            )

    def apply(self, model: keras.Model, stddev: float) -> list[str]:
        """Adds noise to a model now.

        Args:
            model: the model to change in place.
            stddev: standard deviation of the noise.

        Returns:
            Names of the layers that were changed.

        Raises:
            ValueError: if no layer matches, or none of those that match was changed.
        """
        chosen, done = select_layers(model, self.layers), set()
        touched = [layer.name for layer in chosen if self._add_noise(layer, stddev, done)]
        if not touched:
            raise ValueError(
                f"layers: the noise changed nothing. Expected: matching layers with kernels that "
                f"are not constant. Received: {[layer.name for layer in chosen]}."
            )
        return touched

    def _add_noise(self, layer: Layer, stddev: float, done: set[int]) -> bool:
        """Adds noise to a layer's kernels that were not done yet; tells whether any changed."""
        changed = False
        for weight in layer.weights:
            wanted = "kernel" in weight.name or (self.bias and "bias" in weight.name)
            if not wanted or id(weight) in done:
                continue
            done.add(id(weight))
            before = keras.ops.convert_to_numpy(weight).astype("float32")
            scale = stddev * (float(before.std()) if self.relative else 1.0)
            noise = self._numbers.standard_normal(before.shape, dtype="float32")
            weight.assign(before + scale * noise)
            changed |= not np.array_equal(before, keras.ops.convert_to_numpy(weight))
        return changed


class Rewind(keras.callbacks.Callback):
    """Goes back, when training ends, to the epoch that had forgotten just as much as it should.

    That is the epoch after which the error on the forget set was closest to the error that the
    final model makes on validation examples of the same classes, which it was never shown. The
    weights of every epoch are kept in memory until then.

    Args:
        split: the data; reads ``forget`` and ``validation``.
        batch_size: examples a batch, for the errors.

    Attributes:
        errors: error on the forget set after each epoch, fractions in [0, 1].
        reference: error of the final model on the validation examples, a fraction.
        chosen: the epoch, from 0, whose weights the model has after training; the earliest of
            equals.

    Raises:
        ValueError: if there is no validation set, or it has no example of the forget set's
            classes; when training ends, if there was no epoch.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn import callbacks, data
        >>> x, y = np.eye(4, dtype="float32"), np.array([0, 1, 0, 1])
        >>> split = data.by_index(x, y, forget=[3], test=(x, y), validation=(x, y))
        >>> net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
        >>> net.compile("sgd", "sparse_categorical_crossentropy")
        >>> back = callbacks.Rewind(split)
        >>> _ = net.fit(*split.retain, epochs=3, callbacks=[back], verbose=0)
        >>> len(back.errors), back.chosen in (0, 1, 2)
        (3, True)

    Reference: Kurmanji et al., 2023, "Towards Unbounded Machine Unlearning", arXiv 2302.09880,
    SCRUB+R.
    Deviation: the authors' notebook also counts the state before the first epoch, of which it has
    saved nothing to go back to.
    """

    def __init__(self, split: ForgetSplit, *, batch_size: int = 128) -> None:
        super().__init__()
        known = np.isin(split.labels("validation"), split.labels("forget"))
        if not known.any():
            raise ValueError(
                "validation: it must hold examples of the classes of the forget set. Expected: "
                f"some of class {np.unique(split.labels('forget')).tolist()}. Received: none."
            )
        self._split, self._batch_size = (
            split.subset("validation", np.flatnonzero(known)),
            batch_size,
        )
        self._kept: list[list[np.ndarray]] = []
        self.errors: list[float] = []
        self.reference = self.chosen = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts anew."""
        self._kept, self.errors, self.reference, self.chosen = [], [], None, None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keeps the weights and measures the error on the forget set."""
        self._kept.append(self._net.get_weights())
        self.errors.append(self._error("forget"))

    def on_train_end(self, logs: dict | None = None) -> None:
        """Measures the reference, chooses, and goes back."""
        if not self.errors:
            raise ValueError("epochs: nothing to go back to. Expected: an epoch. Received: none.")
        self.reference = self._error("validation")
        self.chosen = int(np.argmin(np.abs(np.asarray(self.errors) - self.reference)))
        self._net.set_weights(self._kept[self.chosen])
        self._kept = []

    @property
    def _net(self) -> keras.Model:
        """The classifier: the model, or the student of one that trains a student."""
        return getattr(self.model, "student", self.model)

    def _error(self, role: str) -> float:
        """Returns the share of a role's examples that the model gets wrong."""
        stream = batches(self._split.unweighted(), role, batch_size=self._batch_size)
        scores = self._net.predict(stream, verbose=0)
        return float(np.mean(scores.argmax(-1) != self._split.labels(role)))


def select_layers(model: keras.Model, layers: LayerFilter) -> list[Layer]:
    """Returns the layers of a model, at any depth, that a filter matches.

    Args:
        model: the model.
        layers: a class or several, a list of names, a regular expression for the whole name,
            ``"stem"`` for the first convolution in the model, or a function of a layer.

    Raises:
        TypeError: if the filter is of another kind.
        ValueError: if nothing matches, or a listed name does not occur.

    Example:
        >>> from tfunlearn import callbacks, models
        >>> [layer.name for layer in callbacks.select_layers(models.small_cnn(), "stem|head")]
        ['stem', 'head']
    """
    everything = list(iter_layers(model))
    chosen = [layer for layer in everything if _matcher(layers)(layer)]
    if isinstance(layers, str) and layers == "stem":
        chosen = chosen[:1]
    if isinstance(layers, list | tuple) and layers and isinstance(layers[0], str):
        absent = sorted(set(layers) - {layer.name for layer in everything})
        if absent:
            raise ValueError(f"layers: no layer is named {absent}. {_offer(everything)}")
    if not chosen:
        raise ValueError(f"layers: {layers!r} matches no layer. {_offer(everything)}")
    return chosen


def _matcher(layers: Any) -> Callable[[Layer], bool]:
    """Turns a layer filter into a function of one layer."""
    if isinstance(layers, type):
        return lambda layer: isinstance(layer, layers)
    if isinstance(layers, str) and layers == "stem":
        return lambda layer: isinstance(layer, keras.layers.Conv2D)
    if isinstance(layers, str | re.Pattern):
        return lambda layer: re.fullmatch(layers, layer.name) is not None
    if isinstance(layers, list | tuple) and layers:
        if all(isinstance(item, type) for item in layers):
            return lambda layer: isinstance(layer, tuple(layers))
        if all(isinstance(item, str) for item in layers):
            return lambda layer: layer.name in layers
    if callable(layers):
        return layers
    raise TypeError(
        "layers: expected a layer class, a list of classes or of names, a regular expression, "
        f"'stem' or a function of a layer. Received: {layers!r}."
    )


def _offer(layers: Sequence[Layer]) -> str:
    """Says which kinds of layers with weights there are."""
    kinds = sorted({type(layer).__name__ for layer in layers if layer.weights})
    return f"Expected: one of the model's layers (kinds with weights: {', '.join(kinds)})."


class NoOpGuard(keras.callbacks.Callback):
    """Raises at the end of a fit that was meant to change the weights and did not.

    The moving statistics of batch normalisation do not count: they follow the data even at a
    learning rate of zero.

    Raises:
        RuntimeError: when training ends, if every weight is as it was when training began.

    Example:
        >>> import keras, numpy as np
        >>> from tfunlearn.callbacks import NoOpGuard
        >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        >>> net.compile(keras.optimizers.SGD(0.0), "mse")
        >>> data = np.ones((4, 2)), np.ones((4, 2))
        >>> net.fit(*data, callbacks=[NoOpGuard()], verbose=0)
        Traceback (most recent call last):
            ...
        RuntimeError: training changed none of the 2 weights of 'sequential...'...
    """

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Keeps the weights to compare with."""
        self._before = self._values()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Compares."""
        after = self._values()
        same = all(
            np.array_equal(a, b, equal_nan=True) for a, b in zip(self._before, after, strict=True)
        )
        del self._before
        if same:
            raise RuntimeError(
                f"training changed none of the {len(after)} weights of {self.model.name!r}. "
                "Expected: at least one changed weight; check the learning rate, the trainable "
                f"flags, and that there is data.{self._on_overflow()}"
            )

    def _on_overflow(self) -> str:
        """Returns what else may be the matter in float16, where steps that overflow are skipped."""
        if not isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer):
            return ""
        scale = float(keras.ops.convert_to_numpy(self.model.optimizer.dynamic_scale))
        return (
            " In float16 a step whose gradients overflow is skipped, and halves the scale of the "
            f"loss, {scale:g} by now: train for more steps, or start from a lower initial_scale."
        )

    def _values(self) -> list[np.ndarray]:
        """Returns the weights that only training moves."""
        statistics = {
            id(weight)
            for layer in iter_layers(self.model)
            if isinstance(layer, keras.layers.BatchNormalization)
            for weight in layer.non_trainable_weights
            if "moving" in weight.name
        }
        return [
            np.array(keras.ops.convert_to_numpy(weight))
            for weight in self.model.weights
            if id(weight) not in statistics
        ]
