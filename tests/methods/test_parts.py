"""The parts that methods are made of work alone: construct, compile, fit, and take the student."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods, models

SPLIT = data.random(
    np.random.default_rng(0).normal(size=(12, 4)).astype("float32"),
    np.arange(12) % 3,
    fraction=0.4,
    test=(np.zeros((3, 4), "float32"), np.arange(3)),
)


def pairs():
    return data.pairs(SPLIT, batch_size=4, seed=0)


def of(role):
    return lambda: data.batches(SPLIT, role, batch_size=4, named=True)


PARTS = {  # what makes it of a net and a copy of that, and what it is fitted on
    "AdaptiveAscent": (lambda net, student: methods.AdaptiveAscent(student), of("forget")),
    "BadTeacher": (lambda net, student: methods.BadTeacher(net, seed=1), pairs),
    "DELETE": (lambda net, student: methods.DELETE(student, models.copy(net)), of("forget")),
    "FCS": (lambda net, student: methods.FCS(student), pairs),
    "GradientAscent": (lambda net, student: methods.GradientAscent(student), of("forget")),
    "KDE": (lambda net, student: methods.KDE(student, models.copy(net)), of("retain")),
    "L1Sparse": (lambda net, student: methods.L1Sparse(student, strength=0.1), of("retain")),
    "MUMis": (lambda net, student: methods.MUMis(student, seed=0), of("forget")),
    "NegGradPlus": (lambda net, student: methods.NegGradPlus(student), pairs),
    "PRMQ": (lambda net, student: methods.PRMQ(student, models.copy(net), [1.0] * 3), of("retain")),
    "SCRUB": (lambda net, student: methods.SCRUB(net), pairs),
}


def test_these_are_all_that_are_public():
    public = {name: getattr(methods, name) for name in methods.__all__}
    found = {k for k, v in public.items() if isinstance(v, type) and issubclass(v, keras.Model)}
    assert found - {"Unlearner"} == set(PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_compile_and_fit_and_take_the_student(name, tmp_path):
    make, stream = PARTS[name]
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
    before = net.get_weights()
    part = make(net, models.copy(net))
    assert isinstance(part, methods.Unlearner)
    part.compile(keras.optimizers.SGD(0.05))
    history = part.fit(stream(), epochs=2, shuffle=False, verbose=0).history
    assert len(history["loss"]) == 2
    assert {id(w) for w in part.trainable_variables} == {id(w) for w in part.student.weights}
    assert models.weight_distance(part.student, net) > 0
    for kept, old in zip(net.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, old)
    part.student.save(tmp_path / "student.keras")
    again = keras.saving.load_model(tmp_path / "student.keras")
    x = SPLIT.test[0] + 1
    np.testing.assert_array_equal(again(x), part.student(x))
