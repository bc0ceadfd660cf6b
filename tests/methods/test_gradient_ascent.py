"""Gradient ascent against its formula, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods
from tfunlearn.methods import GradientAscent

FREE = {"stop_accuracy": None, "epochs": 1, "batch_size": 4}


def cross_entropy(model, x, y):
    scores = keras.ops.convert_to_numpy(model(x)).astype("float64")
    return -np.log(scores[np.arange(len(y)), y])


def test_unbounded_it_equals_the_formula(net, split, by_hand):
    expected = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    expected.step(*split.forget, (-1.0, -1.0, -1.0))
    expected.agrees(methods.gradient_ascent(net, split, ceiling=None, **FREE))


def test_examples_above_the_ceiling_are_left_alone(net, split, by_hand):
    x, y = split.forget
    losses = cross_entropy(net, x, y)
    ceiling = float(np.sort(losses)[1:3].mean())  # two are above it
    below = losses < ceiling
    expected = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    expected.step(x[below], y[below], (-0.5, -0.5, -0.5))  # still a mean over all four
    expected.agrees(methods.gradient_ascent(net, split, ceiling=ceiling, **FREE))


def test_takes_several_steps_with_its_own_optimizer(net, split, by_hand):
    expected = by_hand(net.get_weights(), 0.3, momentum=0.0)
    stream = split.dataset("forget", batch_size=3, shuffle=True, seed=5)
    for _ in range(2):
        for x, y in stream.as_numpy_iterator():
            expected.step(x, y, (-1.0, -1.0, -1.0))
    options = {"epochs": 2, "batch_size": 3, "seed": 5, "optimizer": keras.optimizers.SGD(0.3)}
    free = {"ceiling": None, "stop_accuracy": None}
    expected.agrees(methods.gradient_ascent(net, split, **options, **free))


def test_statistics_and_dropout_have_no_part(split):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dropout(0.9),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    one, other = (
        methods.gradient_ascent(model, split, seed=seed, **{**FREE, "batch_size": 4})
        for seed in (0, 1)
    )
    for weight, left, right in zip(
        model.weights, one.get_weights(), other.get_weights(), strict=True
    ):
        np.testing.assert_allclose(left, right, atol=1e-6)  # no dropout: one full batch
        if "moving" in weight.name:
            np.testing.assert_array_equal(left, keras.ops.convert_to_numpy(weight))


def test_the_ascent_alone(split):
    student = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    student.add(keras.layers.Dense(3))
    ascent = GradientAscent(student)
    ascent.compile(keras.optimizers.SGD(0.1))
    x, y = split.forget
    logs = [ascent.train_on_batch({"forget": x}, {"forget": y}, return_dict=True) for _ in "ab"]
    assert logs[1]["forget_loss"] < logs[0]["forget_loss"]  # minus the cross-entropy


@pytest.mark.parametrize("ceiling", [0.0, "high"])
def test_other_ceilings_are_refused(net, split, ceiling):
    with pytest.raises(ValueError, match="ceiling: expected"):
        methods.gradient_ascent(net, split, ceiling=ceiling)
