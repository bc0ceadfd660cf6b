"""Outputs read inside one graph are those of `predict`, and of a computation by hand."""

import keras
import numpy as np
import pytest

from tfunlearn import data, models
from tfunlearn.audit import outputs
from tfunlearn.audit.outputs_in_graph import GraphReader, readable_rows

L = keras.layers
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="graphs are TensorFlow's"
)


def make_split(shape=(6,), dtype="float32", size=40):
    numbers = np.random.default_rng(0)
    x = (40 * numbers.normal(size=(size, *shape)) + 100).clip(0, 255).astype(dtype)
    y = numbers.integers(0, 3, size)
    return data.by_index(x, y, forget=range(0, 16, 2), test=(x[:5], y[:5]))


def make_net(*layers, shape=(6,), dtype="float32", head=None):
    keras.utils.set_random_seed(1)
    scaled = L.Rescaling(1 / 255)
    head = L.Dense(3) if head is None else head
    return keras.Sequential([keras.Input(shape, dtype=dtype), scaled, *layers, head])


def stream(split, role="retain", batch_size=8):
    return data.batches(split, role, batch_size=batch_size)


IMAGE = (6, 6, 1)
CASES = {
    "dense": lambda: (make_net(L.Dense(8, "relu"), L.Dropout(0.5)), make_split()),
    "softmax": lambda: (make_net(head=L.Dense(3, "softmax")), make_split()),
    "images": lambda: (
        make_net(L.Conv2D(4, 3), L.BatchNormalization(), L.Flatten(), shape=IMAGE, dtype="uint8"),
        make_split(IMAGE, "uint8"),
    ),
    "half": lambda: (make_net(L.Dense(4, dtype="mixed_float16")), make_split()),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_outputs_are_those_of_predict_to_the_byte(case):
    net, split = CASES[case]()
    reader = GraphReader(net)
    for role, batch_size in [("retain", 8), ("retain", 5), ("forget", 8), ("test", 8)]:
        batches = stream(split, role, batch_size)  # whole batches, a smaller last one, that alone
        expected = net.predict(batches, verbose=0)
        found = reader.read(readable_rows(net, batches))
        assert found.dtype == expected.dtype
        assert found.tobytes() == expected.tobytes()


def test_outputs_are_those_of_a_computation_by_hand():
    net, split = make_net(L.Dense(4, "relu")), make_split()
    first, bias, last, shift = (weight.astype("float64") for weight in net.get_weights())
    inputs = split.retain[0].astype("float64") / 255
    expected = np.maximum(inputs @ first + bias, 0) @ last + shift
    found = GraphReader(net).read(readable_rows(net, stream(split)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_graph_is_traced_once_and_follows_the_weights():
    net, split = make_net(L.Dense(4, "relu")), make_split()
    batches, reader = stream(split), GraphReader(net)
    reader.read(readable_rows(net, batches))
    net.set_weights([weight + 1 for weight in net.get_weights()])
    expected = net.predict(batches, verbose=0)
    np.testing.assert_array_equal(reader.read(readable_rows(net, batches)), expected)
    for role in ("forget", "test", "retain"):
        reader.read(readable_rows(net, stream(split, role, 7)))
    [run] = reader._runs.values()
    assert run.experimental_get_tracing_count() == 1  # any number of examples, batches of any size


def test_logits_are_read_there(monkeypatch):
    net, split = make_net(head=L.Dense(3, "softmax")), make_split()
    expected = models.logits_model(net).predict(stream(split), verbose=0)
    monkeypatch.setattr(keras.Model, "predict", None)
    np.testing.assert_allclose(outputs.logits(net, split, "retain"), expected, atol=1e-6)


class Own(keras.Sequential):
    def predict_step(self, data):
        return 2 * super().predict_step(data)


def test_what_is_left_to_predict():
    net, split = make_net(), make_split()
    batches = stream(split)
    assert readable_rows(net, batches) is not None
    assert readable_rows(net, batches.map(lambda x, y: (x, y))) is None
    assert readable_rows(net, split.retain[0]) is None
    assert readable_rows(net, data.batches(split, "retain", named=True)) is None
    assert readable_rows(Own([keras.Input((6,)), L.Dense(3)]), batches) is None
    inputs = keras.Input((6,))
    two = keras.Model(inputs, [L.Dense(3)(inputs), L.Dense(2)(inputs)])
    assert readable_rows(two, batches) is None
