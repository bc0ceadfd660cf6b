"""NegGrad+ against its formula, computed by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import methods

ONE = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}


class Both:
    """One step of NegGrad+ in float64, on the by-hand model."""

    def __init__(self, by_hand, net):
        self.hand = by_hand(net.get_weights(), 0.1, weight_decay=0.01)

    def errors(self, x, y):
        flat = x.reshape(len(x), -1).astype("float64")
        scores = np.exp(flat @ self.hand.weights[0] + self.hand.weights[1])
        chances = scores / scores.sum(-1, keepdims=True)
        return flat, chances - np.eye(3)[y], -np.log(chances[np.arange(len(y)), y])

    def step(self, split, alpha, ceiling=np.inf, order=slice(None)):
        x, y = split.forget
        flat, up, loss = self.errors(np.tile(x, (2, 1, 1, 1))[order], np.tile(y, 2)[order])
        up *= (alpha - 1) * (loss < ceiling)[:, None] / len(up)
        flat_r, down, _ = self.errors(*split.retain)
        down *= alpha / len(down)
        for place, gradient in enumerate((flat.T @ up + flat_r.T @ down, up.sum(0) + down.sum(0))):
            self.hand.weights[place] *= 1 - 0.1 * 0.01
            self.hand.weights[place] -= 0.1 * gradient


@pytest.mark.parametrize("alpha", [0.95, 0.5])
def test_unbounded_it_equals_the_paper(net, split, by_hand, alpha):
    expected = Both(by_hand, net)  # 8 to retain in one batch, the 4 to forget twice beside them
    expected.step(split, alpha)
    result = methods.neggrad_plus(net, split, alpha=alpha, ceiling=None, **ONE)
    expected.hand.agrees(result)


def test_examples_above_the_ceiling_are_left_alone(net, split, by_hand):
    expected = Both(by_hand, net)
    losses = expected.errors(*split.forget)[2]
    ceiling = float(np.sort(losses)[1:3].mean())
    expected.step(split, 0.5, ceiling)
    expected.hand.agrees(methods.neggrad_plus(net, split, alpha=0.5, ceiling=ceiling, **ONE))


def norm_net():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            layers.Flatten(),
            layers.BatchNormalization(momentum=0.5),
            layers.Dense(3, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_batch_statistics_stay_or_come_from_the_retain_set(split):
    model = norm_net()
    frozen = methods.neggrad_plus(model, split, **ONE).layers[1]
    moved = methods.neggrad_plus(model, split, frozen_statistics=False, **ONE).layers[1]
    np.testing.assert_array_equal(frozen.moving_mean, np.zeros(4))
    mean = split.retain[0].reshape(-1, 4).mean(0)
    np.testing.assert_allclose(moved.moving_mean, 0.5 * mean, atol=1e-6)


def test_alpha_of_one_is_descent_on_the_retain_set(net, split, by_hand):
    expected = by_hand(net.get_weights(), 0.1, weight_decay=0.01)
    expected.step(*split.retain)
    expected.agrees(methods.neggrad_plus(net, split, alpha=1.0, **ONE))


@pytest.mark.parametrize("alpha", [-0.1, 1.5])
def test_other_weights_are_refused(net, split, alpha):
    with pytest.raises(ValueError, match=r"alpha: expected a weight in \[0, 1\]"):
        methods.neggrad_plus(net, split, alpha=alpha)
