import re

import keras
import numpy as np
import pytest

from tfunlearn import models
from tfunlearn.models import gives_logits, logits_model, logits_reader, num_classes

L = keras.layers
BATCH = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")


def sequential(*head):
    return keras.Sequential([keras.Input((6,)), L.Dense(8, activation="relu"), *head], name="net")


def functional(*head):
    inputs = keras.Input((6,))
    outputs = L.Dense(8, activation="relu")(inputs)
    for layer in head:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs, name="net")


def nested(build):
    """A model whose head is the last layer of a nested model."""

    def make(*head):
        inner = keras.Sequential([keras.Input((8,)), *head], name="inner")
        return build(inner)

    return make


HEADS = {
    "linear": lambda: [L.Dense(3)],
    "softmax": lambda: [L.Dense(3, activation="softmax")],
    "Activation": lambda: [L.Dense(3), L.Activation("softmax")],
    "Activation linear": lambda: [L.Dense(3), L.Activation("linear")],
    "Softmax": lambda: [L.Dense(3), L.Softmax()],
}
BUILDS = {
    "sequential": sequential,
    "functional": functional,
    "nested in sequential": nested(sequential),
    "nested in functional": nested(functional),
}


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("head", HEADS)
def test_softmax_of_the_logits_is_the_output(build, head):
    model = BUILDS[build](*HEADS[head]())
    model.set_weights([weight * 3 for weight in model.get_weights()])
    given = model(BATCH).numpy()
    assert gives_logits(model) == ("inear" in head)
    if head == "Softmax" and "nested" in build:
        with pytest.raises(ValueError, match="inside a nested model cannot be taken off"):
            logits_model(model)
        return
    twin = logits_model(model)
    logits = twin(BATCH).numpy()
    expected = logits if "inear" in head else softmax(logits)
    np.testing.assert_allclose(expected, given, atol=1e-5)
    assert (logits < 0).any()
    np.testing.assert_array_equal(model(BATCH).numpy(), given)  # the model is as it was
    assert not twin.compiled
    assert not {id(weight) for weight in twin.weights} & {id(weight) for weight in model.weights}
    np.testing.assert_allclose(twin.predict(BATCH, verbose=0), logits, atol=1e-6)


@pytest.mark.parametrize("build", ["sequential", "functional", "nested in functional"])
@pytest.mark.parametrize("head", ["linear", "softmax", "Activation", "Activation linear"])
def test_a_reader_is_the_model_itself_where_that_gives_logits(build, head):
    model = BUILDS[build](*HEADS[head]())
    reader = logits_reader(model)
    assert (reader is model) == ("inear" in head)
    np.testing.assert_array_equal(reader(BATCH).numpy(), logits_model(model)(BATCH).numpy())


def test_saturated_probabilities_become_useful_logits():
    model = sequential(L.Dense(3, activation="softmax"))
    model.set_weights([weight * 600 for weight in model.get_weights()])
    assert model(BATCH).numpy().max() == 1.0
    logits = logits_model(model)(BATCH).numpy()
    assert len(np.unique(logits.max(-1))) == len(BATCH)


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "log_softmax", "tanh"])
@pytest.mark.parametrize("ask", [logits_model, logits_reader, gives_logits])
def test_other_activations_are_refused(activation, ask):
    model = sequential(L.Dense(3, activation=activation, name="head"))
    with pytest.raises(ValueError, match="its logits cannot be read") as caught:
        ask(model)
    for word in ("Dense", "'head'", activation):
        assert word in str(caught.value)


def test_a_layer_without_activation_is_refused():
    with pytest.raises(ValueError, match=r"its logits cannot be read.*Flatten"):
        logits_model(sequential(L.Flatten()))


class Gated(keras.Model):
    """Ends in a softmax that no layer at the end of its list of layers shows."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = L.Dense(3, activation="softmax")
        self.body = L.Dense(4)

    def call(self, inputs):
        return self.head(self.body(inputs))

    def get_config(self):
        return {"name": self.name}


class Mixed(Gated):
    """Its last layer has a softmax that is not the output's."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gate = L.Dense(4, activation="softmax")

    def call(self, inputs):
        return self.head(self.gate(self.body(inputs)))


@pytest.mark.parametrize("ask", [logits_model, logits_reader])
@pytest.mark.parametrize("kind", [Gated, Mixed])
def test_hidden_probabilities_are_refused(kind, ask):
    model = kind()
    model(BATCH)
    with pytest.raises(ValueError, match=r"its logits cannot be read.*still a row of probab"):
        ask(model)


class Ordered(Gated):
    def __init__(self, **kwargs):
        keras.Model.__init__(self, **kwargs)
        self.body = L.Dense(4)
        self.head = L.Dense(3, activation="softmax")


def test_subclassed_model():
    model = Ordered()
    model(BATCH)
    np.testing.assert_allclose(
        softmax(logits_model(model)(BATCH).numpy()), model(BATCH).numpy(), atol=1e-5
    )
    assert num_classes(model) == 3


def test_mixed_precision():
    model = functional(L.Dense(3, dtype="mixed_float16"), L.Activation("softmax", dtype="float32"))
    logits = logits_model(model)(BATCH).numpy()
    np.testing.assert_allclose(softmax(logits), model(BATCH).numpy(), atol=1e-5)


def test_number_of_classes():
    assert num_classes(sequential(L.Dense(3))) == 3
    assert num_classes(functional(L.Dense(7, activation="softmax"))) == 7
    assert num_classes(models.mnist_dense(num_classes=4)) == 4


@pytest.mark.parametrize(
    ("head", "word"),
    [
        ([L.Dense(1, activation="sigmoid")], "single sigmoid unit"),
        ([L.Dense(4), L.Reshape((2, 2))], "(None, 2, 2)"),
    ],
)
def test_outputs_that_are_no_row_of_scores(head, word):
    with pytest.raises(ValueError, match="model: expected") as caught:
        num_classes(sequential(*head))
    assert word in str(caught.value)


def test_a_sigmoid_is_the_two_outputs_that_the_error_gives():
    one = sequential(L.Dense(1, activation="sigmoid"))
    two = sequential(L.Dense(2, activation="softmax"))
    two.layers[0].set_weights(one.layers[0].get_weights())
    w, b = np.random.default_rng(1).normal(size=(8, 1)), np.array([0.5])
    one.layers[1].set_weights([w, b])
    two.layers[1].set_weights([np.hstack([0 * w, w]), np.hstack([0, b])])
    x = np.random.default_rng(0).normal(size=(20, 6))
    np.testing.assert_allclose(two(x)[:, 1:], one(x), atol=1e-6)
    with pytest.raises(ValueError, match=re.escape("kernel np.hstack([0 * w, w])")):
        num_classes(one)


def test_several_outputs_have_no_number_of_classes():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, [L.Dense(2)(inputs), L.Dense(2)(inputs)])
    with pytest.raises(ValueError, match="one output of shape"):
        num_classes(model)


@pytest.mark.parametrize("ask", [num_classes, gives_logits, logits_model, logits_reader])
def test_unbuilt_and_foreign_models(ask):
    with pytest.raises(ValueError, match="must be built"):
        ask(keras.Sequential([L.Dense(3)]))
    with pytest.raises(TypeError, match=r"model: expected a keras\.Model.*str"):
        ask("model")


def test_softmax_before_a_linear_activation_gives_no_logits():
    head = [keras.Input((4,)), keras.layers.Dense(3, activation="softmax")]
    assert models.gives_logits(keras.Sequential([*head[:1], keras.layers.Dense(3)]))
    assert not models.gives_logits(keras.Sequential(head))
    assert not models.gives_logits(
        keras.Sequential([*head, keras.layers.Activation("linear", dtype="float32")])
    )
