"""Tiny models and splits whose updates can be computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn.data import by_index


@pytest.fixture
def split():
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(12, 2, 2, 1)).astype("float32"), np.arange(12) % 3
    return by_index(x, y, forget=[1, 4, 6, 11], test=(x[:3], y[:3]))


@pytest.fixture
def net():
    """A convolution as large as the image: a linear softmax classifier with 4 x 3 kernel."""
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Conv2D(3, 2, name="conv", bias_initializer="ones"),
            keras.layers.Flatten(),
            keras.layers.Activation("softmax"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


@pytest.fixture
def dropout_net():
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, name="head"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


class ByHand:
    """SGD with momentum and decoupled weight decay on a linear softmax model, in float64."""

    def __init__(self, weights, learning_rate, momentum=0.9, weight_decay=0.0):
        kernel, bias = weights
        self.weights = [kernel.reshape(-1, 3).astype("float64"), bias.astype("float64")]
        self.velocity = [np.zeros_like(weight) for weight in self.weights]
        self.rate, self.momentum, self.decay = learning_rate, momentum, weight_decay

    def step(self, x, y, class_weights=(1.0, 1.0, 1.0)):
        flat = x.reshape(len(x), -1).astype("float64")
        scores = np.exp(flat @ self.weights[0] + self.weights[1])
        errors = scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]
        errors *= np.asarray(class_weights)[y][:, None] / len(y)
        for place, gradient in enumerate((flat.T @ errors, errors.sum(0))):
            self.velocity[place] = self.momentum * self.velocity[place] - self.rate * gradient
            self.weights[place] *= 1 - self.rate * self.decay
            self.weights[place] += self.velocity[place]

    def agrees(self, model):
        received = [weight.reshape(want.shape) for weight, want in self._pairs(model)]
        for got, want in zip(received, self.weights, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)

    def _pairs(self, model):
        return zip(model.get_weights(), self.weights, strict=True)


@pytest.fixture
def by_hand():
    return ByHand
