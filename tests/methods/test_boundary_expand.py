"""Boundary expand against its formula, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.data import by_class
from tfunlearn.methods.boundary_expand import BoundaryExpand

ONE = {"epochs": 1, "batch_size": 4, "learning_rate": 0.1, "stop_accuracy": None, "k": None}


@pytest.fixture
def split():
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(12, 2, 2, 1)).astype("float32"), np.arange(12) % 3
    return by_class(x, y, classes=[0], test=(x[:3], y[:3]))


def dense_net(*tail, activation=None):
    head = [keras.layers.Dense(3, activation, name="scores"), *tail]
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), *head])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("form", ["activation", "layer", "nested"])
def test_equals_the_formula(split, form):
    tail = {"activation": [], "layer": [keras.layers.Softmax()]}.get(form, [])
    model = dense_net(*tail, activation="softmax" if form == "activation" else None)
    if form == "nested":
        model = keras.Sequential([keras.Input((2, 2, 1)), model])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    x = split.forget[0].reshape(4, -1).astype("float64")
    fresh = keras.initializers.GlorotUniform(seed=7)((4, 1))
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    kernel = np.c_[kernel, keras.ops.convert_to_numpy(fresh)]
    bias, speed = np.append(bias, 0.0), [0.0, 0.0]
    for _ in range(2):
        scores = np.exp(x @ kernel + bias)
        errors = (scores / scores.sum(-1, keepdims=True) - np.eye(4)[[3] * 4]) / 4
        speed = [0.9 * speed[0] - 0.1 * x.T @ errors, 0.9 * speed[1] - 0.1 * errors.sum(0)]
        kernel, bias = kernel + speed[0], bias + speed[1]
    result = methods.boundary_expand(model, split, **{**ONE, "epochs": 2, "seed": 7})
    for got, want in zip(result.get_weights(), (kernel[:, :3], bias[:3]), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    assert result.output_shape == (None, 3)
    assert result.predict(split.test[0], verbose=0).shape == (3, 3)


def test_accuracy_is_that_without_the_extra_class(split):
    net = dense_net()
    student = models.logits_model(net)
    expansion = BoundaryExpand(student, seed=0)
    expansion.compile(keras.optimizers.SGD(0.0))
    expansion.shadow.bias.assign([100.0])
    (x, y), scores = split.forget, net.predict(split.forget[0], verbose=0)
    logs = expansion.evaluate({"forget": x}, {"forget": y}, return_dict=True, verbose=0)
    assert logs["forget_accuracy"] == pytest.approx((scores.argmax(-1) == y).mean())
    assert logs["forget_loss"] == pytest.approx(0, abs=1e-6)
    wide = student(x)
    np.testing.assert_allclose(wide[:, :3], scores, atol=1e-6)
    assert wide.shape == (4, 4)


def test_a_head_that_is_not_dense_is_refused(net, split):
    with pytest.raises(ValueError, match=r"^model: its head.*no Dense"):
        methods.boundary_expand(net, split)


def test_a_head_with_more_after_it_is_refused(split):
    after = [keras.layers.BatchNormalization(), keras.layers.Softmax()]
    with pytest.raises(ValueError, match=r"^model: its head.*'scores' with more after it"):
        methods.boundary_expand(dense_net(*after), split)
