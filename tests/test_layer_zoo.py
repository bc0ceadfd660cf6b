"""Gradients of single examples through layers of every kind, and the methods that take them.

Each question goes to another process: one that dies is a failed test. There is no tap for most of
these layers, and what TensorFlow vectorises of their gradients ends in an error or in a crash.
"""

import functools
from unittest import mock

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfunlearn
from tests.elsewhere import on
from tfunlearn import data, gradients, models
from tfunlearn.gradients.taps import covers

TOKENS, CLASSES, COUNT = 9, 3, 10


@keras.saving.register_keras_serializable("tests")
class OwnAttention(layers.Layer):
    """Attention written by operations alone."""

    def build(self, shape):
        """Makes one kernel for queries, keys and values."""
        self.mix = self.add_weight(shape=(3, shape[-1], shape[-1]), name="mix")

    def call(self, x):
        """Returns what each position attends to."""
        query, key, value = ops.unstack(ops.einsum("btd,kde->kbte", x, self.mix))
        shares = ops.softmax(ops.einsum("bte,bse->bts", query, key))
        return x + ops.einsum("bts,bse->bte", shares, value)


@keras.saving.register_keras_serializable("tests")
class OwnCell(layers.Layer):
    """A recurrent cell around a dense layer, which is then used at each step."""

    def __init__(self, units=3, **options):
        super().__init__(**options)
        self.units = self.state_size = units
        self.inner = layers.Dense(units, activation="tanh")

    def build(self, shape):
        """Builds the layer inside."""
        self.inner.build((shape[0], shape[-1] + self.units))

    def call(self, x, states):
        """Returns output and state."""
        state = self.inner(ops.concatenate([x, states[0]], axis=-1))
        return state, [state]

    def get_config(self):
        """Returns the width."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("tests")
class OwnLoop(layers.Layer):
    """A running product, by a loop in the graph."""

    def build(self, shape):
        """Makes one factor for each channel."""
        self.factor = self.add_weight(shape=shape[-1:], initializer="ones", name="factor")

    def call(self, x):
        """Returns the state after each step."""

        def step(state, row):
            state = ops.tanh(state * self.factor + row)
            return state, state

        _, states = ops.scan(step, ops.zeros_like(x[:, 0]), ops.moveaxis(x, 1, 0))
        return ops.moveaxis(states, 0, 1)


def _net(*middle, shape=(5, 4), tokens=False, pool=True):
    """Returns a network around some layers, the first of which may be for tokens."""
    first = keras.Input(shape, dtype="int32" if tokens else "float32")
    h = first
    for layer in middle:
        h = layer(h)
    if pool:
        h = layers.Flatten()(h)
    return keras.Model(first, layers.Dense(CLASSES)(h))


def _text(*middle, mask=True, pool=False):
    return _net(
        layers.Embedding(TOKENS, 4, mask_zero=mask), *middle, shape=(5,), tokens=True, pool=pool
    )


def _self(layer, count=2):
    return lambda h: layer(*[h] * count)


def _pair(layer):
    return lambda h: layer([h, h])


def _images(*middle, shape=(6, 6, 4)):
    return _net(*middle, shape=shape)


L = layers
KINDS = {
    "attention heads": lambda: _net(_self(L.MultiHeadAttention(2, 3))),
    "masked attention": lambda: _text(
        _self(L.MultiHeadAttention(2, 3)), L.GlobalAveragePooling1D()
    ),
    "dot attention": lambda: _net(L.Dense(4), _pair(L.Attention(use_scale=True))),
    "additive attention": lambda: _net(L.Dense(4), _pair(L.AdditiveAttention())),
    "own attention": lambda: _net(OwnAttention()),
    "LSTM": lambda: _net(L.LSTM(3)),
    "GRU": lambda: _net(L.GRU(3)),
    "SimpleRNN": lambda: _net(L.SimpleRNN(3)),
    "masked LSTM": lambda: _text(L.LSTM(3)),
    "masked GRU": lambda: _text(L.GRU(3, return_sequences=True), L.LSTM(3)),
    "masked both ways": lambda: _text(L.Bidirectional(L.LSTM(3))),
    "unrolled": lambda: _text(L.LSTM(3, unroll=True)),
    "own cell": lambda: _net(L.RNN(OwnCell())),
    "own loop": lambda: _net(OwnLoop()),
    "ConvLSTM2D": lambda: _net(L.ConvLSTM2D(2, 2), shape=(3, 4, 4, 2)),
    "at each step": lambda: _net(L.TimeDistributed(L.Dense(3))),
    "at each of unknown steps": lambda: _net(
        L.TimeDistributed(L.Dense(3)), L.GlobalAveragePooling1D(), shape=(None, 4)
    ),
    "layer norm": lambda: _net(L.LayerNormalization()),
    "spectral norm": lambda: _net(L.SpectralNormalization(L.Dense(3))),
    "transposed": lambda: _images(L.Conv2DTranspose(3, 2, 2)),
    "causal": lambda: _net(L.Conv1D(3, 2, padding="causal")),
    "slopes": lambda: _net(L.Dense(4), L.PReLU()),
    "masked mean": lambda: _text(L.GlobalAveragePooling1D()),
    "one bias": lambda: _net(L.Dense(3), lambda h: ops.softmax(ops.einsum("btd,bsd->bts", h, h))),
}


def entropy(y, logits):
    """Returns the cross-entropy of each example."""
    return ops.sparse_categorical_crossentropy(y, logits, from_logits=True)


def arrays(net, count=COUNT):
    """Returns inputs and labels for a network; tokens end in zeros, which are masked."""
    numbers = np.random.default_rng(0)
    shape = (count, *(5 if size is None else size for size in net.input_shape[1:]))
    if "int" in str(net.inputs[0].dtype):
        x = numbers.integers(1, TOKENS, shape).astype("int32")
        x[np.arange(shape[1]) >= numbers.integers(1, shape[1] + 1, count)[:, None]] = 0
    else:
        x = numbers.normal(size=shape).astype("float32")
    return x, np.arange(count) % CLASSES


def one_after_the_other(net, x, y):
    """Returns each example's gradient, flat, by Keras and a tape on batches of one."""
    import tensorflow as tf

    rows = []
    for place in range(len(x)):
        with tf.GradientTape() as tape:
            loss = entropy(y[place : place + 1], net(x[place : place + 1], training=False))
        slopes = tape.gradient(loss, net.trainable_variables)
        rows.append([tf.convert_to_tensor(part).numpy().ravel() for part in slopes])
    return np.stack([np.concatenate(row) for row in rows])


def gaps(kind):
    """Returns how far our sums and rows are from those of the loop, relative to the largest."""
    keras.utils.set_random_seed(0)
    net = KINDS[kind]()
    numbers = np.random.default_rng(1)
    for weight in net.trainable_variables:
        weight.assign(weight + 0.3 * numbers.normal(size=weight.shape))
    x, y = arrays(net)
    wanted = one_after_the_other(net, x, y)
    rows = np.stack(list(gradients.per_example(net, [(x, y)], entropy, chunk=4)))
    batches = [(x[:6], y[:6]), (x[6:], y[6:])]
    sums, _ = gradients.gradient_sum(net, batches, entropy, of="square", per="example")
    squares = np.concatenate([part.ravel() for part in sums])
    pairs = (rows, wanted), (squares, (wanted.astype("float64") ** 2).sum(0))
    return [float(np.abs(found - want).max() / np.abs(want).max()) for found, want in pairs]


QUICK = ("attention heads", "masked LSTM", "own loop", "layer norm")


@pytest.mark.xdist_group("layer zoo")
@pytest.mark.parametrize(
    "kind", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in KINDS]
)
def test_the_gradients_of_single_examples_are_those_of_a_tape(kind):
    assert max(on("tensorflow", gaps, kind)) < 1e-5


def vectorized_and_looped(kind):
    """Returns a sum of squares of gradients that are vectorised, and the same by the loop."""
    net = KINDS[kind]()
    assert not covers(net)
    x, y = arrays(net)
    found = []
    for vectorizes in (True, False):
        with mock.patch("tfunlearn.gradients.sums.vectorizes", lambda made=vectorizes: made):
            sums, _ = gradients.gradient_sum(net, [(x, y)], entropy, of="square", per="example")
        found.append(np.concatenate([part.ravel() for part in sums]).tolist())
    return found


@pytest.mark.slow
@pytest.mark.xdist_group("jax")
@pytest.mark.parametrize("kind", ["own attention", "slopes"])  # no taps
def test_a_loop_gives_what_jax_vectorises(kind):
    vectorized, looped = on("jax", vectorized_and_looped, kind)
    np.testing.assert_allclose(looped, vectorized, rtol=1e-4, atol=1e-6 * max(vectorized))


TOGETHER = {
    "attention": lambda: _net(
        _self(L.MultiHeadAttention(2, 3)),
        L.LayerNormalization(),
        _pair(L.Attention(use_scale=True)),
        _pair(L.AdditiveAttention()),
        L.EinsumDense("btd,de->bte", (5, 3), bias_axes="e"),
    ),
    "recurrent": lambda: _text(
        L.Bidirectional(
            L.LSTM(2, return_sequences=True),
            backward_layer=L.GRU(2, return_sequences=True, go_backwards=True),
        ),
        L.SimpleRNN(3),
    ),
    "images": lambda: _net(
        L.ConvLSTM2D(2, 2), L.GroupNormalization(2), L.SeparableConv2D(3, 2), shape=(3, 4, 4, 2)
    ),
    "own": lambda: _net(OwnAttention(), L.TimeDistributed(L.Dense(3)), L.RNN(OwnCell())),
}
METHODS = {
    "ssd": {"selection": 1.0},
    "assd": {},
    "lfssd": {"selection": 1.0},
    "fisher_forgetting": {},
    "influence": {"samples": 8},
    "msg": {"epochs": 1},
    "salun": {"epochs": 1},
}


@functools.cache
def _trained(name):
    """Returns a network that has seen its data once, and the split."""
    keras.utils.set_random_seed(0)
    net = TOGETHER[name]()
    x, y = arrays(net, 16)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.Adam(0.01), loss)
    net.train_on_batch(x, y)
    return net, data.by_index(x, y, forget=range(8), test=(x, y))


def unlearned(name, method):
    """Returns whether a method's result is finite, and how far it is from the original."""
    net, split = _trained(name)
    found = tfunlearn.unlearn(net, split, method, batch_size=8, **METHODS[method])
    finite = all(np.isfinite(part).all() for part in found.get_weights())
    return finite, models.weight_distance(net, found)


@pytest.mark.slow
@pytest.mark.xdist_group("layer zoo")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", TOGETHER)
def test_methods_end_in_a_model(name, method):
    finite, distance = on("tensorflow", unlearned, name, method)
    assert finite
    assert distance > 0
