import keras
import numpy as np
import pytest

from tfunlearn import models
from tfunlearn.models import weight_distance


def dense(value, units=2, size=3):
    model = keras.Sequential([keras.Input((size,)), keras.layers.Dense(units)])
    model.set_weights([np.full((size, units), value), np.zeros(units)])
    return model


def test_golden_number():
    assert weight_distance(dense(1.0), dense(3.0)) == pytest.approx(24**0.5)  # 6 weights moved by 2
    assert weight_distance(dense(1.0), dense(3.0), relative=True) == pytest.approx(2.0)
    assert weight_distance(dense(3.0), dense(1.0), relative=True) == pytest.approx(2 / 3)


def test_against_numpy():
    one, other = models.small_cnn(seed=0), models.small_cnn(seed=1)
    left, right = (
        np.concatenate([w.astype("float64").ravel() for w in model.get_weights()])
        for model in (one, other)
    )
    assert weight_distance(one, other) == pytest.approx(np.linalg.norm(left - right), rel=1e-12)
    assert weight_distance(one, other) == weight_distance(other, one)
    assert weight_distance(one, other, relative=True) == pytest.approx(
        np.linalg.norm(left - right) / np.linalg.norm(left), rel=1e-12
    )
    assert isinstance(weight_distance(one, other), float)


def test_zero_for_a_copy():
    model = models.small_cnn(seed=0)
    assert weight_distance(model, models.copy(model)) == 0.0
    assert weight_distance(model, model, relative=True) == 0.0


def test_batch_normalisation_statistics_count():
    one = models.small_cnn(seed=0)
    other = models.copy(one)
    statistics = next(w for w in other.weights if w.path.endswith("moving_mean"))
    statistics.assign(statistics + 0.5)
    assert weight_distance(one, other) == pytest.approx(0.5 * statistics.shape[0] ** 0.5)


def test_float64_sums():
    big, near = dense(1e4, 100, 300), dense(1e4 + 1, 100, 300)
    assert weight_distance(big, near) == pytest.approx(30_000**0.5, rel=1e-9)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (dense(1.0, units=4), ["weight 0 is (3, 2) and (3, 4)"]),
        (models.mnist_dense(3), ["Received: 8 weights"]),
    ],
)
def test_refuses_other_architectures(other, words):
    with pytest.raises(ValueError, match="b: the two models must have the same weight") as caught:
        weight_distance(dense(1.0), other)
    for word in words:
        assert word in str(caught.value)


def test_refuses_more_weights_of_the_same_shapes():
    longer = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    with pytest.raises(ValueError, match="one model has more weights"):
        weight_distance(dense(1.0), longer)


def test_relative_distance_from_zero_is_an_error():
    assert weight_distance(dense(0.0), dense(1.0)) == pytest.approx(6**0.5)
    with pytest.raises(ValueError, match="a: its weights are all zero"):
        weight_distance(dense(0.0), dense(1.0), relative=True)
