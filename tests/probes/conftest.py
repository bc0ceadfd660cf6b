"""A class of the digits to forget, and small networks that know it, never saw it, or hide it."""

import keras
import numpy as np
import pytest

from tfunlearn import data, models

FORGOTTEN = 3


def make_net(seed=0, softmax=False):
    """Returns an untrained dense network with a nested body and a head."""
    with models.seeding.seeded(seed):
        inner = keras.Input((64,))
        body = keras.Model(inner, keras.layers.Dense(24, "relu", name="hidden")(inner), name="body")
        inputs = keras.Input((64,))
        head = keras.layers.Dense(10, "softmax" if softmax else None, name="head")
        return keras.Model(inputs, head(body(inputs)), name="digits")


def trained(x, y, seed):
    """Returns a network that was trained on some digits."""
    net = make_net(seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.Adam(5e-3), loss)
    keras.utils.set_random_seed(seed)
    net.fit(x, y, epochs=8, batch_size=32, verbose=0)
    return net


@pytest.fixture(scope="session")
def digits():
    """Digits with one class to forget."""
    (x, y), (x_test, y_test) = data.datasets.load("digits")
    x, x_test = ((part.reshape(-1, 64) / 128 - 1).astype("float32") for part in (x, x_test))
    held_out = (x_test[:200], y_test[:200])
    return data.by_class(x[:600], y[:600], classes=[FORGOTTEN], test=held_out)


@pytest.fixture(scope="session")
def original(digits):
    """Knows the class; no test may change it."""
    parts = zip(digits.forget, digits.retain, strict=True)
    return trained(*(np.concatenate(part) for part in parts), seed=0)


@pytest.fixture(scope="session")
def retrained(digits):
    """Never saw the class; no test may change it."""
    return trained(*digits.retain, seed=1)


@pytest.fixture(scope="session")
def masked(original):
    """The original with a head that never answers the class; no test may change it."""
    net = models.copy(original)
    kernel, bias = net.get_layer("head").get_weights()
    kernel[:, FORGOTTEN], bias[FORGOTTEN] = 0.0, -50.0
    net.get_layer("head").set_weights([kernel, bias])
    return net


@pytest.fixture
def build():
    """A function that makes an untrained network."""
    return make_net


@pytest.fixture(scope="session")
def small():
    """A few points of three classes in two dimensions, some of them to forget."""
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(30, 2)).astype("float32"), np.arange(30) % 3
    return data.by_index(x, y, forget=range(10), test=(x, y))


@pytest.fixture
def linear():
    """A function of kernel, bias and activation that makes a linear classifier."""

    def make(kernel, bias, activation=None):
        kernel = np.asarray(kernel, "float32")
        head = keras.layers.Dense(kernel.shape[1], activation, name="head")
        net = keras.Sequential([keras.Input((len(kernel),)), head])
        net.set_weights([kernel, np.asarray(bias, "float32")])
        return net

    return make


@pytest.fixture(scope="session")
def streamed():
    """A function that gives a split's twin whose training data is a stream."""
    import tensorflow as tf

    def make(split):
        parts = [split.forget, split.retain]
        x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
        source = tf.data.Dataset.from_tensor_slices((x, y))
        forget = range(split.size("forget"))
        options = {"test": split.test, "num_classes": split.num_classes}
        return data.from_dataset(source, forget=forget, **options)

    return make
