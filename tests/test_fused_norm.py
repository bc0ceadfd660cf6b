"""Batch normalisation in one operation is that of Keras."""

import keras
import numpy as np
import pytest

from tfunlearn import data, training
from tfunlearn.training.fused_norm import fused_norm

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the operation is TensorFlow's"
)
X = np.random.default_rng(0).normal(2, 3, (5, 4, 3, 2)).astype("float32")


def layer(**options):
    model = keras.Sequential([keras.Input(X.shape[1:]), keras.layers.BatchNormalization(**options)])
    for number, weight in enumerate(model.weights):
        weight.assign([0.3 + number, 0.7])
    return model


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_outputs_and_statistics_are_those_of_the_definition(scale, center):
    model = layer(scale=scale, center=center, momentum=0.9, epsilon=0.01)
    own = model.layers[-1]
    mean, variance = (moving.numpy() for moving in (own.moving_mean, own.moving_variance))
    with fused_norm(model):
        outputs = model(X, training=True).numpy()
    rows = X.reshape(-1, 2).astype("float64")
    expected = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 0.01)
    expected *= own.gamma.numpy() if scale else 1
    expected += own.beta.numpy() if center else 0
    np.testing.assert_allclose(outputs.reshape(-1, 2), expected, atol=1e-5)
    np.testing.assert_allclose(own.moving_mean, 0.9 * mean + 0.1 * rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(own.moving_variance, 0.9 * variance + 0.1 * rows.var(0), rtol=1e-5)


def test_inference_and_frozen_layers_are_keras_own():
    model = layer()
    expected = model(X, training=False).numpy()
    with fused_norm(model):
        np.testing.assert_array_equal(model(X, training=False).numpy(), expected)
        model.trainable = False
        np.testing.assert_array_equal(model(X, training=True).numpy(), expected)
    assert "call" not in vars(model.layers[-1])


def test_other_axes_and_shapes_are_left_alone():
    model = keras.Sequential([keras.Input(X.shape[1:]), keras.layers.BatchNormalization(axis=1)])
    flat = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization()])
    for other in (model, flat):
        with fused_norm(other):
            assert "call" not in vars(other.layers[-1])


def network():
    keras.utils.set_random_seed(1)
    layers = [keras.Input(X.shape[1:]), keras.layers.Conv2D(4, 3, padding="same", use_bias=False)]
    layers += [keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, jit_compile=False)
    return model


def test_a_training_takes_it_and_gives_the_weights_of_fit(monkeypatch):
    numbers = np.random.default_rng(1)
    x, y = numbers.normal(size=(43, *X.shape[1:])).astype("float32"), numbers.integers(0, 3, 43)
    split = data.by_index(x, y, forget=[0], test=(x[:2], y[:2]))
    plain, fast = network(), network()
    stream = {"batch_size": 8, "shuffle": True, "seed": 5}
    plain.fit(data.batches(split, "retain", **stream), epochs=3, shuffle=False, verbose=0)
    import tensorflow as tf

    fused, calls = tf.compat.v1.nn.fused_batch_norm, []
    monkeypatch.setattr(
        tf.compat.v1.nn,
        "fused_batch_norm",
        lambda *arrays, **options: calls.append(1) or fused(*arrays, **options),
    )
    training.fit(fast, data.batches(split, "retain", **stream), epochs=3)
    for one, other in zip(plain.variables, fast.variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)
    assert calls
