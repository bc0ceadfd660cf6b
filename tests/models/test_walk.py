import keras
import numpy as np
import pytest

from tfunlearn import models
from tfunlearn.models import iter_layers

L = keras.layers


def names(model, kind=keras.layers.Layer):
    return [layer.name for layer in iter_layers(model) if isinstance(layer, kind)]


def test_through_nested_sequential_and_functional():
    deep = keras.Sequential([keras.Input((4,)), L.Dense(4, name="a")], name="deep")
    inputs = keras.Input((4,))
    middle = keras.Model(inputs, L.Dense(4, name="b")(deep(inputs)), name="middle")
    outer = keras.Sequential([keras.Input((4,)), middle, L.Dense(2, name="c")], name="outer")
    assert names(outer, L.Dense) == ["a", "b", "c"]
    assert names(outer, keras.Model) == ["middle", "deep"]  # containers are yielded, itself not
    assert [layer.name for layer in outer.layers] == ["middle", "c"]


def test_a_shared_layer_comes_once():
    shared = L.Dense(4, name="shared")
    block = keras.Sequential([keras.Input((4,)), shared], name="block")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(block(block(shared(inputs)))))
    assert names(model, L.Dense) == ["shared"]
    assert names(model).count("block") == 1


def test_through_wrappers():
    model = keras.Sequential(
        [
            keras.Input((5, 6)),
            L.TimeDistributed(L.Dense(3, name="timed")),
            L.Bidirectional(L.LSTM(2, name="memory")),
            L.Dense(2, name="head"),
        ]
    )
    assert names(model, L.Dense) == ["timed", "head"]
    assert len(names(model, L.LSTM)) == 2
    assert len(names(model, L.LSTMCell)) == 2
    found = {id(weight) for layer in iter_layers(model) for weight in layer.weights}
    assert found == {id(weight) for weight in model.weights}


class Block(keras.layers.Layer):
    """A layer that keeps sub-layers as an attribute, in a list and in a dict."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = L.Dense(3, name="first")
        self.rows = [L.Dense(3, name="listed"), [L.Dense(3, name="listed_deeper")]]
        self.table = {"key": L.Dense(3, name="keyed")}

    def call(self, inputs):
        hidden = self.rows[1][0](self.rows[0](self.first(inputs)))
        return self.table["key"](hidden)


def test_through_a_layer_of_ones_own():
    model = keras.Sequential([keras.Input((4,)), Block(name="block"), L.Dense(2, name="head")])
    assert sorted(names(model, L.Dense)) == ["first", "head", "keyed", "listed", "listed_deeper"]
    assert names(Block(name="alone"), L.Dense) == ["first", "listed", "listed_deeper", "keyed"]


def test_through_attention():
    layer = L.MultiHeadAttention(2, 3)
    layer(np.zeros((1, 4, 5), "float32"), np.zeros((1, 4, 5), "float32"))
    assert len(names(layer, L.EinsumDense)) == 4


def test_each_once_and_every_weight_found():
    model = models.small_cnn(seed=0)
    layers = list(iter_layers(model))
    assert len({id(layer) for layer in layers}) == len(layers)
    assert names(model, L.Conv2D)[0] == "stem"
    assert len(names(model, L.Conv2D)) == 3
    assert len([layer for layer in model.layers if isinstance(layer, L.Conv2D)]) == 1


def test_unbuilt_sequential():
    model = keras.Sequential([L.Dense(3, name="one"), L.Dense(2, name="two")])
    assert names(model) == ["one", "two"]


@pytest.mark.parametrize("model", [None, "model", [L.Dense(2)], keras.losses.MeanSquaredError()])
def test_refuses_what_is_no_layer(model):
    with pytest.raises(TypeError, match="model: expected a Keras model or layer"):
        list(iter_layers(model))
