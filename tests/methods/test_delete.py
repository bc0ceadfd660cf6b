"""DELETE against its formula, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods
from tfunlearn.methods.delete import without_true_class

ONE = {"epochs": 1, "batch_size": 4, "learning_rate": 0.1, "stop_accuracy": None}


def chances(weights, flat):
    scores = np.exp(flat @ weights[0] + weights[1])
    return scores / scores.sum(-1, keepdims=True)


@pytest.mark.parametrize("epochs", [1, 3])
def test_equals_the_formula(net, split, by_hand, epochs):
    hand = by_hand(net.get_weights(), 0.1)
    (x, y), original = split.forget, [weight.copy() for weight in hand.weights]
    flat = x.reshape(4, -1).astype("float64")
    target = chances(original, flat)
    target[np.arange(4), y] = 0.0
    target /= target.sum(-1, keepdims=True)
    for _ in range(epochs):
        errors = (chances(hand.weights, flat) - target) / 4
        for place, gradient in enumerate((flat.T @ errors, errors.sum(0))):
            hand.velocity[place] = 0.9 * hand.velocity[place] - 0.1 * gradient
            hand.weights[place] += hand.velocity[place]
    net.compile(keras.optimizers.SGD(0.1, momentum=0.9), net.loss)
    result = methods.delete(net, split, **{**ONE, "epochs": epochs})
    hand.agrees(result)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_target_is_the_original_without_the_true_class(dtype):
    logits = keras.ops.convert_to_tensor([[9.0, 1.0, 0.0], [30.0, -3.0, 2.0]], dtype=dtype)
    target = keras.ops.softmax(without_true_class(logits, np.array([[0], [2]])))
    weights = np.exp([[1.0, 0.0], [30.0, -3.0]])
    weights /= weights.sum(-1, keepdims=True)
    expected = [[0.0, weights[0, 0], weights[0, 1]], [weights[1, 0], weights[1, 1], 0.0]]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(target), expected, atol=1e-3)
    assert keras.ops.convert_to_numpy(target)[0, 0] == 0


def test_the_teacher_stays(net, split):
    student, teacher = (keras.models.clone_model(net) for _ in range(2))
    before = teacher.get_weights()
    distillation = methods.DELETE(student, teacher)
    distillation.compile(keras.optimizers.SGD(0.1, weight_decay=0.1))
    x, y = split.forget
    distillation.fit({"forget": x}, {"forget": y}, epochs=2, verbose=0)
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(student.get_weights()[0], before[0])
