"""Class forgetting by projection against the paper's formulas in NumPy, layer by layer."""

import importlib
import itertools

import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.data import by_class, by_index
from tfunlearn.models.seeding import seeded

layers = keras.layers
svd_class = importlib.import_module("tfunlearn.methods.svd_class")


@pytest.fixture
def classes():
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(30, 5, 5, 2)).astype("float32"), np.arange(30) % 3
    return by_class(x, y, classes=[1], test=(x[:3], y[:3]))


def _net(*stack, shape=(5, 5, 2)):
    with seeded(0):
        return keras.Sequential([keras.Input(shape), *stack, layers.Flatten(), layers.Dense(3)])


def _space(rows, alpha):
    """M = U diag(alpha v / ((alpha - 1) v + 1)) U^T from the inputs as rows."""
    u, s, _ = np.linalg.svd(rows.T.astype("float64"), full_matrices=False)
    v = s**2 / (s**2).sum()
    return u @ np.diag(alpha * v / ((alpha - 1) * v + 1)) @ u.T


def _projection(retain, forget, alpha_retain, alpha_forget):
    m_r, m_f = _space(retain, alpha_retain), _space(forget, alpha_forget)
    return np.eye(len(m_r)) - m_f + m_f @ m_r


def _patches(x, size, stride):
    """Every patch of a convolution without padding, in the order of the kernel's axes."""
    steps = range(0, x.shape[1] - size + 1, stride)
    return np.stack(
        [
            image[i : i + size, j : j + size].reshape(-1)
            for image in x
            for i, j in itertools.product(steps, steps)
        ]
    )


@pytest.mark.parametrize("alphas", [(100.0, 3.0), (100.0, 10.0), (2.0, 0.5)], ids=str)
def test_equals_the_formula(classes, alphas):
    body = keras.Sequential([keras.Input((5, 5, 2)), layers.Conv2D(4, 3, name="conv")])
    model = _net(body)
    result = methods.svd_class(model, classes, alpha_retain=alphas[0], alpha_forget=alphas[1])
    retain, forget = classes.retain[0], classes.forget[0]
    kernel, bias, dense, _ = model.get_weights()
    projection = _projection(_patches(retain, 3, 1), _patches(forget, 3, 1), *alphas)
    want = (projection @ kernel.reshape(18, 4)).reshape(kernel.shape)
    np.testing.assert_allclose(result.get_weights()[0], want, atol=1e-5)
    inputs = (body.predict(part, verbose=0).reshape(len(part), -1) for part in (retain, forget))
    want = _projection(*inputs, *alphas) @ dense  # the inputs are the original's, not projected
    np.testing.assert_allclose(result.get_weights()[2], want, atol=1e-5)
    assert np.array_equal(result.get_weights()[1], bias)


CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": (2, 3), "strides": (2, 1)},
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": 2, "strides": 2, "padding": "same"},
    {"kernel_size": 2, "dilation_rate": 2, "padding": "same"},
    {"kernel_size": 2, "groups": 2, "filters": 4},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_rows_are_what_the_kernel_multiplies(options):
    """Rows times kernel must be the convolution itself, for whatever geometry."""
    from tfunlearn.methods.svd_class import _rows

    layer = layers.Conv2D(**{"filters": 3, "use_bias": False, **options})
    x = np.random.default_rng(1).normal(size=(2, 7, 6, 4)).astype("float32")
    want = keras.ops.convert_to_numpy(layer(x))
    rows, kernel = _rows(layer, x.astype("float64")), layer.get_weights()[0]
    columns = np.split(kernel.reshape(-1, kernel.shape[-1]), layer.groups, axis=1)
    got = np.concatenate([r @ c for r, c in zip(rows, columns, strict=True)], axis=-1)
    np.testing.assert_allclose(got.reshape(want.shape), want, atol=1e-5)


def test_depthwise_kernels_are_projected_channel_by_channel(classes):
    model = _net(layers.DepthwiseConv2D(3, depth_multiplier=2))
    result = methods.svd_class(model, classes, alpha_forget=3.0)
    kernel, after = model.get_weights()[0], result.get_weights()[0]
    for channel in range(2):
        parts = (role[0][..., channel : channel + 1] for role in (classes.retain, classes.forget))
        projection = _projection(*(_patches(part, 3, 1) for part in parts), 100.0, 3.0)
        want = projection @ kernel[:, :, channel].reshape(9, 2)
        np.testing.assert_allclose(after[:, :, channel].reshape(9, 2), want, atol=1e-5)


def test_samples_lie_evenly_spread(classes):
    model = _net()
    result = methods.svd_class(model, classes, samples=4, batch_size=3)
    some = (role[0].reshape(len(role[0]), -1) for role in (classes.retain, classes.forget))
    retain, forget = (part[np.linspace(0, len(part) - 1, 4).round().astype(int)] for part in some)
    want = _projection(retain, forget, 100.0, 10.0) @ model.get_weights()[0]
    np.testing.assert_allclose(result.get_weights()[0], want, atol=1e-5)


def test_a_direction_of_the_forgotten_class_alone_is_removed():
    """Disjoint inputs: what only the forgotten class has goes, the rest is kept."""
    x = np.zeros((20, 4), "float32")
    x[:10, 0], x[10:, 1] = 1.0, 1.0
    split = by_class(x, np.arange(20) // 10, classes=[1], test=(x, np.arange(20) // 10))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, kernel_initializer="ones")])
    kernel = methods.svd_class(model, split).get_weights()[0]
    np.testing.assert_allclose(kernel, [[1, 1], [0, 0], [1, 1], [1, 1]], atol=1e-6)


def test_a_layer_that_runs_twice_counts_all_its_inputs(classes):
    inputs, shared = keras.Input((5, 5, 2)), layers.Dense(50)
    once = keras.Model(inputs, shared(layers.Flatten()(inputs)))
    model = keras.Model(inputs, layers.Dense(3)(shared(once.output)))
    result = methods.svd_class(model, classes)
    rows = []
    for x, _ in (classes.retain, classes.forget):
        flat = x.reshape(len(x), -1)
        rows.append(np.concatenate([flat, once.predict(x, verbose=0)]))
    want = _projection(*rows, 100.0, 10.0) @ model.get_weights()[0]
    np.testing.assert_allclose(result.get_weights()[0], want, atol=1e-4)


def test_inputs_are_taken_in_blocks(classes, monkeypatch):
    model = _net(layers.Conv2D(4, 3, padding="same"), layers.DepthwiseConv2D(2))
    whole, sizes, rows = methods.svd_class(model, classes), [], svd_class._rows

    def noted(layer, x):
        sizes.append(rows(layer, x).size)
        return rows(layer, x)

    limit = 3 * 25 * 9 * 2  # three examples of the first layer
    monkeypatch.setattr(svd_class, "_VALUES", limit)
    monkeypatch.setattr(svd_class, "_rows", noted)
    parts = methods.svd_class(model, classes)
    assert max(sizes) == limit
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_part_of_a_class_is_refused():
    x, y = np.zeros((6, 4), "float32"), np.arange(6) % 2
    split = by_index(x, y, forget=[0, 2], test=(x, y))  # and not 4
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="split: this method forgets whole classes"):
        methods.svd_class(model, split)


def test_frozen_layers_stay_and_only_frozen_ones_are_refused(classes):
    model = _net(layers.Conv2D(2, 3, trainable=False))
    result = methods.svd_class(model, classes)
    assert np.array_equal(result.get_weights()[0], model.get_weights()[0])
    assert not np.array_equal(result.get_weights()[2], model.get_weights()[2])
    model.trainable = False
    with pytest.raises(ValueError, match=r"model: expected a Dense, Conv2D or Depthwise.*none"):
        methods.svd_class(model, classes)


def test_more_scale_removes_more(classes):
    model = _net()
    gaps = [
        models.weight_distance(model, methods.svd_class(model, classes, alpha_forget=alpha))
        for alpha in (0.1, 1.0, 10.0)
    ]
    assert gaps == sorted(gaps)
    assert gaps[0] > 0


@pytest.mark.parametrize(
    "options",
    [{"samples": 0}, {"samples": 1.5}, {"alpha_retain": -1.0}, {"alpha_forget": np.inf}],
    ids=str,
)
def test_other_numbers_are_refused(classes, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        methods.svd_class(_net(), classes, **options)
