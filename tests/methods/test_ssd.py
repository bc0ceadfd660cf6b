"""Dampening against the formula in NumPy float64: importances, selection, factor."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods, models
from tfunlearn.methods.assd import length_percentile
from tfunlearn.models.seeding import seeded


@pytest.fixture
def net():
    """As the shared one: a linear softmax classifier, but with the same weights at every run."""
    with seeded(0):
        layers = [
            keras.Input((2, 2, 1)),
            keras.layers.Conv2D(3, 2, bias_initializer="ones"),
            keras.layers.Flatten(),
            keras.layers.Activation("softmax"),
        ]
        model = keras.Sequential(layers)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _softmax(scores):
    exp = np.exp(scores - scores.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def _gradients(net, x, y, of="cross-entropy"):
    """The gradient of each example: of kernel ``(N, 4, 3)`` and bias ``(N, 3)``, in float64."""
    kernel, bias = (w.astype("float64") for w in net.get_weights())
    flat = x.reshape(len(x), -1).astype("float64")
    scores = flat @ kernel.reshape(4, 3) + bias
    errors = _softmax(scores) - np.eye(3)[y] if of == "cross-entropy" else 2 * scores
    return [flat[:, :, None] * errors[:, None, :], errors]


def _importances(net, split, power, per, against, size, of="cross-entropy"):
    """Importances to the forget set and to the others."""
    sums, counts = {}, {}
    for role in ("forget", "retain"):
        parts = _gradients(net, *getattr(split, role), of)
        if per == "batch":
            starts = range(0, split.size(role), size)
            parts = [np.stack([p[s : s + size].mean(0) for s in starts]) for p in parts]
        sums[role], counts[role] = [power(part).sum(0) for part in parts], len(parts[0])
    forget = [part / counts["forget"] for part in sums["forget"]]
    if against == "retain":
        return forget, [part / counts["retain"] for part in sums["retain"]]
    total = counts["forget"] + counts["retain"]
    return forget, [(a + b) / total for a, b in zip(sums["forget"], sums["retain"], strict=True)]


def _relative(forget, others):
    scale = sum(p.sum() for p in forget) / sum(p.sum() for p in others)
    return [scale * part for part in others]


def _dampened(net, forget, others, alpha, factor):
    expected = []
    for weight, own, other in zip(net.get_weights(), forget, others, strict=True):
        chosen = own > alpha * other
        factors = np.where(chosen, factor(other / own), 1.0)
        expected.append(weight.astype("float64").reshape(own.shape) * factors)
    return expected


def _agree(result, expected, net):
    before = [w.reshape(e.shape) for w, e in zip(net.get_weights(), expected, strict=True)]
    assert any(np.abs(b - e).max() > 1e-3 for b, e in zip(before, expected, strict=True))
    assert any((b == e).any() for b, e in zip(before, expected, strict=True))  # not selected
    for got, want in zip(result.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got.reshape(want.shape), want, atol=1e-5)


@pytest.mark.parametrize(
    ("per", "against", "relative"),
    [
        ("example", "retain", True),  # the default
        ("batch", "full", False),  # the official code
        ("batch", "retain", True),
        ("example", "full", False),
    ],
)
def test_equals_the_formula(net, split, per, against, relative):
    forget, others = _importances(net, split, np.square, per, against, 3)
    others = _relative(forget, others) if relative else others
    expected = _dampened(net, forget, others, 1.1, lambda r: np.minimum(1.0, (0.7 * r) ** 2))
    options = {"per": per, "against": against, "relative": relative, "batch_size": 3}
    result = methods.ssd(net, split, selection=1.1, dampening=0.7, exponent=2.0, **options)
    _agree(result, expected, net)


def test_the_bound_is_the_largest_factor(net, split):
    forget, others = _importances(net, split, np.square, "example", "retain", 3)
    others = _relative(forget, others)
    expected = _dampened(net, forget, others, 0.9, lambda r: np.minimum(0.5, 2.0 * r))
    _agree(methods.ssd(net, split, selection=0.9, dampening=2.0, bound=0.5), expected, net)


@pytest.mark.parametrize(
    ("per", "against", "relative"),
    [
        ("example", "retain", True),  # the default
        ("batch", "full", False),  # the official code
        ("example", "full", False),
    ],
)
def test_without_labels_equals_the_formula(net, split, per, against, relative):
    relabelled = data.by_index(
        split.source("retain").x, (split.source("retain").y + 1) % 3, forget=[1, 4, 6, 11],
        test=split.test,
    )  # fmt: skip
    twin = keras.Sequential([*net.layers[:-1]])  # logits, as ``_gradients`` has them
    forget, others = _importances(twin, split, np.abs, per, against, 3, of="norm")
    others = _relative(forget, others) if relative else others
    expected = _dampened(net, forget, others, 1.1, lambda r: np.minimum(1.0, r))
    options = {"per": per, "against": against, "relative": relative, "batch_size": 3}
    options["selection"] = 1.1
    result, blind = (methods.lfssd(net, given, **options) for given in (split, relabelled))
    _agree(result, expected, net)
    assert [w.tobytes() for w in result.get_weights()] == [w.tobytes() for w in blind.get_weights()]


@pytest.mark.parametrize(
    ("per", "against"),
    [("example", "full"), ("batch", "retain"), ("example", "retain")],
    ids=["the default", "the official code", "between the two"],
)
@pytest.mark.parametrize(("percentile", "floor"), [(None, 0.0), (60.0, 0.8)])
def test_adaptive_equals_the_formula(net, split, percentile, floor, per, against):
    forget, others = _importances(net, split, np.square, per, against, 3)
    ratio = np.concatenate([(a / b).ravel() for a, b in zip(forget, others, strict=True)])
    share = 100 - np.log(1 + 100 * 4 / 12) if percentile is None else percentile
    threshold = np.percentile(ratio, share)
    expected = _dampened(net, forget, others, threshold, lambda r: np.clip(r, floor, 1.0))
    options = {"percentile": percentile, "floor": floor, "per": per, "against": against}
    _agree(methods.assd(net, split, batch_size=3, **options), expected, net)
    assert length_percentile(4, 8) == pytest.approx(100 - np.log(1 + 100 / 3), rel=1e-12)


def test_adaptive_selects_the_same_weights_whatever_the_others(net, split):
    before = net.get_weights()[0]
    chosen = [
        methods.assd(net, split, percentile=60.0, against=against).get_weights()[0] != before
        for against in ("retain", "full")
    ]
    np.testing.assert_array_equal(*chosen)
    assert 0 < chosen[0].sum() < before.size


def test_only_batch_importances_depend_on_the_batch_size(net, split):
    def kernel(per, size):
        result = methods.ssd(net, split, selection=1.0, per=per, batch_size=size)
        return result.get_weights()[0]

    np.testing.assert_allclose(kernel("example", 12), kernel("example", 1), atol=1e-6)
    np.testing.assert_allclose(kernel("batch", 1), kernel("example", 12), atol=1e-6)
    assert np.abs(kernel("batch", 12) - kernel("batch", 1)).max() > 1e-2


def test_against_all_data_a_tenth_can_never_be_selected_at_ten(net, split):
    x = np.random.default_rng(1).normal(size=(40, 2, 2, 1)).astype("float32")
    tenth = data.by_index(x, np.arange(40) % 3, forget=[0, 3, 6, 9], test=split.test)
    kwargs = {"against": "full", "relative": False}
    with pytest.raises(ValueError, match=r"changed no weight.*largest ratio.*threshold of 10"):
        methods.ssd(net, tenth, **kwargs)


def test_frozen_weights_and_statistics_stay(split):
    net = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Conv2D(4, 2, name="frozen"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    net.layers[0].trainable = False
    kwargs = {"selection": 0.5, "dampening": 0.1}
    for method in (methods.ssd, methods.lfssd):
        result = method(net, split, **kwargs)
        assert getattr(result, "optimizer", None) is None
        for old, new in zip(net.weights, result.weights, strict=True):
            same = np.array_equal(old, new)
            assert same or old.path.rsplit("/", 1)[1] not in ("moving_mean", "moving_variance")
            assert same or "frozen" not in old.path
        assert not np.array_equal(net.layers[-1].kernel, result.layers[-1].kernel)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("ssd", {"selection": -1.0}, "selection: expected a number of at least 0"),
        ("ssd", {"dampening": -1.0}, "dampening: expected a number of at least 0"),
        ("ssd", {"exponent": 0.0}, "exponent: expected a number above 0"),
        ("ssd", {"bound": 0.0}, "bound: expected a number above 0"),
        ("ssd", {"per": "class"}, "per: expected 'batch' or 'example'"),
        ("ssd", {"against": "test"}, "against: expected 'retain' or 'full'"),
        (
            "ssd",
            {"selection": 1e9},
            r"^selection: the .* no weight\. Expected: a lower selection.*1e.09",
        ),
        ("lfssd", {"selection": np.nan}, "selection: expected a number of at least 0"),
        ("assd", {"percentile": 101.0}, r"percentile: expected a number in \[0, 100\]"),
        ("assd", {"floor": 1.5}, r"floor: expected a number in \[0, 1\]"),
        ("assd", {"floor": 1.0}, "^dampening: it changed no weight.*factors 1 to 1"),
        ("assd", {"percentile": 100.0}, "^percentile: the dampening changed no weight"),
    ],
)
def test_other_options_are_refused(net, split, method, options, message):
    with pytest.raises(ValueError, match=message):
        methods.get(method)(net, split, **options)


def test_default_forgets_a_class_and_keeps_the_rest():
    (x, y), (x_test, y_test) = data.datasets.load("digits")
    x, x_test = (part.reshape(-1, 64).astype("float32") / 16 for part in (x, x_test))
    split = data.by_class(x, y, classes=[3], test=(x_test, y_test))
    net = models.mnist_dense(64, seed=0)
    net.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=models.gives_logits(net)),
    )
    net.fit(x, y, epochs=8, batch_size=64, shuffle=False, verbose=0)
    for method in (methods.ssd, methods.lfssd):
        result = method(net, split)
        forget, retain = (
            float(np.mean(result.predict(part[0], verbose=0).argmax(-1) == part[1]))
            for part in (split.forget, split.retain)
        )
        assert forget < 0.2
        assert retain > 0.9
