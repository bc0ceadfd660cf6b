"""Every method keeps the contract, and every check of the contract can fail."""

import unittest

import keras
import numpy as np
import pytest

from tfunlearn import losses, methods, models, testing, training
from tfunlearn.methods import Method
from tfunlearn.methods.checks import check

SLOW = {"check_plain_result", "check_replicas_agree"}  # each starts a process of its own


def _cases():
    for name in methods.names():
        for function in testing.checks():
            marks = [pytest.mark.xdist_group(name)]  # the checks share a run of the method
            slow = function.__name__ in SLOW | {"check_weights"}  # two runs of each method
            marks += [pytest.mark.slow] if slow else []
            yield pytest.param(name, function, marks=marks, id=f"{name}-{function.__name__}")


@pytest.mark.parametrize(("name", "contract"), list(_cases()))
def test_method_keeps_the_contract(name, contract):
    contract(methods.describe(name))


def nudge(
    model, split, *, seed=0, batch_size=128, jit_compile="auto", verbose=0, stddev=0.01
):  # a method without training that keeps every rule
    check(model, split, {"retain"}, seed=seed)
    split.check("retain", batch_size)
    training.Recipe.of(model)
    if stddev == 0:
        raise ValueError("stddev: the noise changed nothing. Expected: above 0. Received: 0.")
    student = models.copy(model)
    _move(student, np.random.default_rng(seed), stddev)
    return training.finish(student, model)


def _move(model, numbers, stddev):
    kernel = model.layers[-1].kernel
    kernel.assign_add(stddev * numbers.standard_normal(kernel.shape, dtype="float32"))


def _method(function, reads=("retain",), deterministic=False):
    return Method(
        function,
        frozenset(reads),
        "both",
        "nothing",
        deterministic=deterministic,
        idle={"stddev": 0.0},
    )


def positional(model, split, epochs=1):
    return nudge(model, split)


def without_seed(model, split, *, batch_size=128, jit_compile="auto", verbose=0):
    return nudge(model, split)


def without_default(model, split, *, seed, batch_size=8, jit_compile=False, verbose=0):
    return nudge(model, split, seed=seed)


def in_place(model, split, *, seed=0):
    _move(model, np.random.default_rng(seed), 0.01)
    return nudge(model, split, seed=seed)


def same_object(model, split, *, seed=0):
    return model


def freezes(model, split, *, seed=0):
    result = nudge(model, split, seed=seed)
    model.layers[-1].trainable = False
    return result


def recompiles(model, split, *, seed=0):
    result = nudge(model, split, seed=seed)
    model.compile("adam", model.loss)
    return result


def writes_data(model, split, *, seed=0):
    split.source("test").x[0] = 0.5
    return nudge(model, split, seed=seed)


def gives_nan(model, split, *, seed=0):
    result = nudge(model, split, seed=seed)
    _move(result, np.random.default_rng(seed), np.nan)
    return result


def unseeded(model, split, *, seed=0):
    return nudge(model, split, seed=np.random.default_rng().integers(2**31))


def deaf_to_seed(model, split, *, seed=0):
    return nudge(model, split)


def reads_test(model, split, *, seed=0, batch_size=128):
    return nudge(model, split, seed=seed, stddev=float(split.test[0].mean()) / 10)


def reads_test_unchecked(model, split, *, seed=0):
    return nudge(model, split, seed=seed, stddev=float(split.source("test").x.mean()) / 10)


def reads_forget_labels(model, split, *, seed=0):
    return nudge(model, split, seed=seed, stddev=0.01 + split.labels("forget")[0] / 100)


def one_weight(model, split, *, seed=0, class_weight=None):
    return nudge(model, split, seed=seed)


def deaf_to_weights(model, split, *, seed=0, class_weight=None, sample_weight=None):
    return nudge(model, split, seed=seed)


def weighs_twice(model, split, *, seed=0, class_weight=None, sample_weight=None):
    return nudge(model, split, seed=seed, stddev=0.01 if sample_weight is None else 0.02)


def reads_weights(model, split, *, seed=0):
    return nudge(model, split, seed=seed, stddev=0.02 if split.is_weighted else 0.01)


def silent_no_op(model, split, *, seed=0, stddev=0.01):
    return nudge(model, split, stddev=stddev) if stddev else models.copy(model)


def moves_at_rest(model, split, *, seed=0, stddev=0.01, epochs=1, callbacks=()):
    result = nudge(model, split, seed=seed)
    for callback in callbacks:
        callback.set_model(result)
        callback.on_train_begin()
    _move(result, np.random.default_rng(seed), 0.01)
    raise RuntimeError("changed none")


def collapsed(model, split, *, seed=0, verbose=0):
    return models.reinitialized(model, seed=seed)


def accepts_anything(model, split, *, seed=0, batch_size=128):
    return model


def zero_epochs(model, split, *, seed=0, batch_size=128, epochs=1):
    return nudge(model, split, seed=seed, batch_size=batch_size)


def ignores_loss(model, split, *, seed=0, batch_size=128):
    check(model, split, {"retain"}, seed=seed)
    result = models.copy(model)
    result.compile("sgd", "sparse_categorical_crossentropy")
    return result


def longer_on_streams(model, split, *, seed=0):
    return nudge(model, split, seed=seed, stddev=0.02 if split.is_stream else 0.01)


def other_under_jit(model, split, *, seed=0, jit_compile="auto"):
    return nudge(model, split, seed=seed, stddev=0.02 if jit_compile is True else 0.01)


def uncompiled_result(model, split, *, seed=0):
    return models.copy(model)


def own_loss(model, split, *, seed=0):  # in the compile state, so that loading needs tfunlearn
    loss = losses.WeightedSparseCategoricalCrossentropy([1.0] * 10, from_logits=True)
    model.compile(model.optimizer, loss)
    return nudge(model, split, seed=seed)


class _BareMean(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        terms = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)
        return keras.ops.mean(terms)


def bare_mean(model, split, *, seed=0, batch_size=16):  # doubles the step on two replicas
    student = models.copy(model)
    trained = _BareMean(student.inputs, student.outputs)
    trained.compile(keras.optimizers.SGD(0.05))
    trained.fit(split.dataset("retain", batch_size=batch_size), epochs=1, verbose=0)
    return student


def crashes(model, split, *, seed=0):
    raise OSError("no disk")


BROKEN = [
    ("check_signature", positional, r"keyword-only.*\['model', 'split', 'epochs'\]"),
    ("check_signature", without_seed, r"keywords.*Received: \['seed'\]"),
    ("check_signature", without_default, r"has a default.*Received: \['seed'\]"),
    ("check_original_untouched", in_place, "original's weights stay"),
    ("check_original_untouched", same_object, "new model"),
    ("check_original_untouched", freezes, "original's trainable flags stay"),
    ("check_original_untouched", recompiles, "original's (optimizer|compile arguments) stay"),
    ("check_original_untouched", writes_data, "original's data stay"),
    ("check_finite", gives_nan, "weights are finite.*kernel"),
    ("check_seed", unseeded, "same seed gives the same bytes"),
    ("check_seed", deaf_to_seed, "its seed has an effect"),
    ("check_reads", reads_test, "does not read the roles.*test set holds NaN"),
    ("check_reads", reads_test_unchecked, "does not read the roles.*not: "),
    ("check_reads", reads_forget_labels, "does not read the roles.*another result"),
    ("check_weights", one_weight, r"or neither.*Received: \['class_weight'\]"),
    ("check_weights", deaf_to_weights, "half of the retain set counts"),
    ("check_weights", weighs_twice, "product is 1 change nothing"),
    ("check_weights", reads_weights, "looks at no weights of a split"),
    ("check_zero_strength", silent_no_op, "reports that nothing changed.*Received: a model"),
    ("check_zero_strength", moves_at_rest, "no weight changes.*Received: 1"),
    ("check_no_collapse", collapsed, "retain set is kept"),
    ("check_errors", accepts_anything, "refuses|uncompiled"),
    ("check_errors", zero_epochs, r"refuses \{'epochs': 0\}.*Received: a model"),
    ("check_errors", ignores_loss, "uncompiled"),
    ("check_arrays_and_streams_agree", longer_on_streams, "stream agree"),
    ("check_jit_agrees", other_under_jit, "jit_compile=True and False agree"),
    ("check_plain_result", uncompiled_result, "original's loss"),
]


@pytest.mark.parametrize(
    ("contract", "function", "message"), BROKEN, ids=lambda part: getattr(part, "__name__", None)
)
def test_each_check_can_fail(contract, function, message):
    with pytest.raises(AssertionError, match=f"(?s){function.__name__}: .*{message}"):
        getattr(testing, contract)(_method(function))


@pytest.mark.parametrize(
    "contract",
    [function for function in testing.checks() if function.__name__ not in SLOW],
    ids=lambda function: function.__name__,
)
def test_a_sound_method_passes(contract):
    contract(_method(nudge))


def test_a_method_may_not_declare_the_test_role():
    with pytest.raises(AssertionError, match="not the test set"):
        testing.check_reads(_method(nudge, reads=("retain", "test")))


def test_idle_options_must_be_the_methods_own():
    method = Method(nudge, frozenset({"retain"}), "both", "nothing")  # no optimizer to set to 0
    with pytest.raises(AssertionError, match=r"idle names options.*optimizer"):
        testing.check_zero_strength(method)


def test_a_deterministic_method_gives_one_result_for_all_seeds():
    testing.check_seed(_method(deaf_to_seed, deterministic=True))
    with pytest.raises(AssertionError, match="Expected: equal"):
        testing.check_seed(_method(nudge, deterministic=True))


def test_replicas_of_a_local_function_are_skipped_by_name():
    def local(model, split, *, seed=0):
        return nudge(model, split, seed=seed)

    with pytest.raises(unittest.SkipTest, match="check_replicas_agree: another process"):
        testing.check_replicas_agree(_method(local))
    with pytest.raises(unittest.SkipTest, match="check_replicas_agree: options"):
        testing.check_replicas_agree(_method(nudge), stddev=object())


@pytest.mark.parametrize(
    "contract", ["check_arrays_and_streams_agree", "check_jit_agrees", "check_replicas_agree"]
)
def test_other_backends_skip_by_name(contract, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(unittest.SkipTest, match=f"{contract}: .*torch"):
        getattr(testing, contract)(_method(nudge))


def test_every_exported_check_is_listed():
    exported = {name for name in testing.__all__ if name.startswith("check_")} - {"check_method"}
    assert {function.__name__ for function in testing.checks()} == exported
    assert {contract for contract, *_ in BROKEN} == exported - {"check_replicas_agree"}


def test_check_method_lists_every_broken_rule(monkeypatch):
    monkeypatch.setattr(testing, "checks", lambda: (testing.check_finite, testing.check_seed))
    with pytest.raises(AssertionError, match=r"crashes breaks 2 of 2 checks:\ncheck_finite: OSErr"):
        testing.check_method(_method(crashes))


@pytest.mark.slow
def test_check_method_on_a_sound_method():
    results = testing.check_method(_method(nudge))
    assert list(results) == [function.__name__ for function in testing.checks()]
    assert set(results.values()) == {"passed"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contract", "function", "message"),
    [
        ("check_plain_result", own_loss, "loads without tfunlearn"),
        ("check_replicas_agree", bare_mean, "one replica and two agree"),
    ],
)
def test_checks_in_another_process_can_fail(contract, function, message):
    with pytest.raises(AssertionError, match=f"{function.__name__}: .*{message}"):
        getattr(testing, contract)(_method(function))


def test_a_process_answers_more_than_one_test(monkeypatch):
    from tfunlearn.testing.workers import ask

    program = (
        "-c",
        "import os; from tfunlearn.testing.workers import *; answer(lambda _: os.getpid())",
    )
    first = ask(program, None)
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "another")
    assert ask(program, None) == first
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        ask(("-c", "from tfunlearn.testing.workers import *; answer(lambda n: 1 / n)"), 0)
    with pytest.raises(RuntimeError, match="the process ended"):
        ask(("-c", "raise SystemExit(3)"), 0)
