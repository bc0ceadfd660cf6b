"""KDE: which layers are drawn anew, and its passes against their formulas in float64."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods, models
from tfunlearn.methods.cf_k import first_layer

layers = keras.layers
RATE, MOMENTUM, T = 0.4, 0.9, 2.5


@pytest.fixture
def split():
    numbers = np.random.default_rng(1)
    x, y = numbers.normal(size=(12, 4)).astype("float32"), np.arange(12) % 3
    held = numbers.normal(size=(5, 4)).astype("float32"), np.arange(5) % 3
    return data.by_index(x, y, forget=[0, 4, 9, 11], test=(x[:3], y[:3]), validation=held)


@pytest.fixture
def linear():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    numbers = np.random.default_rng(2)
    model.set_weights([2 * numbers.normal(size=weight.shape) for weight in model.weights])
    model.compile(keras.optimizers.SGD(RATE, momentum=MOMENTUM), "sparse_categorical_crossentropy")
    return model


@pytest.fixture
def deep():
    """A frozen layer, one in front with normalisation, one in the middle, and a nested head."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4, name="frozen"),
            layers.Dense(4, activation="relu", name="front", bias_initializer="ones"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(4, activation="relu", name="middle"),
            keras.Sequential([keras.Input((4,)), layers.Dense(3, name="head")]),
        ]
    )
    model.get_layer("frozen").trainable = False
    model.set_weights([weight + 1 for weight in model.get_weights()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss)
    return model


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


class ByHand:
    """A linear model and its teacher in float64; SGD with momentum."""

    def __init__(self, teacher, start):
        self.teacher, self.weights = (
            [weight.astype("float64") for weight in model.get_weights()]
            for model in (teacher, start)
        )
        self.fresh_optimizer()

    def fresh_optimizer(self):
        self.velocity = [np.zeros_like(weight) for weight in self.weights]

    def step(self, x, y, rate):
        """On validation examples, without labels, the KL; on others all three terms."""
        x = x.astype("float64")
        t, s = (x @ w[0] + w[1] for w in (self.teacher, self.weights))
        apart = (softmax(s / T) - softmax(t / T)) / T  # of KL(t || s), and of -sum t log s
        slopes = apart if y is None else 2 * apart + softmax(s) - np.eye(3)[y]
        slopes = slopes / len(x)
        for place, gradient in enumerate((x.T @ slopes, slopes.sum(0))):
            self.velocity[place] = MOMENTUM * self.velocity[place] - rate * gradient
            self.weights[place] = self.weights[place] + self.velocity[place]

    def agrees(self, model):
        for got, want in zip(model.get_weights(), self.weights, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("given", [True, False], ids=["optimizer given", "like the model's own"])
def test_equals_the_formula(linear, split, given):
    expected = ByHand(linear, models.reinitialized(linear, seed=6))
    for _ in range(2):
        expected.step(split.validation[0], None, 0.5 * RATE)
    expected.fresh_optimizer()
    for epoch in range(3):
        expected.step(*split.retain, RATE * 0.5 * (1 + np.cos(np.pi * epoch / 3)))
    options = {"seed": 6, "epochs": 3, "batch_size": 8, "warmup_epochs": 2, "warmup_scale": 0.5}
    if given:
        options["optimizer"] = keras.optimizers.SGD(RATE, momentum=MOMENTUM)
        linear.compile("adam", linear.loss)
    expected.agrees(methods.kde(linear, split, temperature=T, **options))


def test_the_class_alone_tells_the_passes_by_their_roles(linear, split):
    student = models.logits_model(models.reinitialized(linear, seed=3))
    expected = ByHand(linear, student)
    teacher = models.logits_model(linear)
    kde = methods.KDE(student, teacher, temperature=T)
    kde.compile(keras.optimizers.SGD(RATE, momentum=MOMENTUM))
    for role in ("validation", "retain"):
        stream = data.batches(split, role, batch_size=16, named=True)
        history = kde.fit(stream, shuffle=False, verbose=0).history
        assert {f"{role}_loss", f"{role}_accuracy"} <= set(history)
    expected.step(split.validation[0], None, RATE)
    expected.step(*split.retain, RATE)
    expected.agrees(student)
    for kept, original in zip(teacher.get_weights(), linear.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, original)


def test_the_loss_is_the_sum_of_three_terms(linear, split):
    """H and KL have one gradient, so a step alone cannot tell them apart."""
    student = models.logits_model(models.reinitialized(linear, seed=3))
    kde = methods.KDE(student, models.logits_model(linear), temperature=T)
    kde.compile("sgd")
    x, y = split.retain
    found = kde.evaluate({"retain": x}, {"retain": y}, verbose=0, return_dict=True)["retain_loss"]
    t, s = (
        x.astype("float64") @ weights[0].astype("float64") + weights[1]
        for weights in (linear.get_weights(), student.get_weights())
    )
    taught, given = softmax(t / T), softmax(s / T)
    terms = -np.log(softmax(s)[np.arange(len(y)), y])
    terms -= (taught * np.log(given)).sum(-1)
    terms += (taught * (np.log(taught) - np.log(given))).sum(-1)
    assert found == pytest.approx(terms.mean(), rel=1e-5)


def test_first_and_last_layer_are_drawn_anew(deep, split):
    start = []
    look = keras.callbacks.LambdaCallback(
        on_train_begin=lambda _: start.extend(look.model.student.get_weights())
    )
    result = methods.kde(deep, split, seed=4, epochs=1, callbacks=[look])
    fresh = models.reinitialized(deep, seed=4)
    for weight, begun, new in zip(deep.weights, start, fresh.get_weights(), strict=True):
        drawn = weight.path.split("/")[-2] in ("front", "head")
        np.testing.assert_array_equal(begun, new if drawn else weight, err_msg=weight.path)
        assert np.array_equal(weight, begun) != drawn
    assert np.array_equal(result.get_layer("frozen").kernel, deep.get_layer("frozen").kernel)
    assert not np.array_equal(result.get_layer("middle").kernel, deep.get_layer("middle").kernel)


class HeadFirst(keras.Model):
    """Names its head before the stem, and runs it after."""

    def __init__(self, **options):
        super().__init__(**options)
        self.head, self.stem = layers.Dense(3, name="head"), layers.Dense(3, name="stem")

    def call(self, x):
        return self.head(self.stem(x))


def test_the_first_layer_is_the_one_that_runs_first(deep):
    model = HeadFirst()
    model(np.ones((2, 4)))
    assert first_layer(model).name == "stem"
    assert first_layer(deep).name == "front"  # the frozen one has no part
    deep.trainable = False
    with pytest.raises(ValueError, match="model: expected a layer with a kernel that is not froz"):
        first_layer(deep)


def test_validation_labels_have_no_part(linear, split):
    moved = split.relabelled("validation", (split.labels("validation") + 1) % 3)
    plain, other = (methods.kde(linear, part, epochs=1) for part in (split, moved))
    assert models.weight_distance(plain, other) == 0


def test_callbacks_see_the_epochs_of_the_retain_set(linear, split):
    rates, logs = [], []

    def note(epoch, found):
        rates.append(float(look.model.optimizer.learning_rate))
        logs.append(set(found))

    look = keras.callbacks.LambdaCallback(on_epoch_end=note)
    methods.kde(linear, split, epochs=2, batch_size=4, callbacks=[look], learning_rate=0.2)
    assert rates == pytest.approx([0.2, 0.1])
    assert [{"validation_loss", "retain_loss"} & found for found in logs] == [
        {"validation_loss", "retain_loss"},
        {"retain_loss"},
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature: expected a number above 0. Received: 0.0"),
        ({"warmup_epochs": 0}, "warmup_epochs: expected a whole number of at least 1. Received: 0"),
        ({"warmup_scale": -1.0}, "warmup_scale: expected a number of at least 0"),
        ({"optimizer": "sgd", "learning_rate": 0.1}, "learning_rate: .* Received both"),
    ],
)
def test_other_options_are_refused(linear, split, options, message):
    with pytest.raises(ValueError, match=message):
        methods.kde(linear, split, **options)


def test_a_schedule_is_refused(linear, split):
    falling = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9))
    with pytest.raises(ValueError, match=r"optimizer: .*constant learning rate.*ExponentialDecay"):
        methods.kde(linear, split, optimizer=falling)


def test_it_needs_a_validation_set(linear, split):
    x, y = split.source("retain").x, split.source("retain").y
    without = data.by_index(x, y, forget=[0, 3], test=split.test)
    with pytest.raises(ValueError, match=r"role: .*'validation'; pass validation=\(x, y\)"):
        methods.kde(linear, without)
