"""WeightNoise and NoOpGuard: where the noise lands, how much of it, and what is refused."""

import itertools
import re

import keras
import numpy as np
import pytest

from tfunlearn.callbacks import NoOpGuard, WeightNoise, select_layers
from tfunlearn.models import iter_layers, resnet50_classifier

layers = keras.layers


@pytest.fixture
def net():
    inner = keras.Input((4, 4, 3))
    body = keras.Model(inner, layers.Conv2D(2, 3, name="inner")(inner), name="body")
    inputs = keras.Input((6, 6, 1))
    hidden = body(layers.Conv2D(3, 3, name="stem")(inputs))
    hidden = layers.DepthwiseConv2D(2, name="depth")(hidden)
    outputs = layers.Dense(2, name="head")(layers.Flatten()(hidden))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


def _fit(model, *callbacks, epochs=1, initial_epoch=0):
    x, y = np.ones((2, 6, 6, 1), "float32"), np.ones((2, 2), "float32")
    model.fit(
        x, y, epochs=epochs, initial_epoch=initial_epoch, callbacks=list(callbacks), verbose=0
    )


def _weights(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def _changed(before, after):
    return sorted(path for path in before if not np.array_equal(before[path], after[path]))


def test_noise_is_seeded_numpy_noise(net):
    before = _weights(net)
    noise = WeightNoise(0.6, seed=5)
    _fit(net, noise)
    numbers, after = np.random.default_rng(5), _weights(net)
    for path in ("stem/kernel", "inner/kernel"):  # in the order of iter_layers
        drawn = numbers.standard_normal(before[path].shape, dtype="float32")
        np.testing.assert_array_equal(after[path], before[path] + 0.6 * drawn)
    assert noise.touched == ["stem", "inner"]
    assert _changed(before, after) == ["inner/kernel", "stem/kernel"]


@pytest.mark.parametrize("relative", [False, True])
def test_the_deviation_is_the_one_asked_for(relative):
    start = keras.initializers.RandomNormal(stddev=0.02, seed=0)
    model = keras.Sequential(
        [keras.Input((3, 3, 64)), layers.Conv2D(256, 3, kernel_initializer=start)]
    )
    before = model.get_weights()[0]
    WeightNoise(1.0, relative=relative, seed=0).apply(model, 0.3)
    moved = (model.get_weights()[0] - before).std()
    assert moved == pytest.approx(0.3 * (before.std() if relative else 1.0), rel=0.01)


def test_biases_move_only_on_request(net):
    before = _weights(net)
    WeightNoise(bias=True, layers="head", seed=0).apply(net, 0.1)
    assert _changed(before, _weights(net)) == ["head/bias", "head/kernel"]


def test_schedule(net):
    seen = [_weights(net)]
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(_weights(net)))
    _fit(net, WeightNoise({0: 0.6, 3: 0.005}, layers="head", seed=1), look, epochs=5)
    moves = [b["head/kernel"] - a["head/kernel"] for a, b in itertools.pairwise(seen)]
    numbers = np.random.default_rng(1)
    first, second = (numbers.standard_normal(moves[0].shape, dtype="float32") for _ in "ab")
    assert [bool(move.any()) for move in moves] == [True, False, False, True, False]
    np.testing.assert_allclose(moves[0], 0.6 * first, atol=1e-6)
    np.testing.assert_allclose(moves[3], 0.005 * second, atol=1e-6)


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (layers.Conv2D, ["stem", "inner"]),
        ([layers.Dense, layers.DepthwiseConv2D], ["depth", "head"]),
        ((layers.Conv2D,), ["stem", "inner"]),
        (["inner", "head"], ["inner", "head"]),
        ("inn.*", ["inner"]),
        ("inner|head", ["inner", "head"]),
        (re.compile("s.*m"), ["stem"]),
        ("stem", ["stem"]),
        (lambda layer: layer.name.endswith("d"), ["head"]),
    ],
    ids=["class", "classes", "tuple", "names", "text", "choice", "compiled", "stem", "function"],
)
def test_layer_filters(net, chosen, names):
    assert [layer.name for layer in select_layers(net, chosen)] == names
    assert WeightNoise(layers=chosen, seed=0).apply(net, 0.1) == names


def test_stem_is_the_first_convolution_whatever_its_name():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(2, 3, name="first"),
            layers.Conv2D(2, 3, name="stem"),
        ]
    )
    assert [layer.name for layer in select_layers(model, "stem")] == ["first"]


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        (layers.LSTM, ValueError, "matches no layer.*Conv2D, Dense"),
        ("inn", ValueError, "'inn' matches no layer"),
        (["head", "tail"], ValueError, r"no layer is named \['tail'\]"),
        (lambda layer: False, ValueError, "matches no layer"),
        ([], TypeError, r"layers: expected a layer class.*Received: \[\]"),
        (7, TypeError, "layers: expected a layer class.*Received: 7"),
        ([layers.Dense, "head"], TypeError, "layers: expected a layer class"),
        (layers.Flatten, ValueError, "changed nothing"),
    ],
)
def test_nothing_to_change_is_an_error(net, chosen, error, message):
    before = _weights(net)
    with pytest.raises(error, match=f"(?s){message}"):
        _fit(net, WeightNoise(layers=chosen))
    assert _changed(before, _weights(net)) == []


def test_a_constant_kernel_has_no_deviation_to_scale_by(net):
    net.get_layer("head").kernel.assign(np.ones(net.get_layer("head").kernel.shape))
    with pytest.raises(ValueError, match=r"changed nothing.*not constant.*\['head'\]"):
        WeightNoise(relative=True, layers="head").apply(net, 0.6)


@pytest.mark.parametrize("stddev", [0, -1.0, np.nan, np.inf, {}, {0: 0.0}, {-1: 0.5}, {0.5: 0.5}])
def test_other_deviations_are_refused(stddev):
    with pytest.raises(ValueError, match="stddev: expected"):
        WeightNoise(stddev)


@pytest.mark.parametrize("seed", [-1, 0.5])
def test_other_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="seed: expected"):
        WeightNoise(seed=seed)


def test_noise_due_after_the_last_epoch_is_an_error(net):
    before = _weights(net)
    with pytest.raises(ValueError, match=r"before epoch 2. Expected: epochs 0 to 1"):
        _fit(net, WeightNoise({0: 0.1, 2: 0.1}), epochs=2)
    assert _changed(before, _weights(net)) == []


def test_a_start_past_the_noise_is_an_error(net):
    with pytest.raises(ValueError, match="stddev: the noise changed nothing"):
        _fit(net, WeightNoise({0: 0.1}), epochs=2, initial_epoch=1)


def test_a_second_fit_repeats_the_first(net):
    start, noise, results = net.get_weights(), WeightNoise(0.6, seed=2), []
    for _ in range(2):
        net.set_weights(start)
        _fit(net, noise)
        results.append([weight.tobytes() for weight in net.get_weights()])
    assert results[0] == results[1]


@pytest.mark.parametrize(("seeds", "same"), [((3, 3), True), ((3, 4), False), ((None,) * 2, False)])
def test_seeds(net, seeds, same):
    start, results = net.get_weights(), []
    for seed in seeds:
        net.set_weights(start)
        WeightNoise(seed=seed).apply(net, 0.6)
        results.append([weight.tobytes() for weight in net.get_weights()])
    assert (results[0] == results[1]) is same


def test_a_shared_layer_is_noised_once():
    shared = layers.Conv2D(1, 1, name="shared")
    inputs = keras.Input((2, 2, 1))
    body = keras.Model(inputs, shared(inputs))
    model = keras.Model(inputs, body(shared(inputs)))
    before = model.get_weights()[0]
    assert WeightNoise(seed=0).apply(model, 0.5) == ["shared"]
    drawn = np.random.default_rng(0).standard_normal(before.shape, dtype="float32")
    np.testing.assert_array_equal(model.get_weights()[0], before + 0.5 * drawn)


def test_a_container_and_its_content_are_noised_once(net):
    before = _weights(net)["inner/kernel"]
    WeightNoise(layers=["body", "inner"], seed=0).apply(net, 0.5)
    drawn = np.random.default_rng(0).standard_normal(before.shape, dtype="float32")
    np.testing.assert_array_equal(_weights(net)["inner/kernel"], before + 0.5 * drawn)


@pytest.mark.slow
def test_every_convolution_of_a_nested_resnet50():
    model = resnet50_classifier(weights=None, seed=0)
    notebook = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert notebook == []  # the notebook's loop is not recursive: it noises nothing
    convolutions = [layer for layer in iter_layers(model) if isinstance(layer, layers.Conv2D)]
    before = [keras.ops.convert_to_numpy(layer.kernel) for layer in convolutions]
    touched = WeightNoise(0.6, seed=0).apply(model, 0.6)
    assert touched == [layer.name for layer in convolutions]
    assert len(set(touched)) == 53
    for layer, old in zip(convolutions, before, strict=True):
        moved = keras.ops.convert_to_numpy(layer.kernel) - old
        assert moved.std() == pytest.approx(0.6, rel=0.05), layer.name


def test_guard_stops_a_training_that_changed_nothing(net):
    with pytest.raises(RuntimeError, match=r"changed none of the 8 weights.*learning rate"):
        _fit(net, NoOpGuard())


def test_guard_lets_a_training_pass(net):
    net.optimizer.learning_rate = 0.1
    _fit(net, NoOpGuard())
    net.optimizer.learning_rate = 0.0
    _fit(net, WeightNoise(seed=0), NoOpGuard())


def test_guard_is_not_fooled_by_batch_statistics():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse")
    before = [weight.copy() for weight in model.get_weights()]
    data = np.arange(12.0).reshape(4, 3), np.ones((4, 2))
    with pytest.raises(RuntimeError, match="training changed none"):
        model.fit(*data, callbacks=[NoOpGuard()], verbose=0)
    assert not np.array_equal(before[2], model.get_weights()[2])  # the moving mean did move
