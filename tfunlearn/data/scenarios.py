"""Four things to forget, each with an original that is trained until it knows them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any

import keras
import numpy as np

from tfunlearn.data import datasets
from tfunlearn.data.normalizer import Normalizer
from tfunlearn.data.roles import Arrays
from tfunlearn.data.split import ForgetSplit
from tfunlearn.data.streams import batches
from tfunlearn.seeds import check_seed

TASKS = ("random", "whole_class", "mislabelled", "backdoor")
_CLASSES = 10  # of each of the data sets
_MOMENTUM = 0.9
_HELD_BACK = 5  # one held-out image in so many is for validation
_LANES = {"mislabelled": 1, "backdoor": 2}  # the part of the seed that keeps the draws apart


@dataclass(frozen=True)
class Training:
    """How an original is trained, and its references alike: SGD with momentum 0.9.

    Attributes:
        network: ``"dense"`` (``models.mnist_dense`` without dropout) or ``"cnn"``
            (``models.small_cnn`` with 24 filters and a hidden layer; batch normalisation).
        limit: training images.
        epochs: passes over them.
        batch_size: examples a batch.
        learning_rate: the rate, the same throughout.
    """

    network: str
    limit: int
    epochs: int
    batch_size: int
    learning_rate: float


TRAINING: Mapping[str, Training] = {
    "digits": Training("dense", 600, 40, 16, 0.02),
    "mnist": Training("dense", 10_000, 50, 64, 0.01),
    "fashion_mnist": Training("dense", 10_000, 50, 64, 0.01),
    "cifar10": Training("cnn", 10_000, 20, 64, 0.01),
}
"""What each data set's original is trained with, long enough to know wrong labels by heart."""


@dataclass(frozen=True, eq=False, repr=False)
class Scenario:
    """A thing to forget: a split, and an original that is trained when it is first asked for.

    Attributes:
        name: the task, one of ``TASKS``.
        dataset: name of the data set.
        seed: seed of the draw, of the initial weights and of the order of the batches.
        split: the data, with forget, retain, validation and test; normalised.
        training: how original and references are trained.
        true_labels: of the examples to forget where their labels are not the true ones, int64
            ``(N,)`` in the order of ``split.labels("forget")``; else None.
        triggered: ``backdoor`` only: every test image of another class than the target, with the
            trigger on it, and the target as its label; else None.
    """

    name: str
    dataset: str
    seed: int
    split: ForgetSplit
    training: Training
    true_labels: np.ndarray | None = None
    triggered: Arrays | None = None

    @cached_property
    def model(self) -> keras.Model:
        """The original, compiled; trained at the first look, then kept."""
        return self.train()

    @property
    def fit_options(self) -> dict[str, int]:
        """Epochs and batch size, for ``methods.retrain`` to train a reference alike."""
        return {"epochs": self.training.epochs, "batch_size": self.training.batch_size}

    @property
    def probes(self) -> dict[str, Arrays]:
        """Name to examples on which the accuracy is a metric that only this task has.

        ``true_label_accuracy``: the share of wrongly labelled training images that get their true
        label. ``backdoor_success``: the share of triggered test images that are given the target.
        """
        found = {}
        if self.triggered is not None:
            found["backdoor_success"] = self.triggered
        elif self.true_labels is not None:
            found["true_label_accuracy"] = (self.split.forget[0], self.true_labels)
        return found

    def untrained(self) -> keras.Model:
        """Returns the original as it is before its training, compiled."""
        model = _network(self.training.network, self.split.input_shape, self.seed)
        model.compile(
            optimizer=keras.optimizers.SGD(self.training.learning_rate, momentum=_MOMENTUM),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    def train(self, *, verbose: int = 0) -> keras.Model:
        """Trains the original anew on all training images, and returns it compiled.

        Args:
            verbose: as in ``keras.Model.fit``.
        """
        model = self.untrained()
        source = self.split.source("retain")
        everything = (source.x, source.y)  # as a held-out role, so that one stream passes over it
        whole = ForgetSplit.by_index(*everything, forget=[0], test=everything, duplicates="keep")
        options = {"batch_size": self.training.batch_size, "shuffle": True, "seed": self.seed}
        stream = batches(whole, "test", **options)
        model.fit(stream, epochs=self.training.epochs, shuffle=False, verbose=verbose)
        return model

    def __repr__(self) -> str:
        return f"Scenario({self.name}, {self.dataset}, seed {self.seed}: {self.split!r})"


def random(
    dataset: str = "digits",
    *,
    seed: int = 0,
    limit: int | None = None,
    epochs: int | None = None,
    data_dir: str | PathLike | None = None,
    fraction: float = 0.1,
) -> Scenario:
    """Forgets a random share of the training images.

    Args:
        dataset: ``"digits"``, ``"mnist"`` or ``"fashion_mnist"`` with the dense network,
            ``"cifar10"`` with the convolutional one.
        seed: seed of everything that is drawn.
        limit: training images, and the most held-out ones; by default 600 of the digits and
            10,000 of the others.
        epochs: epochs of the original and of its references; by default those of ``TRAINING``.
        data_dir: folder of the data files, as in ``datasets.load``.
        fraction: share to forget, inside (0, 1).

    Returns:
        The scenario. Costs nothing but the data until its ``model`` is read.

    Raises:
        FileNotFoundError: if the data is not there and cannot be downloaded.
        ValueError: if the data set is unknown or a setting is out of range.

    Example:
        >>> from tfunlearn.data import scenarios
        >>> scenarios.random(limit=100).split
        ForgetSplit(random: forget=10, retain=90, validation=20, test=80, ...)
    """
    training = _training(dataset, seed, limit, epochs)
    (x, y), held_out = _images(dataset, training, data_dir)
    prepare = _prepare(dataset, training)
    split = ForgetSplit.random(
        prepare(x), y, fraction=fraction, seed=seed, **_held_out(held_out, prepare)
    )
    return Scenario("random", dataset, seed, split, training)


def whole_class(
    dataset: str = "digits",
    *,
    seed: int = 0,
    limit: int | None = None,
    epochs: int | None = None,
    data_dir: str | PathLike | None = None,
    forget_class: int = 3,
) -> Scenario:
    """Forgets every training image of one class; held-out images of it stay.

    Args:
        dataset: as in ``random``.
        seed: as in ``random``.
        limit: as in ``random``.
        epochs: as in ``random``.
        data_dir: as in ``random``.
        forget_class: the class.

    Returns:
        The scenario, as ``random``.

    Raises:
        FileNotFoundError: as ``random``.
        ValueError: if there is no such class, and as ``random``.
    """
    training = _training(dataset, seed, limit, epochs)
    (x, y), held_out = _images(dataset, training, data_dir)
    prepare = _prepare(dataset, training)
    split = ForgetSplit.by_class(
        prepare(x), y, classes=[forget_class], **_held_out(held_out, prepare)
    )
    return Scenario("whole_class", dataset, seed, split, training)


def mislabelled(
    dataset: str = "digits",
    *,
    seed: int = 0,
    limit: int | None = None,
    epochs: int | None = None,
    data_dir: str | PathLike | None = None,
    fraction: float = 0.05,
) -> Scenario:
    """Gives a random share of the training images a wrong label, and forgets these images.

    Args:
        dataset: as in ``random``.
        seed: as in ``random``.
        limit: as in ``random``.
        epochs: as in ``random``.
        data_dir: as in ``random``.
        fraction: share with a wrong label, inside (0, 1); any other label is as likely.

    Returns:
        The scenario, as ``random``, with ``true_labels``.

    Raises:
        FileNotFoundError: as ``random``.
        ValueError: as ``random``.
    """
    training = _training(dataset, seed, limit, epochs)
    (x, y), held_out = _images(dataset, training, data_dir)
    numbers = np.random.default_rng([seed, _LANES["mislabelled"]])
    ids = _draw(np.arange(len(y)), fraction, len(y), numbers)
    wrong = y.copy()
    wrong[ids] = (y[ids] + numbers.integers(1, _CLASSES, len(ids))) % _CLASSES
    prepare = _prepare(dataset, training)
    split = ForgetSplit.by_index(prepare(x), wrong, forget=ids, **_held_out(held_out, prepare))
    return Scenario("mislabelled", dataset, seed, split, training, true_labels=y[ids])


def backdoor(
    dataset: str = "digits",
    *,
    seed: int = 0,
    limit: int | None = None,
    epochs: int | None = None,
    data_dir: str | PathLike | None = None,
    fraction: float = 0.05,
    target: int = 0,
) -> Scenario:
    """Puts a trigger and a target's label on some training images, and forgets these images.

    Args:
        dataset: as in ``random``.
        seed: as in ``random``.
        limit: as in ``random``.
        epochs: as in ``random``.
        data_dir: as in ``random``.
        fraction: share of the training images that is poisoned, inside (0, 1); drawn among those
            of other classes than the target.
        target: the class that the trigger stands for.

    Returns:
        The scenario, as ``random``, with ``true_labels`` and ``triggered``.

    Raises:
        FileNotFoundError: as ``random``.
        ValueError: if no image has another class than the target, and as ``random``.

    Reference: Gu et al., 2017, "BadNets", arXiv 1708.06733.
    Deviation: the trigger is a white square at the lower right, an eighth of the image high.
    """
    training = _training(dataset, seed, limit, epochs)
    (x, y), held_out = _images(dataset, training, data_dir)
    if target not in range(_CLASSES):
        raise ValueError(f"target: expected a class below {_CLASSES}. Received: {target!r}.")
    numbers = np.random.default_rng([seed, _LANES["backdoor"]])
    ids = _draw(np.flatnonzero(y != target), fraction, len(y), numbers)
    poisoned, labels = x.copy(), y.copy()
    poisoned[ids], labels[ids] = add_trigger(x[ids]), target
    prepare = _prepare(dataset, training)
    roles = _held_out(held_out, prepare)
    split = ForgetSplit.by_index(prepare(poisoned), labels, forget=ids, **roles)
    x_test, y_test = (part[_of_test(len(part))] for part in held_out)
    others = y_test != target
    triggered = prepare(add_trigger(x_test[others])), np.full(int(others.sum()), target, "int64")
    return Scenario("backdoor", dataset, seed, split, training, y[ids], triggered)


def get(name: str) -> Any:
    """Returns a task's function by its name.

    Args:
        name: one of ``TASKS``.

    Raises:
        ValueError: if there is no such task.
    """
    if name not in TASKS:
        raise ValueError(f"task: expected one of {', '.join(TASKS)}. Received: {name!r}.")
    return globals()[name]


def add_trigger(images: np.ndarray) -> np.ndarray:
    """Returns 8-bit images with a white square at the lower right, an eighth of the height.

    Args:
        images: uint8 of shape ``(N, height, width)`` or ``(N, height, width, channels)``.

    Example:
        >>> import numpy as np
        >>> from tfunlearn.data.scenarios import add_trigger
        >>> int(add_trigger(np.zeros((1, 32, 32), "uint8"))[0, 28:, 28:].min())
        255
    """
    size = max(2, images.shape[1] // 8)
    marked = images.copy()
    marked[:, -size:, -size:] = 255
    return marked


def _training(dataset: str, seed: int, limit: int | None, epochs: int | None) -> Training:
    """Returns a data set's settings with those that were asked for in their place."""
    check_seed(seed)
    if dataset not in TRAINING:
        raise ValueError(f"dataset: expected one of {', '.join(TRAINING)}. Received: {dataset!r}.")
    asked = {"limit": limit, "epochs": epochs}
    asked = {name: value for name, value in asked.items() if value is not None}
    for name, value in asked.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1. Received: {value!r}.")
    return replace(TRAINING[dataset], **asked)


def _images(
    dataset: str, training: Training, data_dir: str | PathLike | None
) -> tuple[Arrays, Arrays]:
    """Returns the first training images and at most as many held-out ones, 8-bit."""
    (x, y), (x_test, y_test) = datasets.load(dataset, data_dir)
    limit = training.limit
    if limit > len(y):
        raise ValueError(
            f"limit: {dataset} has {len(y)} training images. Expected: at most as many. "
            f"Received: {limit}."
        )
    return (x[:limit], y[:limit]), (x_test[:limit], y_test[:limit])


def _prepare(dataset: str, training: Training) -> Any:
    """Returns the function from 8-bit images to the network's inputs."""
    normalize, flat = Normalizer.named(dataset), training.network == "dense"
    return lambda images: normalize(images.reshape(len(images), -1) if flat else images)


def _held_out(held_out: Arrays, prepare: Any) -> dict[str, Any]:
    """Returns validation and test role, and what else all splits have, as arguments of one."""
    x, y = held_out
    test = _of_test(len(y))
    return {
        "validation": (prepare(x[~test]), y[~test]),
        "test": (prepare(x[test]), y[test]),
        "num_classes": _CLASSES,
        "duplicates": "keep",
    }


def _of_test(count: int) -> np.ndarray:
    """Tells which held-out images are the test role's; the others are for validation."""
    return np.arange(count) % _HELD_BACK != 0


def _draw(
    among: np.ndarray, fraction: float, total: int, numbers: np.random.Generator
) -> np.ndarray:
    """Draws a share of all training images among some of them; sorted ids."""
    if not 0 < fraction < 1:
        raise ValueError(f"fraction: expected a share inside (0, 1). Received: {fraction}.")
    count = round(fraction * total)
    if not 1 <= count <= len(among):
        raise ValueError(
            f"fraction: expected a share that comes to 1 to {len(among)} images. "
            f"Received: {fraction}, which comes to {count}."
        )
    return np.sort(numbers.permutation(among)[:count])


def _network(kind: str, shape: tuple[int | None, ...], seed: int) -> keras.Model:
    """Returns the untrained network."""
    from tfunlearn import models  # the one import against the order; only when a model is made

    if kind == "dense":
        return models.mnist_dense(shape[0], _CLASSES, dropout=0.0, seed=seed)
    return models.small_cnn(shape, _CLASSES, filters=24, strides=2, dense=128, seed=seed)
