"""Small images for reports: the pixels, and what is done to large ones, against a loop."""

import base64
import io
import math

import numpy as np
import pytest
from matplotlib import image as matplotlib_image

from tfunlearn.audit.thumbnail import thumbnail


def pixels_of(text):
    """Returns an image of a report as numbers from 0 to 255."""
    found = matplotlib_image.imread(io.BytesIO(base64.b64decode(text)), format="png")
    return np.rint(255 * found)


def drawn(shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


def reduced(image):
    """Returns what an image should become, pixel by pixel."""
    step = math.ceil(max(image.shape[:2]) / 64)
    lines = []
    for top in range(0, image.shape[0], step):
        line = []
        for left in range(0, image.shape[1], step):
            line.append(image[top : top + step, left : left + step].mean(axis=(0, 1)))
        lines.append(line)
    return np.squeeze(np.array(lines, "float64"))


@pytest.mark.parametrize("shape", [(28, 28), (8, 8, 1), (32, 32, 3), (64, 64), (3, 64, 3)])
def test_a_small_image_stays_as_it_is(shape):
    image = drawn(shape)
    np.testing.assert_array_equal(pixels_of(thumbnail(image)), np.squeeze(image))


def test_numbers_of_zero_to_one_become_bytes():
    image = np.array([[0.0, 1.0, 0.5], [0.1, 1 / 255, 0.9999]])
    expected = [[0, 255, 128], [26, 1, 255]]  # 127.5 goes to the even side, as 25.5 does
    for dtype in ("float32", "float64"):
        np.testing.assert_array_equal(pixels_of(thumbnail(image.astype(dtype))), expected)


@pytest.mark.parametrize(
    ("shape", "small"),
    [
        ((65, 10), (33, 5)),
        ((128, 128, 3), (64, 64, 3)),
        ((129, 64), (43, 22)),
        ((300, 200, 3), (60, 40, 3)),
        ((70, 131, 1), (24, 44)),
    ],
)
def test_a_large_image_becomes_means_of_blocks(shape, small):
    image = drawn(shape)
    found = pixels_of(thumbnail(image))
    assert found.shape == small
    assert np.abs(found - reduced(image)).max() <= 0.5


def test_blocks_by_hand():
    image = np.zeros((2, 66))
    image[0, 0], image[:, 64:] = 1.0, 0.5
    found = pixels_of(thumbnail(image))
    assert found.shape == (1, 33)
    assert found[0, [0, 1, 32]].tolist() == [64, 0, 128]  # 255 / 4, nothing, 255 / 2


def test_the_image_is_not_changed():
    image = drawn((100, 100, 3))
    before = image.copy()
    thumbnail(image)
    np.testing.assert_array_equal(image, before)
