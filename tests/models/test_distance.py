import keras
import numpy as np
import pytest

from tfunlearn import models
from tfunlearn.models import layer_distances, weight_distance


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


def test_each_weight_by_hand():
    one, other = dense(2.0), dense(3.0)
    other.set_weights([np.full((3, 2), 3.0), np.array([3.0, 4.0])])
    layer = f"{one.name}/{one.layers[0].name}"
    found = layer_distances(one, other)
    assert list(found) == [f"{layer}/kernel", f"{layer}/bias"]
    assert found[f"{layer}/kernel"] == pytest.approx((6**0.5, 0.5))  # 6 weights, 2 moved by 1
    assert found[f"{layer}/bias"] == (5.0, None)  # a bias of zeros has no length to compare with
    assert layer_distances(one, one)[f"{layer}/bias"] == (0.0, None)


def test_each_weight_against_numpy_and_the_whole():
    one, other = models.small_cnn(seed=0), models.small_cnn(seed=1)
    found = layer_distances(one, other)
    assert list(found) == [weight.path for weight in one.weights]
    for distance, left, right in zip(
        found.values(), one.get_weights(), other.get_weights(), strict=True
    ):
        left, right = left.astype("float64").ravel(), right.astype("float64").ravel()
        moved, norm = np.linalg.norm(left - right), np.linalg.norm(left)
        assert distance.absolute == pytest.approx(moved, rel=1e-12)
        assert distance.relative == (pytest.approx(moved / norm, rel=1e-12) if norm else None)
    total = sum(distance.absolute**2 for distance in found.values()) ** 0.5
    assert weight_distance(one, other) == pytest.approx(total, rel=1e-12)


def test_it_names_the_one_weight_that_moved():
    one = models.small_cnn(seed=0)
    other = models.copy(one)
    statistics = next(w for w in other.weights if w.path.endswith("moving_mean"))
    statistics.assign(statistics + 0.5)
    moved = {path for path, distance in layer_distances(one, other).items() if distance.absolute}
    assert moved == {statistics.path}


def test_two_weights_of_one_path_are_refused():
    class Twins(keras.Model):
        def __init__(self):
            super().__init__(name="twins")
            self.left, self.right = (keras.layers.Dense(2, name="same") for _ in range(2))

        def call(self, x):
            return self.left(x) + self.right(x)

    model = Twins()
    model(np.zeros((1, 3)))
    assert weight_distance(model, model) == 0.0
    with pytest.raises(ValueError, match=r"a: every weight needs a path of its own.*twins/same/b"):
        layer_distances(model, model)


@pytest.mark.parametrize("distance", [weight_distance, layer_distances])
@pytest.mark.parametrize(
    ("other", "words"),
    [
        (dense(1.0, units=4), ["weight 0 is (3, 2) and (3, 4)"]),
        (models.mnist_dense(3), ["Received: 8 weights"]),
    ],
)
def test_refuses_other_architectures(distance, other, words):
    with pytest.raises(ValueError, match="b: the two models must have the same weight") as caught:
        distance(dense(1.0), other)
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
