"""Rounded weights against explicit loops over the output channels of every kind of layer."""

import keras
import numpy as np
import pytest

from tfunlearn import models, probes

layers = keras.layers


def round_channel(channel):
    """Rounds one output channel to multiples of a 127th of its largest weight, one by one."""
    step = max(abs(float(weight)) for weight in channel.ravel()) / 127
    if step == 0:
        return channel
    rounded = [round(float(weight) / step) * step for weight in channel.ravel()]
    return np.array(rounded).reshape(channel.shape)


def by_hand(kernel, axes):
    """Rounds every output channel of a kernel, whose numbers stand on some axes."""
    result = np.empty(kernel.shape)
    for place in np.ndindex(*(kernel.shape[axis] for axis in axes)):
        at = [slice(None)] * kernel.ndim
        for axis, number in zip(axes, place, strict=True):
            at[axis] = number
        result[tuple(at)] = round_channel(kernel[tuple(at)])
    return result


def filled(model, seed=0):
    """Returns a model with random weights everywhere, statistics and biases included."""
    numbers = np.random.default_rng(seed)
    model.set_weights([numbers.uniform(-2, 2, weight.shape) for weight in model.get_weights()])
    return model


def net(*stack, shape=(6, 6, 4)):
    return filled(keras.Sequential([keras.Input(shape), *stack]))


CASES = {
    "Dense": (lambda: net(layers.Dense(5), shape=(7,)), {"kernel": (1,)}),
    "Conv1D": (lambda: net(layers.Conv1D(5, 3), shape=(9, 4)), {"kernel": (2,)}),
    "Conv2D": (lambda: net(layers.Conv2D(5, 3)), {"kernel": (3,)}),
    "Conv2DTranspose": (lambda: net(layers.Conv2DTranspose(5, 3)), {"kernel": (2,)}),
    "DepthwiseConv2D": (
        lambda: net(layers.DepthwiseConv2D(3, depth_multiplier=2)),
        {"kernel": (2, 3)},
    ),
    "SeparableConv2D": (
        lambda: net(layers.SeparableConv2D(5, 3, depth_multiplier=2)),
        {"depthwise_kernel": (2, 3), "pointwise_kernel": (3,)},
    ),
    "Embedding": (lambda: net(layers.Embedding(8, 3), shape=(2,)), {"embeddings": (0,)}),
    "EinsumDense": (
        lambda: net(layers.EinsumDense("abc,cde->abde", (None, 2, 5)), shape=(3, 4)),
        {"kernel": (1, 2)},
    ),
    "EinsumDense twice": (
        lambda: net(layers.EinsumDense("abcd,cde->abe", (None, 5)), shape=(3, 4, 2)),
        {"kernel": (2,)},
    ),
    "GRU": (
        lambda: net(layers.GRU(3), shape=(5, 4)),
        {"kernel": (1,), "recurrent_kernel": (1,)},  # and its bias of two rows
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_int8_equals_a_loop_over_the_channels(kind):
    build, axes = CASES[kind]
    model = build()
    twin = probes.quantized(model, "int8")
    seen = set()
    for old, new in zip(model.weights, twin.weights, strict=True):
        before, after = (keras.ops.convert_to_numpy(weight) for weight in (old, new))
        if old.name in axes:
            seen.add(old.name)
            expected = by_hand(before.astype("float64"), axes[old.name])
            np.testing.assert_allclose(after, expected.astype("float32"), rtol=1e-6, atol=1e-7)
            assert not np.array_equal(before, after)
        else:
            assert np.array_equal(before, after), old.path
    assert seen == set(axes)


def test_int8_by_hand():
    """Steps of 1 and of 2; ties go to the even number; a channel of zeros stays."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    kernel = np.array([[127.0, -254, 0], [0.5, 5, 0], [1.5, -3, 0], [-0.49, 0.9, 0]])
    model.set_weights([kernel, np.array([0.123, 0.5, 1e-9])])
    rounded, bias = probes.quantized(model, "int8").get_weights()
    assert rounded.tolist() == [[127, -254, 0], [0, 4, 0], [2, -4, 0], [0, 0, 0]]
    assert np.array_equal(bias, model.get_weights()[1])


def test_float16_equals_numpy():
    model = net(layers.Conv2D(5, 3), layers.Flatten(), layers.Dense(3))
    twin = probes.quantized(model)
    for old, new in zip(model.get_weights(), twin.get_weights(), strict=True):
        expected = old.astype("float16").astype("float32") if old.ndim > 1 else old
        assert np.array_equal(new, expected)
        assert new.dtype == "float32"


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_nested_models_and_what_is_kept(dtype):
    model = filled(models.small_cnn(seed=0, filters=4))
    for layer in models.iter_layers(model):
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.full(layer.moving_variance.shape, 1 / 3))
    model.compile("adam", "mse")
    twin = probes.quantized(model, dtype)
    assert type(twin) is type(model)
    assert not twin.compiled
    for old, new in zip(model.weights, twin.weights, strict=True):
        assert np.array_equal(old, new) == (len(old.shape) == 1), old.path
    again = probes.quantized(twin, dtype)
    assert models.weight_distance(twin, again) < 1e-5  # rounded once, rounded for good
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1))
    assert np.isfinite(twin.predict(x, verbose=0)).all()


def test_normalisation_is_not_rounded():
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).normal(size=(50, 3)) / 3)
    stack = [norm, layers.LayerNormalization(), layers.PReLU(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *stack])
    twin = probes.quantized(model, "int8")
    pairs = zip(model.weights, twin.weights, strict=True)
    moved = [old.path for old, new in pairs if not np.array_equal(old, new)]
    assert moved == [model.layers[-1].kernel.path]


def test_attention_and_layers_of_ones_own():
    class Own(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight((3, shape[-1], 2), name="table")
            self.count = self.add_weight((2, 2), dtype="int32", name="count", initializer="ones")

        def call(self, x):
            return keras.ops.einsum("bsd,kdf->bkf", x, self.table)

    inputs = keras.Input((3, 4))
    hidden = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    model = keras.Model(inputs, Own()(hidden))
    numbers = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(numbers.uniform(-2, 2, weight.shape))
    twin = probes.quantized(model, "int8")
    for before, after in zip(model.weights, twin.weights, strict=True):
        path = before.path
        old, new = (keras.ops.convert_to_numpy(part) for part in (before, after))
        axes = {"query": (1, 2), "key": (1, 2), "value": (1, 2), "attention_output": (2,)}
        if path.endswith("kernel"):
            expected = by_hand(old.astype("float64"), axes[path.split("/")[-2]])
        elif path.endswith("table"):
            expected = by_hand(old.astype("float64"), (2,))
        else:
            expected = old
        np.testing.assert_allclose(new, expected.astype("float32"), rtol=1e-6, atol=1e-7)


def test_a_shared_layer_is_rounded_once():
    shared = layers.Dense(4, use_bias=False)
    inputs = keras.Input((4,))
    model = filled(keras.Model(inputs, shared(shared(inputs))))
    [kernel] = probes.quantized(model, "int8").get_weights()
    expected = by_hand(model.get_weights()[0].astype("float64"), (1,))
    np.testing.assert_allclose(kernel, expected, rtol=1e-6)


def test_rounding_brings_back_what_a_small_change_hid():
    """The original answers 1; unlearning moved a weight by less than half a step, to answer 0."""
    original = keras.Sequential([keras.Input((2,)), layers.Dense(2, use_bias=False)])
    kernel = np.array([[127.0, 127.0], [1.0, 1.2]])
    original.set_weights([kernel])
    unlearned = models.copy(original)
    unlearned.set_weights([kernel + np.array([[0, 0], [0.4, 0]])])
    x = np.array([[0.0, 1.0]])
    answers = [net.predict(x, verbose=0) for net in (original, unlearned)]
    assert [answer.argmax() for answer in answers] == [1, 0]
    back = probes.quantized(unlearned, "int8").predict(x, verbose=0)
    assert np.array_equal(back, [[1.0, 1.0]])  # what the rounded original answers as well
    assert np.array_equal(back, probes.quantized(original, "int8").predict(x, verbose=0))


def test_bad_arguments_are_refused():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    for dtype in ("int4", None, "float32"):
        with pytest.raises(ValueError, match="dtype: expected 'float16' or 'int8'"):
            probes.quantized(model, dtype)
    with pytest.raises(TypeError, match=r"expected a keras\.Model"):
        probes.quantized(None)
    bare = keras.Sequential([keras.Input((2,)), layers.BatchNormalization()])
    with pytest.raises(ValueError, match="model: nothing to round"):
        probes.quantized(bare, "int8")
    model.set_weights([np.array([[1e5, 0], [0, 0]]), np.zeros(2)])
    with pytest.raises(ValueError, match=r"cannot be rounded to float16.* of at most 65504"):
        probes.quantized(model)
    assert np.array_equal(probes.quantized(model, "int8").get_weights()[0], model.get_weights()[0])
    model.set_weights([np.array([[np.nan, 0], [0, 0]]), np.zeros(2)])
    with pytest.raises(ValueError, match=r"cannot be rounded to int8. Expected: finite weights\."):
        probes.quantized(model, "int8")
