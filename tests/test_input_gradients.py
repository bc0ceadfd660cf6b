"""Gradients with respect to inputs, against the formula."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.elsewhere import BACKENDS, on
from tfunlearn.gradients import input_gradients
from tfunlearn.losses import cross_entropy


def _linear(use_bias=True):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, use_bias=use_bias)])
    numbers = np.random.default_rng(0)
    model.set_weights([numbers.normal(size=weight.shape) for weight in model.weights])
    return model, numbers.normal(size=(5, 4)).astype("float32"), np.array([0, 1, 2, 1, 0])


def test_cross_entropy_of_a_linear_model():
    model, x, y = _linear()
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    scores = np.exp(x @ kernel + bias)
    expected = (scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]) @ kernel.T
    received = input_gradients(lambda x: cross_entropy(y, model(x, training=False)), x)
    np.testing.assert_allclose(ops.convert_to_numpy(received), expected, atol=1e-5)


def test_differentiated_once_more_inside_a_training_step():
    model, x, y = _linear(use_bias=False)

    class Sharpness(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner, self.built = model, True

        def call(self, x):
            return self.inner(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            def own(inputs):
                return ops.sum(self.inner(inputs, training=False) * ops.one_hot(y, 3), -1)

            return ops.mean(ops.sum(input_gradients(own, x) ** 2, -1))

    kernel = model.get_weights()[0].astype("float64")
    trained = Sharpness()
    trained.compile(keras.optimizers.SGD(0.1))
    trained.fit(x, y, batch_size=5, shuffle=False, verbose=0)
    share = np.bincount(y, minlength=3) / len(y)  # the loss is sum_c share_c |kernel_c|^2
    np.testing.assert_allclose(model.get_weights()[0], kernel - 0.2 * share * kernel, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_on_other_backends(backend):
    on(backend, test_cross_entropy_of_a_linear_model)
    on(backend, test_differentiated_once_more_inside_a_training_step)


def test_refusals():
    with pytest.raises(ValueError, match=r"x: expected floating point inputs.*uint8"):
        input_gradients(lambda x: ops.sum(x, -1), np.zeros((2, 2), "uint8"))
    with pytest.raises(ValueError, match=r"score: expected one number per example.*\(2, 2\)"):
        input_gradients(lambda x: x, np.zeros((2, 2), "float32"))
