import random

import keras
import numpy as np
import pytest

from tfunlearn.models.seeding import seeded


def kernel():
    layer = keras.layers.Dense(4)
    layer.build((None, 3))
    return np.asarray(layer.kernel.numpy()).tobytes()


def test_same_seed_same_weights():
    drawn = []
    for seed in (3, 3, 4):
        with seeded(seed):
            drawn.append((kernel(), kernel()))
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert drawn[0][0] != drawn[0][1]


def test_dropout_masks_follow_the_seed():
    masks = []
    for _ in range(2):
        with seeded(5):
            layer = keras.layers.Dropout(0.5)
        masks.append(layer(np.ones((4, 9), "float32"), training=True).numpy().tobytes())
    assert masks[0] == masks[1]


def test_state_outside_is_put_back():
    random.seed(8)
    expected = [random.random() for _ in range(3)]
    random.seed(8)
    received = [random.random()]
    with seeded(1):
        random.random()
    received.append(random.random())
    with pytest.raises(KeyError), seeded(1):
        raise KeyError("inside")
    received.append(random.random())
    assert received == expected


def test_none_leaves_the_draw_as_it_is():
    random.seed(8)
    expected = random.random()
    random.seed(8)
    with seeded(None):
        assert random.random() == expected


def test_numpy_integers_are_seeds():
    with seeded(np.int64(3)):
        one = random.random()
    with seeded(3):
        assert random.random() == one
