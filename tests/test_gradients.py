"""Sums of gradients: a linear softmax model in float64, and single examples one after the other."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.elsewhere import BACKENDS, on
from tfunlearn import data, gradients, models
from tfunlearn.gradients import autodiff, groups, taps

POWERS = {"identity": lambda g: g, "square": np.square, "abs": np.abs}


def entropy(y, logits):
    return ops.sparse_categorical_crossentropy(y, logits, from_logits=True)


def _linear():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def _split():
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(23, 4)).astype("float32"), numbers.integers(0, 3, 23)
    return data.by_index(x, y, forget=[1, 4, 6], test=(x[:3], y[:3]))


@pytest.fixture
def linear():
    return _linear()


@pytest.fixture
def split():
    return _split()


def _by_hand(model, x, y):
    """The gradient of each example, ``(N, 4, 3)`` and ``(N, 3)``, in float64."""
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    x = x.astype("float64")
    scores = np.exp(x @ kernel + bias)
    errors = scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]
    return x[:, :, None] * errors[:, None, :], errors


@pytest.mark.parametrize("of", POWERS)
@pytest.mark.parametrize("per", ["batch", "example"])
def test_equals_the_formula(linear, split, of, per):
    x, y = split.retain  # 20 examples in batches of 8, 8 and 4
    parts = _by_hand(linear, x, y)
    if per == "batch":
        cuts = [slice(0, 8), slice(8, 16), slice(16, 20)]
        expected = [sum(POWERS[of](part[cut].mean(0)) for cut in cuts) for part in parts]
    else:
        expected = [POWERS[of](part).sum(0) for part in parts]
    stream = data.batches(split, "retain", batch_size=8)
    sums, terms = gradients.gradient_sum(linear, stream, entropy, of=of, per=per)
    assert terms == {"batch": 3, "example": 20}[per]
    for got, want in zip(sums, expected, strict=True):
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_squares_depend_on_the_batch_size_per_batch_and_not_per_example(linear, split):
    def trace(per, size):
        stream = data.batches(split, "retain", batch_size=size)
        sums, terms = gradients.gradient_sum(linear, stream, entropy, of="square", per=per)
        return sum(part.sum() for part in sums) / terms

    assert trace("example", 20) == pytest.approx(trace("example", 3), rel=1e-5)
    assert trace("batch", 1) == pytest.approx(trace("example", 20), rel=1e-5)
    assert trace("batch", 20) < 0.5 * trace("batch", 1)


class Scaled(keras.layers.Dense):
    """A layer of the user's own: twice the weights."""

    def call(self, inputs):
        return 2.0 * super().call(inputs)


def _nested():
    body = [
        keras.Input((6, 6, 3)),
        layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        layers.BatchNormalization(),
    ]
    head = [layers.Flatten(), layers.Dense(5, "tanh"), layers.Dense(3)]
    return keras.Sequential([keras.Input((6, 6, 3)), keras.Sequential(body), *head])


def _stack(*middle, shape=(7, 8, 3)):
    return keras.Sequential([keras.Input(shape), *middle, layers.Flatten(), layers.Dense(3)])


def _shared():
    inputs, twice = keras.Input((6, 6, 3)), layers.Dense(3, "relu")
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(twice(twice(inputs)))))


def _attention():
    inputs = keras.Input((6, 4))
    hidden = layers.MultiHeadAttention(2, 3, use_bias=False)(inputs, layers.Dense(5)(inputs))
    hidden = layers.GroupQueryAttention(3, 4, 2, use_bias=False)(hidden, hidden)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(hidden)))


NETS = {  # and whether one backward pass over a batch is enough
    "nested": (_nested, True),
    "small_cnn": (lambda: models.small_cnn((6, 6, 3), 3, seed=0), True),
    "valid, stride 3": (lambda: _stack(layers.Conv2D(4, (2, 3), strides=3)), True),
    "even kernel, stride 2": (lambda: _stack(layers.Conv2D(4, 4, 2, "same")), True),
    "wide stride": (lambda: _stack(layers.Conv2D(4, 1, 2, "same", use_bias=False)), True),
    "dilated": (lambda: _stack(layers.Conv2D(4, 3, padding="same", dilation_rate=2)), True),
    "depthwise": (
        lambda: _stack(layers.DepthwiseConv2D(3, 2, "same", 2, activation="tanh")),
        True,
    ),
    "one axis": (lambda: _stack(layers.Conv1D(4, 3, 2, "same"), shape=(9, 3)), True),
    "three axes": (lambda: _stack(layers.Conv3D(2, 2), shape=(3, 4, 3, 2)), True),
    "dense on positions": (lambda: _stack(layers.Dense(4, "relu")), True),
    "no scale": (lambda: _stack(layers.BatchNormalization(scale=False, axis=3)), True),
    "layer as activation": (lambda: _stack(layers.Dense(4, layers.ReLU())), True),
    "other axis": (lambda: _stack(layers.BatchNormalization(axis=1)), False),
    "layer norm": (lambda: _stack(layers.LayerNormalization()), True),
    "layer norm of two axes": (lambda: _stack(layers.LayerNormalization(axis=(2, 3))), False),
    "layer norm without shift": (lambda: _stack(layers.LayerNormalization(center=False)), True),
    "RMS norm": (lambda: _stack(layers.RMSNormalization()), True),
    "group norm": (lambda: _stack(layers.Dense(6), layers.GroupNormalization(3)), True),
    "separable": (lambda: _stack(layers.SeparableConv2D(4, 3, 2, "same", activation="relu")), True),
    "separable, one axis": (
        lambda: _stack(layers.SeparableConv1D(4, 2, depth_multiplier=2), shape=(9, 3)),
        True,
    ),
    "einsum": (
        lambda: _stack(layers.EinsumDense("bijc,cde->bijed", (7, 8, 2, 4), "tanh", "d")),
        True,
    ),
    "einsum of elided axes": (
        lambda: _stack(layers.EinsumDense("...c,cd->...d", 4, bias_axes="d")),
        True,
    ),
    "einsum over positions": (
        lambda: _stack(layers.EinsumDense("btc,ct->bt", 7, bias_axes="t"), shape=(7, 3)),
        True,
    ),
    "einsum with the batch second": (
        lambda: _stack(layers.EinsumDense("tbc,cd->tbd", (7, 4)), shape=(7, 3)),
        True,
    ),
    "tokens": (lambda: _stack(layers.Embedding(5, 3), layers.Dense(4, "tanh")), True),
    "attention": (_attention, True),
    "own layer": (lambda: _stack(Scaled(4)), False),
    "groups": (lambda: _stack(layers.Conv2D(6, 3, groups=3)), True),
    "groups of several": (
        lambda: _stack(layers.Conv2D(8, 1), layers.Conv2D(6, 3, 2, groups=2)),
        True,
    ),
    "used twice": (_shared, True),  # seen only when it runs
    "used at each step": (lambda: _stack(layers.TimeDistributed(layers.Dense(4))), False),
}


@pytest.mark.parametrize("name", NETS)
def test_equals_one_example_after_the_other(name):
    build, covered = NETS[name]
    net = build()
    assert taps.covers(net) == covered
    attributes = [set(vars(layer)) for layer in models.iter_layers(net)]
    numbers = np.random.default_rng(0)
    for weight in net.weights:  # also batch statistics and scales away from 0 and 1
        weight.assign(weight + 0.3 * numbers.random(weight.shape).astype("float32") - 0.1)
    x, y = numbers.normal(size=(11, *net.input_shape[1:])).astype("float32"), np.arange(11) % 3
    singles = [(x[i : i + 1], y[i : i + 1]) for i in range(11)]
    rows = [gradients.gradient_sum(net, [single], entropy)[0] for single in singles[:3]]
    received = list(gradients.per_example(net, singles[:3], entropy))
    for got, want in zip(received, rows, strict=True):
        want = np.concatenate([part.ravel() for part in want])
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6 * np.abs(want).max())
    for of in ("square", "abs"):
        expected, _ = gradients.gradient_sum(net, singles, entropy, of=of, per="batch")
        batches = [(x[:8], y[:8]), (x[8:], y[8:])]
        options = {"of": of, "per": "example", "chunk": 4 if of == "abs" else None}
        sums, terms = gradients.gradient_sum(net, batches, entropy, **options)
        assert terms == 11
        for got, want in zip(sums, expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6 * np.abs(want).max())
    assert attributes == [set(vars(layer)) for layer in models.iter_layers(net)]


@pytest.mark.parametrize(
    "name",
    [name for name in NETS if "layer norm" not in name],  # Keras takes it in float32
)
def test_in_float64_the_sums_are_those_of_a_tape_to_the_last_digits(name):
    import tensorflow as tf

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        net = NETS[name][0]()
    finally:
        keras.config.set_dtype_policy(policy)
    numbers = np.random.default_rng(0)
    for weight in net.weights:
        weight.assign(weight + 0.3 * numbers.random(weight.shape) - 0.1)
    x = numbers.normal(size=(11, *net.input_shape[1:])).astype("float32")  # as Keras' inputs are
    y = np.arange(11) % 3
    expected = {of: [np.zeros(w.shape) for w in net.trainable_variables] for of in POWERS}
    for place in range(11):
        with tf.GradientTape() as tape:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
                y[place : place + 1], net(x[place : place + 1], training=False)
            )
        for number, part in enumerate(tape.gradient(loss, net.trainable_variables)):
            for of, power in POWERS.items():
                expected[of][number] += power(tf.convert_to_tensor(part).numpy())
    for of, want in expected.items():
        sums, _ = gradients.gradient_sum(
            net, [(x[:8], y[:8]), (x[8:], y[8:])], entropy, of=of, per="example"
        )
        for got, part in zip(sums, want, strict=True):
            np.testing.assert_allclose(got, part, rtol=1e-10, atol=1e-13 * np.abs(part).max())


def test_half_precision_is_summed_in_float32():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("bfloat16")
    try:
        net = _stack(layers.LayerNormalization(), layers.Dense(4))
    finally:
        keras.config.set_dtype_policy(policy)
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(256, 7, 8, 3)).astype("float32"), np.arange(256) % 3
    rows = np.stack(list(gradients.per_example(net, [(x, y)], entropy))).astype("float64")
    sums, _ = gradients.gradient_sum(net, [(x, y)], entropy, of="square", per="example")
    got = np.concatenate([part.ravel() for part in sums])
    np.testing.assert_allclose(got, (rows**2).sum(0), rtol=1e-5)


def test_a_layer_whose_call_was_replaced_keeps_it():
    net = _stack(layers.Dense(4, "relu"))
    layer = net.layers[0]
    own = layer.call = lambda x, training=None: 2.0 * layers.Dense.call(layer, x)
    assert not taps.covers(net)
    x, y = np.ones((3, 7, 8, 3), "float32"), np.arange(3)
    sums, _ = gradients.gradient_sum(net, [(x, y)], entropy, of="square", per="example")
    assert layer.call is own
    del layer.call
    plain, _ = gradients.gradient_sum(net, [(x, y)], entropy, of="square", per="example")
    assert not np.allclose(sums[0], plain[0])


def test_rows_are_the_gradients_of_single_examples(linear, split):
    x, y = split.retain
    expected = np.concatenate([part.reshape(20, -1) for part in _by_hand(linear, x, y)], axis=1)
    stream = data.batches(split, "retain", batch_size=8)
    rows = np.stack(list(gradients.per_example(linear, stream, entropy, chunk=3)))
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)


def test_frozen_weights_have_no_gradient_and_nothing_is_changed():
    net = _nested()
    net.layers[0].layers[0].trainable = False
    before = [weight.tobytes() for weight in net.get_weights()]
    x, y = np.ones((4, 6, 6, 3), "float32"), np.arange(4) % 3
    sums, _ = gradients.gradient_sum(net, [(x, y)], entropy, of="square", per="example")
    assert [part.shape for part in sums] == [tuple(w.shape) for w in net.trainable_variables]
    assert len(sums) == 6
    assert before == [weight.tobytes() for weight in net.get_weights()]
    net.trainable = False
    with pytest.raises(ValueError, match=r"model: expected at least one weight.*none of 10"):
        gradients.gradient_sum(net, [(x, y)], entropy)


@pytest.mark.parametrize("per", ["batch", "example"])
def test_one_trace_a_call(linear, split, per):
    traces = []

    def counted(y, logits):
        traces.append(1)
        return entropy(y, logits)

    stream = data.batches(split, "retain", batch_size=8)
    gradients.gradient_sum(linear, stream, counted, of="square", per=per)
    assert len(traces) == 1


def test_streams_share_a_trace_and_have_sums_of_their_own(linear, split):
    traces = []

    def counted(y, logits):
        traces.append(1)
        return entropy(y, logits)

    streams = [data.batches(split, role, batch_size=3) for role in ("retain", "forget")]
    found = gradients.gradient_sums(linear, streams, counted, of="square")
    assert len(traces) == 1
    for stream, (own, terms) in zip(streams, found, strict=True):
        alone, count = gradients.gradient_sum(linear, stream, entropy, of="square")
        assert terms == count
        for got, want in zip(own, alone, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("of", POWERS)
def test_a_token_that_comes_up_again_is_added_up_before_the_power(of):
    import tensorflow as tf

    net = keras.Sequential([keras.Input((6,)), layers.Embedding(4, 2), layers.Flatten()])
    net.add(layers.Dense(3))
    x, y = np.random.default_rng(0).integers(0, 4, (8, 6)), np.arange(8) % 3
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(entropy(y, net(x)))
    slopes = tape.gradient(loss, net.trainable_variables)
    sums, _ = gradients.gradient_sum(net, [(x, y)], entropy, of=of)
    for got, slope in zip(sums, slopes, strict=True):
        want = POWERS[of](tf.convert_to_tensor(slope).numpy())
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("room", [2**22, 200, 1])  # bytes: 16 batches, a few, and one at a time
def test_batches_of_all_sizes_count_once(linear, monkeypatch, room):
    monkeypatch.setattr(groups, "_INPUTS", room)
    numbers = np.random.default_rng(1)
    sizes = [3] * 18 + [5] * 2 + [4, 3]
    batches = [
        (numbers.normal(size=(size, 4)).astype("float32"), numbers.integers(0, 3, size))
        for size in sizes
    ]
    found, terms = gradients.gradient_sum(linear, batches, entropy, of="square")
    assert terms == len(sizes)
    parts = [_by_hand(linear, *batch) for batch in batches]
    for place, got in enumerate(found):
        want = sum(np.square(part[place].mean(0)) for part in parts)
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_many_batches_are_added_in_float64(linear):
    x = np.full((1, 4), 1.0, "float32")
    sums, _ = gradients.gradient_sum(linear, [(x, np.array([0]))] * 100, entropy)
    expected = [100 * part[0] for part in _by_hand(linear, x, np.array([0]))]
    for got, want in zip(sums, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "cube"}, "of: expected 'identity', 'square' or 'abs'. Received: 'cube'"),
        ({"per": "class"}, "per: expected 'batch' or 'example'. Received: 'class'"),
        ({"jit_compile": "yes"}, "jit_compile: expected True, False or 'auto'"),
        ({"chunk": 0, "per": "example", "of": "abs"}, "chunk: expected a whole number"),
        ({"loss": lambda y, z: z}, r"loss: .*Expected: shape \(2,\). Received: shape \(2, 3\)"),
        ({"batches": []}, "batches: expected at least one batch"),
    ],
)
def test_other_options_are_refused(linear, options, message):
    own = {"batches": [(np.ones((2, 4), "float32"), np.arange(2))], "loss": entropy, **options}
    with pytest.raises(ValueError, match=message):
        gradients.gradient_sum(linear, **own)


def test_sums_that_are_not_finite_are_an_error(linear):
    batch = np.full((2, 4), np.inf, "float32"), np.arange(2)
    with pytest.raises(RuntimeError, match=r"gradients: expected finite.*2 of 2 weights.*kernel"):
        gradients.gradient_sum(linear, [batch], entropy)


def test_a_gradient_for_every_row():
    rows = np.array([[1.0, 2.0], [3.0, -1.0]], "float32"), np.array([1.0, 10.0], "float32")

    def slopes(x, factor):
        used, unused = autodiff.gradient(
            lambda inputs: ops.sum(factor * inputs[0] ** 3), [x, ops.ones_like(x)]
        )
        return [used, unused]

    made = autodiff.compiled(lambda *rows: autodiff.stacked(slopes, rows, rows), False)
    used, unused = map(ops.convert_to_numpy, made(*map(ops.convert_to_tensor, rows)))
    np.testing.assert_allclose(used, [[3.0, 12.0], [270.0, 30.0]])
    np.testing.assert_array_equal(unused, np.zeros((2, 2)))


def hold_to_the_formula():
    for of in POWERS:
        for per in ("batch", "example"):
            test_equals_the_formula(_linear(), _split(), of, per)
    test_rows_are_the_gradients_of_single_examples(_linear(), _split())


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_on_other_backends(backend):
    on(backend, hold_to_the_formula)
    on(backend, test_a_gradient_for_every_row)
    names = {
        "jax": ("nested", "tokens", "separable"),
        "torch": ("nested", "own layer", "layer as activation"),
    }
    for name in names[backend]:
        on(backend, test_equals_one_example_after_the_other, name)


def test_a_backend_without_gradients_is_refused(linear, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    batch = np.ones((2, 4), "float32"), np.arange(2)
    with pytest.raises(ValueError, match=r"^backend: .*Expected: KERAS_BACKEND set.*'openvino'"):
        gradients.gradient_sum(linear, [batch], entropy)
