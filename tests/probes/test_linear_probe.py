"""The linear probe against a plain loop, and on heads that hide a class."""

import keras
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tfunlearn import data, models, probes
from tfunlearn.probes.linear_probe import _folds

FORGOTTEN = 3


def by_hand(x, y, fold):
    """Returns every example's cross-fitted answer."""
    answers = np.empty_like(y)
    for number in range(fold.max() + 1):
        fit, score = fold != number, fold == number
        scaler = StandardScaler().fit(x[fit])
        probe = LogisticRegression(max_iter=5000, tol=1e-4).fit(scaler.transform(x[fit]), y[fit])
        answers[score] = probe.predict(scaler.transform(x[score]))
    return answers


def test_it_equals_a_plain_loop(digits, original):
    found = probes.linear_probe(original, digits, seed=3, batch_size=100)
    features = keras.Model(original.inputs, original.get_layer("head").input)
    parts = [digits.forget, digits.retain]
    x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    forgotten = np.arange(len(y)) < digits.size("forget")
    fold = _folds(y, forgotten, 5, 3)
    answers = by_hand(features.predict(x, verbose=0).astype("float64"), y, fold)
    assert found.accuracy == pytest.approx(np.mean(answers[forgotten] == FORGOTTEN))
    assert found.others_accuracy == pytest.approx(np.mean((answers == y)[~forgotten]))
    own = original.predict(x, verbose=0).argmax(1)
    assert found.model_accuracy == np.mean(own[forgotten] == FORGOTTEN)
    assert (found.size, found.others) == (digits.size("forget"), digits.size("retain"))
    assert (found.place, found.features) == ("inputs of 'head'", 24)
    assert found.by_class == ((FORGOTTEN, found.accuracy, found.size),)
    assert (found.roles, found.folds, found.seed) == (("forget", "retain"), 5, 3)
    assert found.converged
    majority = [
        DummyClassifier(strategy="most_frequent").fit(x[fold != k], y[fold != k]).predict(x[:1])
        for k in range(5)
    ]
    assert found.majority == np.mean([majority[k] == FORGOTTEN for k in fold[forgotten]])
    assert found.chance == pytest.approx(np.mean(y == FORGOTTEN))


def test_folds_are_even_by_class_and_side():
    numbers = np.random.default_rng(0)
    y, forgotten = numbers.integers(0, 4, 203), numbers.random(203) < 0.3
    fold = _folds(y, forgotten, 5, seed=1)
    for number in range(4):
        for side in (False, True):
            counts = np.bincount(fold[(y == number) & (forgotten == side)], minlength=5)
            assert counts.max() - counts.min() <= 1
    assert np.array_equal(fold, _folds(y, forgotten, 5, seed=1))
    assert not np.array_equal(fold, _folds(y, forgotten, 5, seed=2))


def test_a_masked_head_is_caught(digits, original, masked, retrained):
    """A head that never answers the class hides it from accuracy, and not from the probe."""
    whole, hidden, without = (
        probes.linear_probe(net, digits) for net in (original, masked, retrained)
    )
    assert whole.model_accuracy > 0.95
    assert hidden.model_accuracy == without.model_accuracy == 0.0
    assert hidden.accuracy == whole.accuracy > 0.95
    assert without.accuracy < hidden.accuracy
    assert hidden.chance < 0.2
    assert hidden.majority == 0.0


def test_unseen_images_of_a_forgotten_class(digits, masked):
    found = probes.linear_probe(masked, digits, roles=("test",))
    x, y = digits.test
    features = keras.Model(masked.inputs, masked.get_layer("head").input).predict(x, verbose=0)
    answers = by_hand(features.astype("float64"), y, _folds(y, y == FORGOTTEN, 5, 0))
    assert found.accuracy == pytest.approx(np.mean(answers[y == FORGOTTEN] == FORGOTTEN))
    assert (found.size, found.others) == ((y == FORGOTTEN).sum(), (y != FORGOTTEN).sum())
    assert found.model_accuracy == 0.0
    assert found.accuracy > 0.8


@pytest.fixture
def lines():
    """Three classes in three dimensions; the third alone tells class 2 from class 1."""
    y = np.arange(120) % 3
    centres = np.array([[0, 6, 0], [6, 0, 0], [6, 0, 6]])
    x = centres[y] + np.random.default_rng(0).normal(size=(120, 3))
    return data.by_class(x.astype("float32"), y, classes=[2], test=(x, y))


def test_features_without_the_class_are_at_chance(lines):
    """Where the features never held what tells two classes apart, nothing is found."""
    hidden = keras.layers.Dense(2, use_bias=False, name="features")
    net = keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(3, name="head")])
    head = [np.array([[0, 1, -9], [1, 0, -9]]), np.zeros(3)]
    net.set_weights([np.eye(3, 2), *head])
    blind = probes.linear_probe(net, lines)
    hidden.set_weights([np.array([[1, 0], [0, 1], [0, 3]])])
    seeing = probes.linear_probe(net, lines)
    assert blind.model_accuracy == seeing.model_accuracy == 0.0
    assert blind.accuracy == pytest.approx(0.5, abs=0.2)  # one of two
    assert blind.others_accuracy == pytest.approx(0.75, abs=0.1)
    assert seeing.accuracy > 0.95
    assert blind.chance == pytest.approx(1 / 3)


@pytest.mark.parametrize("end", ["softmax", "Activation", "Softmax", "nested", "subclassed"])
def test_the_head_is_found_however_the_model_ends(lines, end):
    layers = keras.layers
    stack = [layers.Dense(4, "relu", name="body"), layers.Dense(3, name="head")]
    if end == "softmax":
        stack[1] = layers.Dense(3, "softmax", name="head")
    elif end == "Activation":
        stack.append(layers.Activation("softmax"))
    elif end == "Softmax":
        stack.append(layers.Softmax())
    elif end == "nested":
        stack = [keras.Sequential([keras.Input((3,)), *stack], name="all"), layers.ReLU()]
    net = keras.Sequential([keras.Input((3,)), *stack])
    if end == "subclassed":
        net = Backwards()
        net(lines.test[0])
    flat = {layer.name: layer for layer in models.iter_layers(net)}
    expected = probes.linear_probe(
        keras.Sequential([keras.Input((3,)), flat["body"], layers.Dense(3, name="other")]), lines
    )
    found = probes.linear_probe(net, lines)
    assert (found.place, found.features) == ("inputs of 'head'", 4)
    assert (found.accuracy, found.by_class) == (expected.accuracy, expected.by_class)


class Backwards(keras.Model):
    """Names its head before its body."""

    def __init__(self, **options):
        super().__init__(**options)
        self.head = keras.layers.Dense(3, name="head")
        self.body = keras.layers.Dense(4, "relu", name="body")

    def call(self, x):
        return self.head(self.body(x))

    def get_config(self):
        return super().get_config()


def test_layers_by_name_and_by_position(digits, original):
    head = probes.linear_probe(original, digits, folds=2)
    for layer in ("hidden", "body", -2, 1):
        found = probes.linear_probe(original, digits, layer=layer, folds=2)
        assert found.place == f"outputs of {'hidden' if layer == 'hidden' else 'body'!r}"
        assert found.accuracy == head.accuracy
    logits = probes.linear_probe(original, digits, layer="head", folds=2)
    assert logits.features == 10


def test_feature_maps_are_flattened():
    x = np.random.default_rng(0).normal(size=(40, 8, 8, 1)).astype("float32")
    y = np.arange(40) % 2
    split = data.by_index(x, y, forget=range(10), test=(x, y))
    net = models.small_cnn(num_classes=2, seed=0)
    assert probes.linear_probe(net, split, layer="stem").features == 8 * 8 * 8
    assert probes.linear_probe(net, split).features == 16


def test_a_limit_draws_under_the_seed(digits, original):
    small, again = (probes.linear_probe(original, digits, limit=100, seed=4) for _ in range(2))
    assert (small.size, small.others) == (digits.size("forget"), 100)
    assert small == again
    everything = probes.linear_probe(original, digits, limit=None, folds=2)
    assert everything == probes.linear_probe(original, digits, limit=10**6, folds=2)
    assert everything.others == digits.size("retain")


def test_a_stream_gives_the_same(lines, streamed):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="head")])
    first, second = (probes.linear_probe(net, split) for split in (lines, streamed(lines)))
    assert first == second


def test_forgotten_examples_of_several_classes(small):
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    found = probes.linear_probe(net, small, regularization=0.1)
    labels = small.labels("forget")
    sizes = {number: size for number, _, size in found.by_class}
    assert sizes == {number: int((labels == number).sum()) for number in range(3)}
    mean = sum(accuracy * size for _, accuracy, size in found.by_class) / 10
    assert found.accuracy == pytest.approx(mean)
    assert found.regularization == 0.1
    assert found != probes.linear_probe(net, small)


def test_the_forget_role_alone(small):
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    found = probes.linear_probe(net, small, roles="forget", folds=2)
    assert (found.others, found.others_accuracy, found.roles) == (0, None, ("forget",))


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"folds": 1}, "folds: expected a whole number of at least 2. Received: 1"),
        ({"regularization": 0}, "regularization: expected a number above 0"),
        ({"limit": 0}, "limit: expected a whole number of at least 1"),
        ({"layer": 7}, "layer: expected a position among the 1 layers of the model. Received: 7"),
        ({"layer": "tail"}, "Received: 'tail', which occurs 0 times"),
        ({"roles": ()}, r"roles: expected one or more, each once. Received: \[\]"),
        ({"roles": ("forget", "forget")}, "each once"),
        ({"roles": ("train",)}, "role: expected one of forget"),
        ({"roles": ("test",)}, "Expected: a split that forgets whole classes"),
        ({"batch_size": 0}, "batch_size: expected a whole number"),
        ({"seed": -1}, "seed: expected a whole number"),
    ],
    ids=lambda own: ",".join(own) if isinstance(own, dict) else "",
)
def test_bad_options_are_refused(small, own, words):
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=words):
        probes.linear_probe(net, small, **own)


def test_classes_that_cannot_be_learned_are_refused(lines):
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"two examples or more of each\. Received: class 2 alone"):
        probes.linear_probe(net, lines, roles=("forget",))
    x, y = lines.test
    single = data.by_class(x, np.r_[2, y[1:] % 2], classes=[2], test=(x[:4], np.zeros(4, int)))
    with pytest.raises(ValueError, match="Received: one of class 2"):
        probes.linear_probe(net, single)
    with pytest.raises(ValueError, match="expected an example of a forgotten class"):
        probes.linear_probe(net, single, roles=("test",))


def test_a_layer_that_gives_no_rows_is_refused(small):
    again = keras.layers.Dense(2, name="twice")
    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(3, name="head")(again(again(inputs)))
    net = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match=r"must run once a pass\. Expected: 1\. Received: 2"):
        probes.linear_probe(net, small, layer="twice")
    bare = keras.Model(inputs, keras.layers.Activation("softmax")(inputs))
    two = small.relabelled("retain", small.labels("retain") % 2)
    split = data.by_index(*two.retain, forget=[0, 1], test=two.retain)
    with pytest.raises(ValueError, match="a head is a layer with a kernel"):
        probes.linear_probe(bare, split)


def test_a_broken_model_is_refused(small, linear):
    with pytest.raises(ValueError, match=r"model: its numbers .* Received: 10 of them"):
        probes.linear_probe(linear(np.ones((2, 3)), [np.nan, 0, 0]), small)
