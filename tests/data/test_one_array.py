"""Inputs that are no array of numbers: the error says what they are, and what gets one on."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods
from tfunlearn.data.one_array import one_array

X, META, Y = np.ones((6, 8), "float32"), np.ones((6, 3), "float32"), np.arange(6) % 2
WORDS = np.array(["good film", "poor plot"] * 3)
SEVERAL = {
    "dict": {"image": X, "meta": META},
    "list": [X, META],
    "tuple": (X, META),
}
TEXTS = {
    "U": WORDS,
    "object": WORDS.astype(object),
    "column": WORDS[:, None],
    "bytes": WORDS.astype("S"),
}


@pytest.mark.parametrize("x", SEVERAL.values(), ids=SEVERAL)
def test_several_inputs_are_refused_by_name(x):
    with pytest.raises(TypeError, match="x: several inputs are not supported") as caught:
        data.by_index(x, Y, forget=[0], test=(X, Y))
    assert ("'image', 'meta'" in str(caught.value)) == isinstance(x, dict)


@pytest.mark.parametrize("x", TEXTS.values(), ids=TEXTS)
def test_texts_are_refused_by_name(x):
    with pytest.raises(TypeError, match=r"x: texts are not supported.*TextVectorization"):
        data.by_index(x, Y, forget=[0], test=(x, Y))


def test_several_inputs_and_texts_of_streams():
    import tensorflow as tf

    for parts, words in (
        ({"image": X, "meta": META}, "several inputs"),
        (WORDS, "texts"),
        (WORDS[:, None], "texts"),
    ):
        stream = tf.data.Dataset.from_tensor_slices((parts, Y)).batch(4)
        with pytest.raises(ValueError, match=f"dataset: {words} are not supported"):
            data.from_dataset(stream, forget=[0], test=(X, Y))


def test_a_model_with_several_inputs_is_refused_by_their_names():
    image, meta = keras.Input((8,), name="image"), keras.Input((3,), name="meta")
    joined = keras.layers.Concatenate()([image, meta])
    model = keras.Model([image, meta], keras.layers.Dense(2, activation="softmax")(joined))
    model.compile("sgd", "sparse_categorical_crossentropy")
    split = data.by_index(X, Y, forget=[0, 3], test=(X, Y), duplicates="keep")
    with pytest.raises(ValueError, match=r"several inputs.*\['image', 'meta'\]"):
        methods.finetune(model, split)


def test_a_list_of_examples_is_an_array():
    rows = [np.full(4, number) for number in range(3)]
    np.testing.assert_array_equal(one_array(rows, "x"), np.stack(rows))
    np.testing.assert_array_equal(one_array([[1, 2], [3, 4]], "x"), [[1, 2], [3, 4]])
