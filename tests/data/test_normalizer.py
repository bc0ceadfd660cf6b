import keras
import numpy as np
import pytest
import tensorflow as tf

from tfunlearn.data import Normalizer, by_index

CIFAR_MEAN = np.array([0.4914, 0.4822, 0.4465])
CIFAR_STD = np.array([0.2023, 0.1994, 0.2010])
EVERY = np.arange(256, dtype="uint8")
COLOURS = np.stack([EVERY, EVERY[::-1], np.roll(EVERY, 99)], -1).reshape(1, 16, 16, 3)


def as_the_notebook_does(name, pixels):
    """The two stock layers of the notebooks: Rescaling, then Normalization by variance."""
    mean, stddev = {"mnist": ([0.5], [0.5]), "cifar10": (CIFAR_MEAN, CIFAR_STD)}[name]
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    layer = keras.layers.Normalization(mean=list(mean), variance=list(np.square(stddev)))
    return keras.ops.convert_to_numpy(layer(scaled))


def test_golden_numbers():
    mnist = Normalizer.named("mnist")(np.array([[0], [51], [255]], "uint8"))
    np.testing.assert_allclose(mnist.ravel(), [-1.0, -0.6, 1.0], atol=1e-6)
    pixel = np.array([[0, 255, 102]], "uint8")  # (0-.4914)/.2023, (1-.4822)/.1994, (.4-.4465)/.2010
    np.testing.assert_allclose(
        Normalizer.named("cifar10")(pixel), [[-2.4290657, 2.5967904, -0.2313433]], rtol=1e-5
    )


def test_named_constants():
    assert Normalizer.named("cifar10") == Normalizer(tuple(CIFAR_MEAN), tuple(CIFAR_STD), 1 / 255)
    for name in ("mnist", "fashion_mnist", "digits"):
        assert Normalizer.named(name) == Normalizer(0.5, 0.5)
    with pytest.raises(ValueError, match=r"name: expected one of .*cifar10.*Received: 'imagenet'"):
        Normalizer.named("imagenet")


@pytest.mark.parametrize(
    ("name", "pixels"), [("cifar10", COLOURS), ("mnist", EVERY.reshape(1, 16, 16, 1))]
)
def test_agrees_with_the_layers_of_the_notebook(name, pixels):
    expected = as_the_notebook_does(name, pixels.astype("float32"))
    normalizer = Normalizer.named(name)
    for image in (pixels, tf.constant(pixels), keras.ops.convert_to_tensor(pixels)):
        result = normalizer(image)
        assert result.shape == pixels.shape
        np.testing.assert_allclose(np.asarray(result.__array__()), expected, atol=2e-6)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(normalizer.layer()(pixels)), expected, atol=2e-6
    )


@pytest.mark.parametrize("kind", ["numpy", "tensorflow"])
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_invert_gives_back_all_256_pixel_values(kind, name):
    pixels = COLOURS if name == "cifar10" else EVERY.reshape(1, 16, 16, 1)
    normalizer = Normalizer.named(name)
    image = pixels if kind == "numpy" else tf.constant(pixels)
    back = normalizer.invert(normalizer(image), dtype="uint8")
    if kind == "tensorflow":
        assert back.dtype == tf.uint8
        back = back.numpy()
    assert back.dtype == np.uint8
    assert np.array_equal(back, pixels)
    exact = normalizer.invert(normalizer(pixels))
    assert exact.dtype == np.float32
    np.testing.assert_allclose(exact, pixels, atol=1e-4)


def test_invert_rounds_and_clips():
    normalizer = Normalizer(0.0, 1.0, scale=1.0)
    values = np.array([[-3.0, 0.4, 0.6, 254.7, 300.0]], "float32")
    assert normalizer.invert(values, dtype="uint8").tolist() == [[0, 0, 1, 255, 255]]
    assert normalizer.invert(tf.constant(values), dtype="uint8").numpy().tolist() == [
        [0, 0, 1, 255, 255]
    ]
    np.testing.assert_array_equal(normalizer.invert(values), values)
    with pytest.raises(ValueError, match=r"dtype: expected 'float32' or 'uint8'.*'int8'"):
        normalizer.invert(values, dtype="int8")


def test_scale_of_one_leaves_floats():
    np.testing.assert_allclose(Normalizer(2.0, 4.0, scale=1.0)(np.array([[10.0]])), [[2.0]])


def test_in_dataset_map_on_image_and_label():
    labels = np.arange(1)
    dataset = tf.data.Dataset.from_tensor_slices((COLOURS, labels))
    ((image, label),) = dataset.map(Normalizer.named("cifar10")).as_numpy_iterator()
    assert image.dtype == np.float32
    assert label == 0
    np.testing.assert_array_equal(image, Normalizer.named("cifar10")(COLOURS)[0])
    (alone,) = dataset.map(lambda image, _: image).map(Normalizer.named("cifar10"))
    np.testing.assert_array_equal(alone.numpy(), image)


def test_as_transform_of_a_split():
    x = np.arange(8, dtype="uint8").reshape(8, 1, 1, 1)
    split = by_index(x, np.arange(8) % 2, forget=[0], test=(x, np.arange(8) % 2))
    ((images, labels),) = split.dataset("test", transform=Normalizer.named("mnist"))
    np.testing.assert_array_equal(images.numpy(), Normalizer.named("mnist")(x))
    assert labels.numpy().tolist() == [0, 1] * 4


def test_label_zero_is_a_label():
    image, label = Normalizer(0.5, 0.5)(np.zeros((1, 1)), 0)
    assert label == 0
    assert image.tolist() == [[-1.0]]


def test_layer_is_stock_and_survives_a_round_trip(tmp_path):
    layer = Normalizer.named("cifar10").layer(name="pixels")
    assert type(layer) is keras.layers.Rescaling
    assert layer.name == "pixels"
    model = keras.Sequential([keras.Input((16, 16, 3)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded(COLOURS).numpy(), Normalizer.named("cifar10")(COLOURS), atol=1e-6
    )


def test_input_is_not_changed():
    pixels = np.array([[1.0, 2.0]], "float32")
    Normalizer(0.5, 0.5)(pixels)
    Normalizer(0.5, 0.5).invert(pixels)
    assert pixels.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (((0.5, 0.5), (0.5,)), "Expected: 2. Received: 1"),
        ((0.5, 0.0), "positive"),
        ((0.5, -1.0), "positive"),
        (((0.5, 0.5), (0.5, 0.0)), "positive"),
        ((0.5, 0.5, 0.0), "positive"),
        ((0.5, 0.5, -1.0), "positive"),
    ],
)
def test_bad_constants(arguments, word):
    with pytest.raises(ValueError, match="stddev") as caught:
        Normalizer(*arguments)
    assert word in str(caught.value)


@pytest.mark.parametrize("shape", [(4, 4, 1), (3, 4, 4), ()])
def test_bad_channels(shape):
    normalizer = Normalizer.named("cifar10")
    for call in (normalizer, normalizer.invert):
        with pytest.raises(ValueError, match=r"image: .*3 channels.*Received an image of shape"):
            call(np.zeros(shape))


def test_frozen():
    with pytest.raises(AttributeError):
        Normalizer(0.5, 0.5).mean = 0.1
