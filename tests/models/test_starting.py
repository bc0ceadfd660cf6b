"""A pretrained start: what is taken, what is drawn from the seed, and what cannot be one."""

import keras
import numpy as np
import pytest

from tfunlearn import models
from tfunlearn.models import Start

L = keras.layers


def backbone(seed):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((6,)), L.Dense(5, "relu", name="stem"), L.BatchNormalization(name="norm")]
    return keras.Sequential(layers, name="backbone")


def whole(seed, classes=3, frozen=()):
    net = keras.Sequential(
        [keras.Input((6,)), backbone(seed), L.Dropout(0.2), L.Dense(classes, name="head")]
    )
    for layer in models.iter_layers(net):
        if layer.name in frozen:
            layer.trainable = False
    return net


def weights_of(model, name):
    [layer] = [layer for layer in models.iter_layers(model) if layer.name == name]
    return layer.get_weights()


def assert_equal(left, right):
    assert len(left) == len(right) > 0
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_of_the_same_architecture_is_taken():
    net, before = whole(0), whole(1)
    start = Start.of(net, before)
    assert start.drawn == start.fresh == ()
    for seed in (3, 4):
        assert_equal(start(seed).get_weights(), before.get_weights())
    assert "all weights are taken" in str(start)


@pytest.mark.parametrize("initial", ["other head", "backbone", "named"])
def test_a_head_is_drawn_from_the_seed(initial):
    net = whole(0)
    before = {"other head": whole(1, classes=9), "backbone": backbone(1), "named": whole(1)}[
        initial
    ]
    start = Start.of(net, before, fresh="head" if initial == "named" else ())
    assert start.fresh == ("head",)
    one, again, other = start(3), start(3), start(4)
    for name in ("stem", "norm"):
        assert_equal(weights_of(one, name), weights_of(before, name))
        assert_equal(weights_of(other, name), weights_of(before, name))
    assert_equal(weights_of(one, "head"), weights_of(again, "head"))
    assert_equal(weights_of(one, "head"), weights_of(models.reinitialized(net, seed=3), "head"))
    assert not np.array_equal(weights_of(one, "head")[0], weights_of(other, "head")[0])
    assert not np.array_equal(weights_of(one, "head")[0], weights_of(net, "head")[0])
    assert str(start) == "initial: its weights are taken; drawn from the seed: head"


def test_flags_are_the_models_own_and_frozen_layers_are_the_starts():
    net, before = whole(0, frozen=("stem",)), whole(1)
    made = Start.of(net, before)(2)
    assert [layer.trainable for layer in models.iter_layers(made)] == [
        layer.trainable for layer in models.iter_layers(net)
    ]
    assert_equal(weights_of(made, "stem"), weights_of(before, "stem"))


def test_a_frozen_backbone_that_is_the_originals_is_no_error():
    frozen = ("stem", "norm")
    net = whole(0, frozen=frozen)
    before = models.copy(net)
    assert Start.of(net, before, fresh=["head"]).fresh == ("head",)


def broken():
    net = whole(1)
    net.set_weights([np.full_like(weight, np.nan) for weight in net.get_weights()])
    return net


@pytest.mark.parametrize(
    ("initial", "fresh", "kind", "words"),
    [
        (lambda net: models.copy(net), (), ValueError, "the original's own weights"),
        (lambda net: broken(), (), ValueError, "initial: expected finite weights"),
        (lambda net: "w.keras", (), TypeError, "initial: expected a built keras.Model"),
        (lambda net: whole(1), ["haed"], ValueError, "fresh: expected names .*head.*'haed'"),
        (lambda net: whole(1), ["backbone", "head"], ValueError, "nothing of it is taken"),
        (lambda net: models.mnist_dense(4), (), ValueError, "nothing of it is taken"),
    ],
)
def test_what_is_no_start_is_an_error(initial, fresh, kind, words):
    net = whole(0)
    with pytest.raises(kind, match=words):
        Start.of(net, initial(net), fresh=fresh)


def test_a_frozen_layer_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"fresh: a frozen layer .* Received: head"):
        Start.of(whole(0, frozen=("head",)), whole(1), fresh="head")
