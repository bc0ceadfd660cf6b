"""Tiny classifiers: three classes, four features, weights set by hand or by seed."""

import keras
import numpy as np
import pytest

from tfunlearn import audit
from tfunlearn.data import ForgetSplit


def make_data(size, seed):
    """Returns features around three centres, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, size)
    features = rng.normal(size=(size, 4)) + 2 * np.eye(3, 4)[labels]
    return features.astype("float32"), labels


def make_model(seed, scale=1.0, softmax=False, classes=3):
    """Returns a linear classifier that knows the centres, its kernel moved a little by the seed."""
    head = keras.layers.Dense(classes, activation="softmax" if softmax else None, name="head")
    model = keras.Sequential([keras.Input((4,), name="features"), head], name="linear")
    noise = 0.3 * np.random.default_rng(seed).normal(size=(4, classes))
    model.set_weights([scale * (np.eye(4, classes) + noise), np.zeros(classes)])
    return model


@pytest.fixture(scope="session")
def split():
    return ForgetSplit.random(*make_data(200, 0), fraction=0.2, seed=1, test=make_data(120, 2))


@pytest.fixture(scope="session")
def class_split():
    return ForgetSplit.by_class(*make_data(200, 0), classes=[1], test=make_data(120, 2))


@pytest.fixture
def models(trio):
    """The same three, made anew for a test that changes or adds some."""
    return {name: make_model(seed) for seed, name in enumerate(trio)}


@pytest.fixture
def model():
    return make_model


@pytest.fixture
def data():
    return make_data


@pytest.fixture(scope="session")
def trio():
    """Three models that no test may change."""
    names = ["original", "retrained", "tuned"]
    return {name: make_model(seed) for seed, name in enumerate(names)}


@pytest.fixture(scope="session")
def shared(trio, split):
    """One audit of them, for the tests that only read."""
    return audit.compare(trio, split, seconds={"original": 2, "retrained": 1.5}, title="T")
