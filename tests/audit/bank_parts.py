"""Parts for the bank's tests that other processes import too: layers, losses, tiny networks."""

import contextlib
import os
import pathlib
import signal

import keras
import numpy as np

from tfunlearn.data import ForgetSplit
from tfunlearn.losses import OnLabels

TRACES = []
_DEATH = "TFUNLEARN_TEST_DEATH"  # a file whose absence ends the process, once it has been made;
# it holds the process of each time that `dying` is traced


def make_split(size=60, seed=0, shape=(6,), test=20):
    """Returns random inputs with labels of three classes, a sixth of them to forget."""
    numbers = np.random.default_rng(seed)
    x = numbers.normal(size=(size + test, *shape)).astype("float32")
    y = numbers.integers(0, 3, size + test)
    held_out = (x[size:], y[size:])
    return ForgetSplit.by_index(x[:size], y[:size], forget=range(0, size, 6), test=held_out)


def make_net(*layers, shape=(6,), optimizer="sgd", loss=None, head=None):
    """Returns a compiled classifier of three classes with some layers before its head."""
    head = keras.layers.Dense(3, name="head") if head is None else head
    net = keras.Sequential([keras.Input(shape), *layers, head], name="net")
    if loss is None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer, loss, metrics=["accuracy"])
    return net


def make_noisy_net(optimizer="adam"):
    """Returns a network with everything that is drawn or moves: masks, noise, statistics."""
    layers = keras.layers
    inner = [layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.3)]
    return make_net(*inner, layers.GaussianNoise(0.1), optimizer=optimizer)


def make_cnn():
    """Returns a small convolutional network, whose last bits depend on the number of threads."""
    layers = keras.layers
    inner = [layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dropout(0.2)]
    return make_net(*inner, shape=(8, 8, 1))


@keras.saving.register_keras_serializable("bank_parts")
class Scale(keras.layers.Layer):
    """Multiplies by a weight: all that it is, its config and its weight say."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="random_normal")

    def call(self, inputs):
        return inputs * self.scale


@keras.saving.register_keras_serializable("bank_parts")
class Masked(keras.layers.Layer):
    """Drops the same inputs in each training step: a seed that is no variable says which."""

    def __init__(self, seed=1, **options):
        super().__init__(**options)
        self.seed = seed

    def call(self, inputs, training=False):
        return keras.random.dropout(inputs, 0.5, seed=self.seed) if training else inputs

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("bank_parts")
class Weighted(keras.losses.Loss):
    """Cross-entropy times a weight that its config tells."""

    def __init__(self, weight=1.0, told=True, **options):
        super().__init__(**options)
        self.weight, self.told = weight, told

    def call(self, y_true, y_pred):
        loss = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        return self.weight * loss

    def get_config(self):
        own = {"weight": self.weight, "told": self.told} if self.told else {}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("bank_parts")
def doubled(x):
    """An activation."""
    return 2 * x


def counted(y_true, y_pred):
    """Cross-entropy that notes each time that it is traced."""
    TRACES.append(1)
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def dying(y_true, y_pred):
    """Cross-entropy that notes when it is traced, and kills its process the first time of all."""
    mark = pathlib.Path(os.environ[_DEATH])
    with contextlib.suppress(FileExistsError):
        mark.touch(exist_ok=False)
        mark.write_text(f"{os.getpid()}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    with mark.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)


def deadly():
    """Returns `dying` with its form of labels, so that it is tried nowhere before training."""
    return OnLabels(dying, "ids")


def made_by(base):
    """Returns a function that no text tells from its sisters."""

    def powered(y_true, y_pred):
        return base * keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

    return powered
