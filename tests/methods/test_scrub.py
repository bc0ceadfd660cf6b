"""SCRUB against its formula in float64, and the checkpoint that rewind goes back to."""

import keras
import numpy as np
import pytest

from tfunlearn import callbacks, data, methods, models, testing

RATE, GAMMA, ALPHA, T = 1.0, 0.7, 0.4, 3.0


@pytest.fixture
def split():
    numbers = np.random.default_rng(1)
    x, y = numbers.normal(size=(12, 4)).astype("float32"), np.arange(12) % 3
    held = numbers.normal(size=(9, 4)).astype("float32"), np.arange(9) % 3
    return data.by_index(x, y, forget=[0, 4, 9], test=held, validation=held)


@pytest.fixture
def linear():
    head = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((4,)), head])
    numbers = np.random.default_rng(2)
    model.set_weights([numbers.normal(size=weight.shape) for weight in model.weights])
    model.compile(keras.optimizers.SGD(RATE), "sparse_categorical_crossentropy")
    return model


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


class ByHand:
    """A linear model, its teacher, and one gradient step of SCRUB on either role."""

    def __init__(self, model):
        self.weights = [weight.astype("float64") for weight in model.get_weights()]
        self.teacher = [weight.copy() for weight in self.weights]

    def scores(self, x, weights):
        return x.astype("float64") @ weights[0] + weights[1]

    def step(self, x, y, role, bounded=True):
        taught, given = (self.scores(x, w) / T for w in (self.teacher, self.weights))
        t, s = softmax(taught), softmax(given)
        slopes = T * (s - t)  # of T^2 KL(t || s) in the student's logits
        if role == "forget":
            kd = np.sum(t * (np.log(t) - np.log(s)), -1)
            far = np.sum(t * np.log(t), -1) + np.log(3)
            slopes = -slopes * ((kd < far)[:, None] if bounded else 1.0)
        else:
            slopes = ALPHA * slopes + GAMMA * (softmax(given * T) - np.eye(3)[y])
        slopes /= len(x)
        self.weights[0] -= RATE * x.T.astype("float64") @ slopes
        self.weights[1] -= RATE * slopes.sum(0)


def run(model, split, epochs, **options):
    own = {"classification": GAMMA, "distillation": ALPHA, "temperature": T, "decay_epochs": ()}
    own |= {"batch_size": 9, "forget_batch_size": 3, "optimizer": keras.optimizers.SGD(RATE)}
    return methods.scrub(model, split, epochs=epochs, **{**own, **options})


@pytest.mark.parametrize("bounded", [True, False])
def test_equals_the_formula(linear, split, bounded):
    expected = ByHand(linear)
    for epoch in range(12):
        if epoch < 10:
            expected.step(*split.forget, "forget", bounded)
        expected.step(*split.retain, "retain")
    result = run(linear, split, 12, forget_epochs=10, bounded=bounded)
    for got, want in zip(result.get_weights(), expected.weights, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_the_bound_is_reached_in_that_training(linear, split):
    bounded, endless = (
        run(linear, split, 12, forget_epochs=10, bounded=bounded) for bounded in (True, False)
    )
    assert models.weight_distance(bounded, endless) > 1e-3


def test_the_class_alone_trains_a_student_and_leaves_the_model(linear, split):
    expected = ByHand(linear)
    scrub = methods.SCRUB(linear, classification=GAMMA, distillation=ALPHA, temperature=T)
    scrub.compile(keras.optimizers.SGD(RATE))
    scrub.fit(data.batches(split, "retain", batch_size=9, named=True), shuffle=False, verbose=0)
    expected.step(*split.retain, "retain")
    scrub.fit(data.batches(split, "forget", batch_size=3, named=True), shuffle=False, verbose=0)
    expected.step(*split.forget, "forget")
    for got, want in zip(scrub.student.get_weights(), expected.weights, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    for kept, original in zip(linear.get_weights(), expected.teacher, strict=True):
        np.testing.assert_allclose(kept, original, atol=1e-6)
    history = scrub.fit(data.pairs(split, batch_size=4), shuffle=False, verbose=0).history
    assert {"forget_loss", "retain_loss", "forget_accuracy"} <= set(history)
    assert linear.trainable


def test_the_optimizer_trains_the_student(linear, split):
    """A public port builds the optimizer on the teacher's variables, so that nothing is learned."""
    scrub = methods.SCRUB(linear)
    scrub.compile(keras.optimizers.SGD(RATE))
    scrub.fit(data.pairs(split, batch_size=4), shuffle=False, verbose=0)
    assert {id(w) for w in scrub.trainable_variables} == {id(w) for w in scrub.student.weights}
    assert models.weight_distance(scrub.student, linear) > 1e-3


def test_learning_rate_falls_before_the_named_epochs(linear, split):
    rates = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: rates.append(float(look.model.optimizer.learning_rate))
    )
    options = {"optimizer": None, "callbacks": [look]}
    run(linear, split, 5, **options, decay_epochs=(2, 4), decay_rate=0.5)
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])
    run(linear, split, 1, **options, learning_rate=0.5)
    assert rates[-1] == pytest.approx(0.5)


def test_an_optimizer_with_a_schedule_of_its_own(linear, split):
    falling = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9))
    run(linear, split, 1, optimizer=falling)
    with pytest.raises(ValueError, match=r"optimizer: .*constant learning rate.*ExponentialDecay"):
        run(linear, split, 1, optimizer=falling, decay_epochs=(3,))


def test_rewind_goes_back_to_the_closest_epoch(linear, split):
    split = split.relabelled("forget", linear.predict(split.forget[0], verbose=0).argmax(-1))
    kept = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: kept.append(look.model.student.get_weights())
    )
    options = {"forget_epochs": 8, "bounded": False, "callbacks": [look]}
    final = run(linear, split, 11, **options)
    back = run(linear, split, 11, rewind=True, **options)
    known = np.isin(split.validation[1], split.forget[1])

    def error(weights, x, y):
        return np.mean((x @ weights[0] + weights[1]).argmax(-1) != y)

    reference = error(final.get_weights(), split.validation[0][known], split.validation[1][known])
    gaps = [abs(error(weights, *split.forget) - reference) for weights in kept[:11]]
    assert np.argmin(gaps) not in (0, 10)
    for got, want in zip(back.get_weights(), kept[int(np.argmin(gaps))], strict=True):
        np.testing.assert_array_equal(got, want)


def test_rewind_alone_with_a_fit_of_ones_own(linear, split):
    back = callbacks.Rewind(split, batch_size=2)
    kept = []
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: kept.append(linear.get_weights()))
    linear.optimizer.learning_rate = 3.0
    linear.fit(*split.retain, epochs=4, batch_size=9, callbacks=[back, look], verbose=0)
    assert len(back.errors) == 4
    gaps = np.abs(np.array(back.errors) - back.reference)
    assert back.chosen == np.argmin(gaps)
    for got, want in zip(linear.get_weights(), kept[back.chosen], strict=True):
        np.testing.assert_array_equal(got, want)


def test_rewind_needs_validation_examples_of_the_forget_classes(linear, split):
    x, y = split.source("forget").x, split.source("forget").y
    without = data.by_index(x, y, forget=[0, 3], test=split.test)
    with pytest.raises(ValueError, match=r"role: .*'validation'; pass validation=\(x, y\)"):
        run(linear, without, 1, rewind=True)
    held = split.test[0][1:3], split.test[1][1:3]
    other = data.by_index(x, y, forget=[0, 3], test=split.test, validation=held)
    with pytest.raises(ValueError, match=r"validation: it must hold.*some of class \[0\]"):
        run(linear, other, 1, rewind=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature: expected a number above 0. Received: 0.0"),
        ({"distillation": -1.0}, "distillation: expected a number of at least 0"),
        ({"classification": np.nan}, "classification: expected a number of at least 0"),
        ({"forget_epochs": -1}, "forget_epochs: expected a number of at least 0"),
        ({"learning_rate": 0.1}, "learning_rate: expected an optimizer or a learning rate"),
        ({"forget_batch_size": 0}, "batch_size: expected a whole number of at least 1"),
    ],
)
def test_other_options_are_refused(linear, split, options, message):
    with pytest.raises(ValueError, match=message):
        run(linear, split, 1, **options)


def test_rewind_keeps_the_contract():
    testing.check_reads(methods.describe("scrub"), rewind=True)


def test_roles_under_options():
    line = methods.describe("scrub")
    assert line.roles() == {"forget", "retain"}
    assert line.roles(rewind=True) == {"forget", "retain", "validation"}
    row = next(row for row in methods.table().split("\n") if row.startswith("scrub "))
    assert "forget retain (validation with rewind)" in row
