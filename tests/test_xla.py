"""Whole epochs under XLA: the weights of `fit`, and a dropout mask as good as a random one."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods, models, training
from tfunlearn.training import in_graph, xla

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA by TensorFlow")
L = keras.layers


@pytest.fixture
def always(monkeypatch):
    """Compiles however few the steps are."""
    monkeypatch.setattr(xla, "STEPS", 1)


@pytest.fixture
def split():
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(53, 6)).astype("float32")
    return data.by_index(x, numbers.integers(0, 3, 53), forget=[3, 7], test=(x[:8], [0] * 8))


def network(*layers, jit_compile="auto"):
    model = keras.Sequential([keras.Input((6,)), *layers, L.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(0.01)
    recipe = training.Recipe.of(model, loss=loss, optimizer=optimizer)
    recipe.compile(model, jit_compile=jit_compile)
    return model


def retain(split):
    return data.batches(split, "retain", batch_size=8, shuffle=True, seed=5)


def test_weights_are_those_of_fit(always, split):
    def make():
        keras.utils.set_random_seed(1)
        return network(L.Dense(8, activation="relu"), L.BatchNormalization(), L.Dense(4, "tanh"))

    plain, fast = make(), make()
    assert xla.pays(fast, 1)
    expected = plain.fit(retain(split), epochs=3, shuffle=False, verbose=0).history
    found = training.fit(fast, retain(split), epochs=3).history
    for left, right in zip(plain.get_weights(), fast.get_weights(), strict=True):
        np.testing.assert_allclose(right, left, atol=1e-5)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_it_is_compiled(always, split, monkeypatch):
    seen = []
    real = xla.hashed_dropout
    monkeypatch.setattr(
        "tfunlearn.training.in_graph.hashed_dropout", lambda model: seen.append(1) or real(model)
    )
    training.fit(network(L.Dropout(0.5)), retain(split), epochs=1)
    assert seen
    seen.clear()
    training.fit(network(L.Dropout(0.5), jit_compile=False), retain(split), epochs=1)
    assert not seen


def test_one_shape_is_compiled_once(always, split):
    """A last batch that is smaller, one step an epoch, is left to a plain graph."""
    model, stream, shapes = network(L.Dropout(0.5)), retain(split), set()
    training.fit(model, stream, epochs=1)
    [steps] = in_graph._MADE[model].values()
    run, rest = steps._run, steps._rest
    assert [one._jit_compile for one in (run, rest)] == [True, None]
    steps._run = lambda arrays, orders: shapes.add(orders[""].shape) or run(arrays, orders)
    training.fit(model, stream, epochs=3)
    assert shapes == {(6, 8)}  # 51 examples
    assert [one.experimental_get_tracing_count() for one in (run, rest)] == [1, 1]


@pytest.mark.parametrize(("trainings", "compiled"), [(1, False), (3, False), (4, True)])
def test_several_trainings_reach_what_pays_together(split, monkeypatch, trainings, compiled):
    monkeypatch.setattr(xla, "STEPS", 4 * 2 * 7)  # four of two epochs of seven batches
    model = network()
    training.fit(model, retain(split), epochs=2, trainings=trainings)
    assert [key[0] for key in in_graph._MADE[model]] == [compiled]


def test_the_same_seed_gives_the_same_weights(always, split):
    def run(seed):
        keras.utils.set_random_seed(1)
        model = network(L.Dropout(0.5, seed=seed), L.Dense(8))
        training.fit(model, retain(split), epochs=2)
        return model

    once, twice, other = run(3), run(3), run(4)
    for left, right in zip(once.get_weights(), twice.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert models.weight_distance(once, other) > 1e-3
    state = keras.ops.convert_to_numpy(once.layers[0].seed_generator.state)
    assert state.tolist() == [3, 14]  # seven batches an epoch, as Keras would have counted them
    assert "call" not in vars(once.layers[0])


def masks(rate, steps=64, shape=(128, 100), seed=3):
    """Returns where a layer kept its inputs, call by call: (steps, examples, units)."""
    model = network(L.Dropout(rate, seed=seed))
    layer, ones = model.layers[0], np.ones(shape, "float32")
    with xla.hashed_dropout(model):
        rows = np.array([np.asarray(layer(ones, training=True)) for _ in range(steps)])
        np.testing.assert_array_equal(layer(ones, training=False), ones)
    kept = rows > 0
    np.testing.assert_allclose(rows[kept], 1 / (1 - rate), rtol=1e-6)
    return kept


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_a_mask_has_the_rate_everywhere(rate):
    """In all, for every unit, every example and every call: within 5 deviations of a binomial."""
    kept = masks(rate)
    for axes in [(0, 1, 2), (0, 1), (0, 2), (1, 2)]:
        shares = kept.mean(axes)
        deviation = np.sqrt(rate * (1 - rate) * np.size(shares) / kept.size)
        assert np.abs(shares - (1 - rate)).max() < 5 * deviation


@pytest.mark.parametrize("way", ["units", "examples", "calls"])
@pytest.mark.parametrize("apart", [1, 2, 7])
def test_masks_are_independent(way, apart):
    """Correlations of neighbours are those of independent draws, and so is their spread."""
    kept = masks(0.3).astype("float64") - 0.7
    axis = {"calls": 0, "examples": 1, "units": 2}[way]
    moved = np.roll(kept, apart, axis)
    others = tuple({0, 1, 2} - {axis})
    found = (kept * moved).mean(others) / 0.21
    scale = np.sqrt(found.size / kept.size)
    assert np.abs(found).max() < 5 * scale
    assert 0.5 < found.std() / scale < 1.6


def test_neither_seeds_nor_calls_share_masks():
    one, other = masks(0.5, seed=3), masks(0.5, seed=4)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)
    flat = one.reshape(len(one), -1).astype("float64") - 0.5
    alike = flat @ flat.T / (0.25 * flat.shape[1]) - np.eye(len(one))
    assert np.abs(alike).max() < 6 / np.sqrt(flat.shape[1])


def test_hashes_are_those_of_an_independent_computation():
    def mixed(value, key):
        value ^= value >> 16
        value = (value * 0x85EBCA6B + key) % 2**32
        value ^= value >> 13
        value = value * 0xC2B2AE35 % 2**32
        return value ^ value >> 16

    a, b = 5, 2**32 - 3
    low = mixed((a + mixed(b, 0)) % 2**32, 0x7F4A7C15)
    high = mixed(b ^ mixed(a, 0x3C6EF372), 0)
    expected = [mixed((i * 0x9E3779B9 + low) % 2**32, high) for i in range(50)]
    assert xla.hashes(50, np.array([a, b])).numpy().tolist() == expected


def test_bits_are_even():
    """Every bit is set in half of the numbers."""
    found = xla.hashes(1 << 16, np.array([1, 2])).numpy()
    shares = [(found >> np.uint32(bit) & np.uint32(1)).mean() for bit in range(32)]
    assert np.abs(np.array(shares) - 0.5).max() < 5 * 0.5 / 256


def test_where_it_does_not_pay(split):
    layers = keras.layers
    dense = network()
    assert xla.pays(dense, xla.STEPS)
    assert not xla.pays(dense, xla.STEPS - 1)
    assert not xla.pays(network(jit_compile=False), 10**6)
    assert not xla.pays(network(jit_compile=True), 10**6)  # then each step is compiled
    assert not xla.pays(network(layers.GaussianNoise(0.1)), 10**6)
    assert not xla.pays(network(layers.Dropout(0.5, noise_shape=(None, 1))), 10**6)
    assert not xla.pays(network(layers.Dense(3, dtype="mixed_bfloat16")), 10**6)

    class Own(layers.Dense):
        pass

    assert not xla.pays(network(Own(3)), 10**6)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    image = models.small_cnn((8, 8, 1), 3, seed=0)
    training.Recipe.of(image, loss=loss, optimizer="sgd").compile(image)
    assert not xla.pays(image, 10**6)
    own = keras.Sequential([keras.Input((6,)), layers.Dense(3)])

    def squares(rows, scores):
        return keras.ops.mean((rows - scores) ** 2)

    training.Recipe.of(own, loss=squares, optimizer="sgd").compile(own)
    assert not xla.pays(own, 10**6)


@pytest.mark.slow
def test_accuracy_is_that_of_keras_own_dropout(data_file, monkeypatch):
    """Five seeds with each kind of mask: the means of test accuracy are within 3 errors."""
    with np.load(data_file("mnist.npz"), allow_pickle=False) as found:
        x, y, x_test, y_test = (found[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    x, x_test = (part.reshape(len(part), -1).astype("float32") / 255 for part in (x, x_test))
    split = data.by_index(x[:6000], y[:6000], forget=[0], test=(x_test[:4000], y_test[:4000]))
    net = models.mnist_dense(784, 10, dropout=0.5, seed=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(0.1), loss, metrics=["accuracy"])

    def accuracies(steps):
        monkeypatch.setattr(xla, "STEPS", steps)
        found = []
        for seed in range(5):
            options = {"epochs": 4, "batch_size": 32, "seed": seed}
            model = methods.retrain(net, split, **options)
            found.append(model.evaluate(*split.test, verbose=0)[1])
        return np.array(found)

    hashed, own = accuracies(1), accuracies(10**9)
    assert (hashed != own).all()
    error = np.sqrt(hashed.var(ddof=1) / 5 + own.var(ddof=1) / 5)
    assert abs(hashed.mean() - own.mean()) < 3 * max(error, 0.001)
