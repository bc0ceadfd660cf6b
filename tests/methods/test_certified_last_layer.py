"""Certified removal against its formulas, its bounds, and heads that were trained anew."""

import inspect
import math

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tfunlearn import methods, models
from tfunlearn.data import by_index
from tfunlearn.methods import CertifiedHead

CLASSES = 3


def examples(count=60, size=4, seed=0):
    numbers = np.random.default_rng(seed)
    x, y = numbers.normal(size=(count, size)), np.arange(count) % CLASSES
    x[np.arange(count), y] += 1.0
    return x / np.linalg.norm(x, axis=1).max(), y


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def newton_by_hand(x, y, removed, weights, l2):
    """The paper's batch removal, class by class: the new weights and corollary 2's bounds."""
    stays = np.setdiff1d(np.arange(len(x)), removed)
    rest, moved, bounds = x[stays], weights.copy(), []
    for k in range(CLASSES):
        s = np.where(y == k, 1.0, -1.0)
        delta = len(removed) * l2 * weights[:, k]
        for i in removed:
            delta += (sigmoid(s[i] * weights[:, k] @ x[i]) - 1) * s[i] * x[i]
        hessian = len(rest) * l2 * np.eye(x.shape[1])
        for row in rest:
            p = sigmoid(weights[:, k] @ row)
            hessian += p * (1 - p) * np.outer(row, row)
        step = np.linalg.inv(hessian) @ delta
        moved[:, k] += step
        sizes = np.linalg.norm(step) * np.linalg.norm(rest @ step)
        bounds.append(0.25 * np.linalg.norm(rest, 2) * sizes)
    return moved, np.sqrt(np.sum(np.square(bounds)))


@pytest.mark.parametrize("removed", [[7], [3, 4, 20, 59]])
def test_removal_equals_the_formula(removed):
    x, y = examples()
    head = CertifiedHead(l2=0.05, stddev=5.0).fit(x, y, seed=1)
    trained = head.spent
    moved, bound = newton_by_hand(x, y, removed, head.weights, 0.05)
    spent = head.remove(removed)
    np.testing.assert_allclose(head.weights, moved, atol=1e-12)
    assert spent == head.spent == pytest.approx(trained + bound, rel=1e-9)
    assert 0 < trained < 1e-5 * head.budget


def test_training_without_noise_is_logistic_regression():
    x, y = examples()
    head = CertifiedHead(l2=0.02, stddev=1e-6).fit(x, y)
    for k in range(CLASSES):
        other = LogisticRegression(C=1 / (0.02 * len(x)), fit_intercept=False, tol=1e-10)
        other.fit(x, y == k)
        np.testing.assert_allclose(head.weights[:, k], other.coef_[0], atol=1e-4)


def test_training_minimises_the_noisy_loss():
    x, y = examples()
    head = CertifiedHead(l2=0.02, stddev=2.0).fit(x, y, seed=3)
    noise = 2.0 * np.random.default_rng([3, 1]).standard_normal((x.shape[1], CLASSES))

    def loss(weights):
        signs = np.where(y[:, None] == np.arange(CLASSES), 1, -1)
        fit = np.log1p(np.exp(-signs * (x @ weights))).sum()
        return fit + 0.02 * len(x) / 2 * (weights**2).sum() + (noise * weights).sum()

    best = loss(head.weights)
    numbers = np.random.default_rng(0)
    for size in (1e-3, 0.1, 10.0):
        for _ in range(20):
            assert loss(head.weights + size * numbers.normal(size=noise.shape)) > best


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_that_is_left_is_below_what_is_spent(seed):
    x, y = examples(count=40, size=6, seed=seed)
    head = CertifiedHead(l2=0.1, stddev=3.0).fit(x, y, seed=seed)
    before = head.spent
    for ids in ([0], [5, 6, 7], list(range(10, 14))):
        assert head.remove(ids) > before
        assert head.residual() <= head.spent
        before = head.spent
    assert head.remove(range(20, 30), steps=6) <= head.budget
    assert head.residual() <= head.spent


@pytest.mark.parametrize("steps", [1, 5])
def test_close_to_a_head_that_never_saw_them(steps):
    x, y = examples(count=90)
    l2, removed = (0.3, [4, 5]) if steps == 1 else (0.02, np.arange(0, 90, 7))
    head = CertifiedHead(l2=l2, stddev=0.5).fit(x, y, seed=2)
    start = head.weights
    head.remove(removed, steps=steps)
    fresh = CertifiedHead(l2=l2, stddev=head.stddev)
    fresh.fit(np.delete(x, removed, 0), np.delete(y, removed), seed=2)  # the same noise
    rest = len(x) - len(removed)
    apart = np.linalg.norm(head.weights - fresh.weights)
    assert apart <= (head.spent + fresh.spent) / (l2 * rest)  # the loss is that convex
    assert apart < 0.1 * np.linalg.norm(start - fresh.weights)


def test_further_steps_replace_what_was_spent():
    x, y = examples()
    head = CertifiedHead(l2=0.01, stddev=0.01).fit(x, y)
    with pytest.raises(RuntimeError, match="removal budget is spent"):
        head.remove([0, 1, 2])
    spent = head.remove([0, 1, 2], steps=9)
    assert spent <= head.budget
    assert head.residual() <= spent


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 1e-4), (0.1, 1e-5), (0.5, 0.2), (1.0, 0.9)])
def test_the_budget_gives_the_stated_guarantee(epsilon, delta):
    """The exact delta of a Gaussian shifted by the budget (Balle and Wang, 2018, theorem 8)."""
    head = CertifiedHead(epsilon=epsilon, delta=delta, stddev=3.0)
    assert head.budget == pytest.approx(3 * epsilon / math.sqrt(2 * math.log(1.5 / delta)))
    shift = head.budget / 3.0

    def below(z):
        return 0.5 * math.erfc(-z / math.sqrt(2))

    exact = below(shift / 2 - epsilon / shift)
    exact -= math.exp(epsilon) * below(-shift / 2 - epsilon / shift)
    assert exact <= delta


def test_a_spent_budget_refuses_and_keeps_the_head():
    x, y = examples()
    head = CertifiedHead(l2=0.05, stddev=0.1).fit(x, y)
    done = 0
    while head.spent < 0.3 * head.budget:
        head.remove([done])
        done += 1
    weights, spent = head.weights.copy(), head.spent
    message = r"budget is spent: removing 9 examples .*Expected: at most 0\.0228.*retrain"
    with pytest.raises(RuntimeError, match=message):
        head.remove(range(done, done + 9))
    assert (head.weights.tobytes(), head.spent) == (weights.tobytes(), spent)
    head.fit(np.delete(x, range(done), 0), np.delete(y, range(done)))  # a new account
    assert head.spent < spent


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, r"epsilon: expected a number inside \(0, 1\]. Received: 0.0"),
        ({"epsilon": 1.5}, "epsilon: expected"),
        ({"epsilon": math.nan}, "epsilon: expected"),
        ({"delta": 1.0}, r"delta: expected a number inside \(0, 1\). Received: 1.0"),
        ({"l2": 0.0}, "l2: expected a positive number. Received: 0.0"),
        ({"stddev": -1.0}, "stddev: expected a positive number. Received: -1.0"),
        ({"stddev": math.inf}, "stddev: expected a positive number"),
        ({"steps": 0}, "steps: the removal changed nothing.*Received: 0"),
        ({"steps": 1.5}, "steps: .*Received: 1.5"),
    ],
)
def test_other_parameters_are_refused(options, message, task):
    with pytest.raises(ValueError, match=message):
        methods.certified_last_layer(*task("softmax"), **options)


def test_other_features_and_ids_are_refused():
    x, y = examples()
    head = CertifiedHead(l2=0.1, stddev=10.0)
    with pytest.raises(ValueError, match=r"features: expected finite .*with others among them"):
        head.fit(np.where(x == x.max(), np.nan, x), y)
    with pytest.raises(ValueError, match=r"features: expected .*shape \(60,\)"):
        head.fit(y, y)
    with pytest.raises(ValueError, match="labels: expected one label per example"):
        head.fit(x, y[:5])
    head.fit(x, y)
    head.remove([3])
    with pytest.raises(ValueError, match=r"ids: .*still there.*Received: 3"):
        head.remove([2, 3])
    with pytest.raises(ValueError, match=r"ids: .*all that are left"):
        head.remove(np.delete(np.arange(60), 3))
    with pytest.raises(ValueError, match="ids: ids are positions"):
        head.remove([60])


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, units=CLASSES, **options):
        super().__init__(**options)
        self.units = units
        self.hidden = keras.layers.Dense(5, "relu")
        self.head = keras.layers.Dense(units)

    def call(self, inputs):
        return self.head(self.hidden(inputs))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def _layers(*last):
    return [keras.Input((4,)), keras.layers.Dense(5, "relu"), *last]


def _nested():
    inner = keras.Sequential([keras.Input((5,)), keras.layers.Dense(CLASSES)], name="top")
    inputs = keras.Input((4,))
    return keras.Model(inputs, inner(keras.layers.Dense(5, "relu")(inputs)))


def _subclassed():
    model = Subclassed()
    model(np.zeros((1, 4), "float32"))
    return model


def _functional_softmax():
    inputs = keras.Input((4,))
    scores = keras.layers.Dense(CLASSES)(keras.layers.Dense(5, "relu")(inputs))
    return keras.Model(inputs, keras.layers.Softmax()(scores))


dense = keras.layers.Dense
HEADS = {
    "logits": lambda: keras.Sequential(_layers(dense(CLASSES))),
    "softmax": lambda: keras.Sequential(_layers(dense(CLASSES, "softmax"))),
    "softmax layer": _functional_softmax,
    "activation": lambda: keras.Sequential(
        _layers(dense(CLASSES), keras.layers.Activation("softmax"))
    ),
    "no bias": lambda: keras.Sequential(_layers(dense(CLASSES, use_bias=False))),
    "nested": _nested,
    "subclassed": _subclassed,
}


@pytest.fixture
def task():
    def make(kind):
        x, y = examples(seed=4)
        x = (5 * x).astype("float32")
        keras.utils.set_random_seed(1)
        model = HEADS[kind]()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=models.gives_logits(model))
        model.compile("sgd", loss)
        return model, by_index(x, y, forget=[2, 9, 30], test=(x, y))

    return make


@pytest.mark.parametrize("kind", HEADS)
def test_the_new_head_is_that_of_the_features(kind, task):
    model, split = task(kind)
    result = methods.certified_last_layer(model, split, seed=5, l2=0.01, stddev=0.5)
    (kernel, bias), after = model.get_weights()[:2], result.get_weights()
    np.testing.assert_array_equal(after[0], kernel)  # only the head is new
    x = np.concatenate([split.forget[0], split.retain[0]]).astype("float64")
    features = np.maximum(x @ kernel + bias, 0)
    scale = 1 / np.linalg.norm(features[3:], axis=1).max()
    features *= scale
    if kind != "no bias":
        features = np.c_[features, np.ones(len(x))]
    labels = np.r_[split.labels("forget"), split.labels("retain")]
    head = CertifiedHead(l2=0.01, stddev=0.5).fit(features, labels, seed=5)
    head.remove(range(3), steps=10)
    expected = [scale * head.weights[:5], *([] if kind == "no bias" else [head.weights[5]])]
    for received, wanted in zip(after[2:], expected, strict=True):
        np.testing.assert_allclose(received, wanted, atol=1e-5)
    outputs = keras.ops.convert_to_numpy(result(x[:4]))
    assert (outputs >= 0).all() == (kind in ("softmax", "softmax layer", "activation"))


def test_one_step_is_the_papers_and_may_cost_too_much(task):
    model, split = task("softmax")
    before = [weight.tobytes() for weight in model.get_weights()]
    with pytest.raises(RuntimeError, match=r"budget is spent: .*in 1 Newton steps.*retrain"):
        methods.certified_last_layer(model, split, steps=1)
    assert before == [weight.tobytes() for weight in model.get_weights()]
    paid = methods.certified_last_layer(model, split, steps=1, l2=1.0, stddev=1.0)
    assert models.weight_distance(model, paid) > 0


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([keras.layers.Conv2D(3, 2), keras.layers.Flatten()], "Flatten"),
        ([keras.layers.Flatten(), keras.layers.Softmax()], "Flatten"),
        ([keras.layers.Flatten(), dense(3, "sigmoid")], "sigmoid"),
        ([keras.layers.Flatten(), dense(3, "relu"), keras.layers.Softmax()], "more than"),
        (
            [keras.layers.Flatten(), dense(3), keras.layers.Activation("tanh"), dense(3, "relu")],
            "relu",
        ),
    ],
)
def test_other_heads_are_refused(layers, message):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2, 2, 1)), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(0).normal(size=(9, 2, 2, 1)).astype("float32"), np.arange(9) % 3
    split = by_index(x, y, forget=[1], test=(x, y))
    with pytest.raises(ValueError, match=f"model: .*{message}"):
        methods.certified_last_layer(model, split)


def test_only_this_method_calls_itself_certified():
    for name in methods.names():
        text = inspect.getdoc(methods.get(name)).lower()
        assert ("certified" in text) == (name == "certified_last_layer"), name
