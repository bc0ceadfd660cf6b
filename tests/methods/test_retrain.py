"""Retraining is plain Keras training of a fresh model on the retain set."""

import numpy as np
import pytest

from tfunlearn import methods, models


def _bytes(model):
    return [weight.tobytes() for weight in model.get_weights()]


def test_equals_plain_keras(dropout_net, split):
    result = methods.retrain(dropout_net, split, seed=4, epochs=3, batch_size=3)
    plain = models.reinitialized(dropout_net, seed=4)
    plain.compile(type(dropout_net.optimizer)(0.01), dropout_net.loss)
    stream = split.dataset("retain", batch_size=3, shuffle=True, seed=4)
    plain.fit(stream, epochs=3, shuffle=False, verbose=0)
    assert _bytes(result) == _bytes(plain)


def test_starts_from_other_weights_than_the_original(net, split):
    kwargs = {"epochs": 1, "batch_size": 8}
    first = methods.retrain(net, split, **kwargs)
    net.set_weights([weight + 1 for weight in net.get_weights()])
    assert _bytes(methods.retrain(net, split, **kwargs)) == _bytes(first)


def test_frozen_layers_keep_their_weights(dropout_net, split):
    dropout_net.layers[1].trainable = False
    result = methods.retrain(dropout_net, split, epochs=1, batch_size=8)
    kept, drawn = result.layers[1], result.layers[-1]
    np.testing.assert_array_equal(kept.kernel, dropout_net.layers[1].kernel)
    assert not np.array_equal(drawn.kernel, dropout_net.layers[-1].kernel)
    assert not kept.trainable


def test_initialize_gives_the_start(net, split, by_hand):
    start, seeds = models.reinitialized(net, seed=9), []
    before = start.get_weights()

    def initialize(seed):
        seeds.append(seed)
        return start

    result = methods.retrain(net, split, seed=2, epochs=1, batch_size=8, initialize=initialize)
    expected = by_hand(before, 0.1, weight_decay=0.01)
    expected.step(*split.retain)
    expected.agrees(result)
    assert seeds == [2]
    assert [w.tobytes() for w in before] == _bytes(start)  # what was handed in is not trained


def test_initialize_must_give_a_model(net, split):
    with pytest.raises(TypeError, match=r"model: expected a keras.Model. Received: NoneType"):
        methods.retrain(net, split, initialize=lambda seed: None)
