"""A ceiling on the loss, and a stop that lands on its level."""

import math
from itertools import pairwise

import keras
import numpy as np
import pytest

from tfunlearn import data, methods
from tfunlearn.methods import StopAtLevel
from tfunlearn.methods.bounds import ceiling_of


def clouds(forget=slice(0, 40)):
    """Three overlapping clouds; the split forgets a part of them, or a class."""
    numbers = np.random.default_rng(0)
    y = np.arange(240) % 3
    middles = 4 * np.eye(4, dtype="float32")[y]
    x = (middles + numbers.normal(size=(240, 4))).reshape(-1, 2, 2, 1).astype("float32")
    if forget == "class":
        return data.by_class(x, y, classes=[1], test=(x[:3], y[:3]))
    return data.by_index(x, y, forget=np.arange(240)[forget], test=(x[:3], y[:3]))


def trained(split, epochs=20):
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(3, "softmax", kernel_initializer="zeros"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(0.2), loss, metrics=["accuracy"])
    x, y = (np.concatenate(parts) for parts in zip(split.forget, split.retain, strict=True))
    model.fit(x, y, epochs=epochs, batch_size=60, shuffle=False, verbose=0)
    return model


def accuracy(model, part):
    x, y = part
    return float(np.mean(keras.ops.convert_to_numpy(model(x)).argmax(-1) == y))


def level_of(model, weights, split):
    twin = keras.models.clone_model(model)
    twin.set_weights(weights)
    return accuracy(twin, split.forget)


class Diary(keras.callbacks.Callback):
    """Keeps the weights after each epoch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


def test_it_stops_where_the_level_is_crossed():
    split = clouds()
    model, diary = trained(split), Diary()
    free = {"learning_rate": 10.0, "batch_size": 20, "ceiling": None}
    methods.gradient_ascent(model, split, epochs=3, stop_accuracy=None, callbacks=[diary], **free)
    path = [model.get_weights(), *diary.weights]
    start, end = next(pair for pair in pairwise(path) if level_of(model, pair[1], split) <= 0.5)
    result = methods.gradient_ascent(model, split, epochs=3, stop_accuracy=0.5, **free)
    kernel = result.get_weights()[0]
    way = end[0] - start[0]
    share = float(np.sum((kernel - start[0]) * way) / np.sum(way**2))
    np.testing.assert_allclose(kernel, start[0] + share * (end[0] - start[0]), atol=1e-5)
    assert 0 < share < 1
    assert accuracy(result, split.forget) <= 0.5
    before = [a + (share - 1 / 1024) * (b - a) for a, b in zip(start, end, strict=True)]
    assert level_of(model, before, split) > 0.5


def test_epochs_above_the_level_are_as_without_a_stop():
    split, diary = clouds(), Diary()
    model = trained(split)
    slow = {"learning_rate": 0.02, "batch_size": 20, "epochs": 3}
    free = methods.gradient_ascent(model, split, stop_accuracy=None, callbacks=[diary], **slow)
    kept = methods.gradient_ascent(model, split, stop_accuracy=0.0, **slow)
    assert len(diary.weights) == 3
    for left, right in zip(free.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("learning_rate", [3.0, 1e4])
def test_no_collapse_at_any_learning_rate(learning_rate):
    """Unbounded, the same ascent ruins the model."""
    split = clouds()
    model = trained(split)
    options = {"learning_rate": learning_rate, "batch_size": 20}
    ruined = methods.gradient_ascent(model, split, ceiling=None, stop_accuracy=None, **options)
    bounded = methods.gradient_ascent(model, split, **options)
    assert accuracy(ruined, split.retain) < 0.4
    assert accuracy(model, split.forget) - 0.1 < accuracy(bounded, split.forget)
    assert accuracy(bounded, split.forget) <= accuracy(model, split.forget) - 0.05
    assert accuracy(bounded, split.retain) > accuracy(model, split.retain) - 0.1


def test_a_whole_class_goes_to_chance():
    split = clouds("class")
    result = methods.gradient_ascent(trained(split), split, learning_rate=1.0, batch_size=40)
    assert 0.25 < accuracy(result, split.forget) <= 1 / 3
    assert accuracy(result, split.retain) > 0.9


def test_one_that_starts_at_the_level_trains_one_epoch():
    split, seen = clouds(), keras.callbacks.History()
    options = {"stop_accuracy": 1.0, "batch_size": 20, "callbacks": [seen]}
    methods.gradient_ascent(trained(split), split, **options)
    assert len(seen.epoch) == 1


def test_alone_with_compile_and_fit():
    split = clouds()
    model = trained(split, epochs=1)
    stop = StopAtLevel(split.dataset("forget"), 0.0, metric="accuracy")
    model.fit(split.dataset("retain"), epochs=2, shuffle=False, callbacks=[stop], verbose=0)
    assert stop.reached is None
    stop = StopAtLevel(split.dataset("forget"), 1.0, metric="accuracy")
    model.fit(split.dataset("retain"), epochs=2, shuffle=False, callbacks=[stop], verbose=0)
    assert stop.reached == pytest.approx(accuracy(model, split.forget))
    stop = StopAtLevel(split.dataset("forget"), 0.5)
    with pytest.raises(ValueError, match=r"metric: expected one of accuracy, loss.*forget_acc"):
        model.fit(split.dataset("retain"), shuffle=False, callbacks=[stop], verbose=0)


@pytest.mark.parametrize("level", [-0.1, 1.5, math.nan])
def test_levels_out_of_range_are_refused(net, split, level):
    with pytest.raises(ValueError, match=r"stop_accuracy: expected an accuracy in \[0, 1\]"):
        methods.gradient_ascent(net, split, stop_accuracy=level)


def test_ceilings():
    assert ceiling_of(None, 10) is None
    assert ceiling_of("chance", 10) == pytest.approx(math.log(10))
    assert ceiling_of(3, 10) == 3.0
    for wrong in (0, -1.0, math.inf, math.nan, "high"):
        with pytest.raises(ValueError, match="ceiling: expected a positive number, 'chance'"):
            ceiling_of(wrong, 10)
