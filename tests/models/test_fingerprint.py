import hashlib

import keras
import numpy as np
import pytest

from tfunlearn import models


def dense(kernel, bias):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.set_weights([np.array(kernel, "float32"), np.array(bias, "float32")])
    return model


def test_it_is_the_sha256_of_types_shapes_and_bytes():
    model = dense([[1.0], [2.0]], [0.5])
    parts = b"<f4(2, 1)" + np.array([1, 2], "<f4").tobytes()
    parts += b"<f4(1,)" + np.array([0.5], "<f4").tobytes()
    assert models.fingerprint(model) == hashlib.sha256(parts).hexdigest()


@pytest.mark.parametrize(
    "other", [([[1.0], [2.0000002]], [0.5]), ([[2.0], [1.0]], [0.5]), ([[1.0], [2.0]], [-0.5])]
)
def test_another_weight_gives_another(other):
    assert models.fingerprint(dense([[1.0], [2.0]], [0.5])) != models.fingerprint(dense(*other))


def test_it_outlives_saving(tmp_path):
    model = models.small_cnn(seed=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert models.fingerprint(loaded) == models.fingerprint(model)


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ValueError, match="model: an unbuilt model has no weights yet"):
        models.fingerprint(keras.Sequential([keras.layers.Dense(1)]))
