"""Inputs of whole numbers: the model was trained on exactly these arrays."""

import keras
import numpy as np
import pytest

from tfunlearn import data, gradients, methods, models, unlearn
from tfunlearn.methods.checks import check

L = keras.layers
Y = np.arange(48) % 3
X = np.random.default_rng(0).integers(0, 80, (48, 6, 6, 3)) + 80 * Y[:, None, None, None]


class Scaled(keras.Model):
    """A model of one's own, whose preprocessing no list of layers shows."""

    def __init__(self):
        super().__init__()
        self.flatten, self.head = L.Flatten(), L.Dense(3)

    def call(self, x):
        return self.head(self.flatten(keras.ops.cast(x, "float32") / 255.0))


def _functional(first, dtype="float32"):
    inputs = keras.Input((6, 6, 3), dtype=dtype)
    return keras.Model(inputs, L.Dense(3)(L.Flatten()(first(inputs))))


def _own():
    model = Scaled()
    model(X[:1].astype("uint8"))
    return model


HEADS = {
    "mobilenet": lambda: _functional(keras.applications.mobilenet_v2.preprocess_input),
    "resnet": lambda: _functional(keras.applications.resnet50.preprocess_input),
    "operator": lambda: _functional(lambda x: x / 255.0),
    "cast": lambda: _functional(lambda x: keras.ops.cast(x, "float32") / 255.0),
    "batch normalisation": lambda: _functional(L.BatchNormalization()),
    "raw": lambda: _functional(lambda x: x),
    "whole numbers": lambda: _functional(lambda x: keras.ops.cast(x, "float32"), "uint8"),
    "own class": _own,
}


def _compiled(head, rate=1e-3):
    keras.utils.set_random_seed(0)
    model = HEADS[head]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss)
    return model


def _split(kind="uint8", classes=False):
    x, test = X.astype(kind), (X[:9].astype(kind), Y[:9])
    if classes:
        return data.by_class(x, Y, classes=[1], test=test)
    return data.by_index(x, Y, forget=range(6), test=test)


@pytest.mark.parametrize("kind", ["uint8", "int32"])
@pytest.mark.parametrize("head", HEADS)
def test_whole_numbers_are_taken_as_they_are(head, kind):
    check(_compiled(head), _split(kind), {"retain", "forget"})


@pytest.mark.parametrize("head", ["mobilenet", "operator", "raw"])
def test_training_on_pixels_is_keras_own_training_on_them(head):
    model, split = _compiled(head, 1e-3), _split()
    result = unlearn(model, split, "finetune", epochs=1, batch_size=48)
    twin = models.copy(model)
    twin.compile(keras.optimizers.SGD(1e-3), model.loss)
    twin.fit(*split.retain, batch_size=48, verbose=0)
    for got, expected in zip(result.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("method", ["mu_mis", "boundary_shrink"])
def test_pixels_have_a_gradient_where_the_model_takes_floats(method):
    options = {"epochs": 1, "k": 1, "learning_rate": 1e-4, "stop_accuracy": None}
    pixels, floats = (
        methods.describe(method).function(
            _compiled("operator"), _split(kind, method == "boundary_shrink"), **options
        )
        for kind in ("uint8", "float32")
    )
    for one, other in zip(pixels.get_weights(), floats.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(ValueError, match=r"x: expected floating point inputs.*uint8"):
        methods.describe(method).function(
            _compiled("whole numbers"), _split("uint8", method == "boundary_shrink"), **options
        )


def test_token_ids_stay_whole_numbers():
    net = keras.Sequential([keras.Input((4,)), L.Embedding(5, 2), L.Flatten(), L.Dense(3)])
    ids = np.ones((2, 4), "int32")
    assert "int" in keras.backend.standardize_dtype(gradients.as_floats(net, ids).dtype)
