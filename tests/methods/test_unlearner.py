"""The one place that computes a loss: against a NumPy computation, and what it refuses."""

import keras
import numpy as np
import pytest

from tfunlearn import losses, models
from tfunlearn.data import batches, by_index, pairs
from tfunlearn.methods import Unlearner

NUMBERS = np.random.default_rng(0)
X, Y = NUMBERS.normal(size=(12, 4)).astype("float32"), np.arange(12) % 3
SPLIT = by_index(X, Y, forget=[0, 4, 8, 9], test=(X, Y))


class Tug(Unlearner):
    """Descends on retain and goes up, a quarter as fast, on forget."""

    def terms(self, x, y, logits):
        signs = {"forget": -0.25, "retain": 1.0}
        return {role: signs[role] * losses.cross_entropy(y[role], logits[role]) for role in x}


class Copycat(Unlearner):
    def terms(self, x, y, logits):
        target = self.teach("original", x["retain"])
        return {"retain": losses.kl_divergence(target, logits["retain"], 2.0)}


class Scalar(Unlearner):
    def terms(self, x, y, logits):
        return {"retain": keras.ops.mean(logits["retain"])}


def linear(**options):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, **options)])


def gradient(weights, x, y):
    kernel, bias = (weight.astype("float64") for weight in weights)
    scores = np.exp(x.astype("float64") @ kernel + bias)
    errors = (scores / scores.sum(-1, keepdims=True) - np.eye(3)[y]) / len(y)
    return [x.T.astype("float64") @ errors, errors.sum(0)]


def test_one_step_on_a_pair_equals_the_formula():
    student = linear()
    before = student.get_weights()
    unlearner = Tug(student)
    unlearner.compile(keras.optimizers.SGD(0.5))
    (xf, yf), (xr, yr) = SPLIT.forget, SPLIT.retain
    unlearner.train_on_batch({"forget": xf, "retain": xr}, {"forget": yf, "retain": yr})
    up, down = gradient(before, xf, yf), gradient(before, xr, yr)
    for weight, start, f, r in zip(student.get_weights(), before, up, down, strict=True):
        np.testing.assert_allclose(weight, start - 0.5 * (r - 0.25 * f), atol=1e-6)


def test_one_unlearner_takes_each_role_alone_and_logs_it():
    student = linear()
    unlearner = Tug(student)
    unlearner.compile(keras.optimizers.SGD(0.1))
    for role in ("forget", "retain"):
        stream = batches(SPLIT, role, batch_size=4, named=True)
        logs = unlearner.fit(stream, shuffle=False, verbose=0).history
        assert set(logs) == {"loss", f"{role}_accuracy", f"{role}_loss"}
    assert sorted(unlearner.fit(pairs(SPLIT, 4), shuffle=False, verbose=0).history) == [
        "forget_accuracy",
        "forget_loss",
        "loss",
        "retain_accuracy",
        "retain_loss",
    ]


def test_logs_are_those_of_the_student():
    student = linear()
    unlearner = Tug(student)
    unlearner.compile(keras.optimizers.SGD(0.0))
    logs = unlearner.fit(pairs(SPLIT, 16), shuffle=False, verbose=0).history
    scores = X.astype("float64") @ student.get_weights()[0].astype("float64")
    scores += student.get_weights()[1]
    right = scores.argmax(-1) == Y
    terms = np.log(np.exp(scores).sum(-1)) - scores[np.arange(12), Y]
    forget = np.isin(np.arange(12), SPLIT.ids["forget"])
    assert logs["retain_loss"][0] == pytest.approx(terms[~forget].mean(), abs=1e-5)
    assert logs["retain_accuracy"][0] == pytest.approx(right[~forget].mean())
    assert logs["loss"][0] == pytest.approx(
        terms[~forget].mean() + logs["forget_loss"][0], abs=1e-5
    )


def test_a_teacher_stays_and_the_student_comes_nearer():
    teacher, student = linear(), linear()
    kept = teacher.get_weights()
    unlearner = Copycat(student, {"original": teacher})
    unlearner.compile(keras.optimizers.SGD(0.5))
    before = models.weight_distance(teacher, student)
    history = unlearner.fit(
        batches(SPLIT, "retain", batch_size=8, named=True), epochs=20, shuffle=False, verbose=0
    )
    assert history.history["loss"][-1] < history.history["loss"][0] / 5
    assert models.weight_distance(teacher, student) < before
    for left, right in zip(kept, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_only_retain_moves_batch_statistics():
    layers = [keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    student = keras.Sequential(layers)
    unlearner = Tug(student)
    unlearner.compile(keras.optimizers.SGD(0.1))
    unlearner.fit(batches(SPLIT, "forget", named=True), shuffle=False, verbose=0)
    assert student.layers[0].moving_mean.numpy().tolist() == [0.0] * 4
    unlearner.fit(batches(SPLIT, "retain", named=True), shuffle=False, verbose=0)
    wanted = 0.01 * SPLIT.retain[0].mean(0)
    np.testing.assert_allclose(student.layers[0].moving_mean.numpy(), wanted, atol=1e-6)


def test_regularisation_of_the_student_counts_once():
    student = linear(kernel_regularizer=keras.regularizers.L2(0.5), use_bias=False)
    before = student.get_weights()[0].astype("float64")
    unlearner = Tug(student)
    unlearner.compile(keras.optimizers.SGD(0.1))
    (xf, yf), (xr, yr) = SPLIT.forget, SPLIT.retain
    unlearner.train_on_batch({"forget": xf, "retain": xr}, {"forget": yf, "retain": yr})
    weights = [before, np.zeros(3)]
    moved = gradient(weights, xr, yr)[0] - 0.25 * gradient(weights, xf, yf)[0] + before
    np.testing.assert_allclose(student.get_weights()[0], before - 0.1 * moved, atol=1e-6)


def test_a_term_is_one_number_per_example():
    unlearner = Scalar(linear())
    unlearner.compile("sgd")
    with pytest.raises(ValueError, match=r"one number per example of 'retain'.*shape \(\)"):
        unlearner.train_on_batch({"retain": X}, {"retain": Y})


@pytest.mark.parametrize("x", [X, {"test": X}, {}], ids=["array", "another role", "nothing"])
def test_batches_are_by_role(x):
    with pytest.raises(ValueError, match=r"x: expected batches by role"):
        Tug(linear())(x)


def test_terms_must_be_written():
    unlearner = Unlearner(linear())
    with pytest.raises(NotImplementedError, match="Unlearner does not write terms"):
        unlearner.terms({}, {}, {})
