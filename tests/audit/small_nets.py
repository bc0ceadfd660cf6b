"""Many small networks trained at once in NumPy: a hidden layer of ReLU, SGD with momentum."""

import itertools

import keras
import numpy as np

HIDDEN = 64


def train(x, y, seeds, *, classes=10, epochs=40, batch=25, rate=0.05, momentum=0.9):
    """Returns the weights of a network per seed, each with a leading axis of models.

    A network's initial weights and the order of its batches come from its seed.
    """
    draws = [np.random.default_rng(seed) for seed in seeds]
    sizes = (x.shape[1], HIDDEN, classes)
    weights = []
    for fan_in, units in itertools.pairwise(sizes):
        scale = np.sqrt(2 / fan_in)
        weights.append(np.stack([scale * rng.normal(size=(fan_in, units)) for rng in draws]))
        weights.append(np.zeros((len(seeds), 1, units)))
    weights = [own.astype("float32") for own in weights]
    moved = [np.zeros_like(own) for own in weights]
    for _ in range(epochs):
        orders = np.stack([rng.permutation(len(x)) for rng in draws])
        for start in range(0, len(x) - batch + 1, batch):
            chosen = orders[:, start : start + batch]
            for own, speed, step in zip(
                weights, moved, gradients(weights, x[chosen], y[chosen]), strict=True
            ):
                speed *= momentum
                speed -= rate * step
                own += speed
    return weights


def gradients(weights, x, y):
    """Returns the gradients of the mean cross-entropy, each with a leading axis of models."""
    kernel, bias, last, last_bias = weights
    hidden = np.maximum(x @ kernel + bias, 0)
    scores = hidden @ last + last_bias
    scores = np.exp(scores - scores.max(axis=2, keepdims=True))
    errors = scores / scores.sum(axis=2, keepdims=True)
    np.put_along_axis(
        errors, y[..., None], np.take_along_axis(errors, y[..., None], axis=2) - 1, axis=2
    )
    errors /= x.shape[1]
    back = (errors @ last.transpose(0, 2, 1)) * (hidden > 0)
    return (
        x.transpose(0, 2, 1) @ back,
        back.sum(axis=1, keepdims=True),
        hidden.transpose(0, 2, 1) @ errors,
        errors.sum(axis=1, keepdims=True),
    )


def outputs(weights, x):
    """Returns the networks' logits, shape (models, examples, classes)."""
    kernel, bias, last, last_bias = weights
    return np.maximum(x @ kernel + bias, 0) @ last + last_bias


def as_keras(weights, place=0):
    """Returns one of the networks as a Keras model."""
    kernel, bias, last, last_bias = (own[place] for own in weights)
    net = keras.Sequential(
        [
            keras.Input((kernel.shape[0],)),
            keras.layers.Dense(kernel.shape[1], activation="relu"),
            keras.layers.Dense(last.shape[1]),
        ]
    )
    net.set_weights([kernel, bias[0], last, last_bias[0]])
    return net
