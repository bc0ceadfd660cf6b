"""Methods by name: the table, and the one-call form."""

import inspect

import keras
import pytest

import tfunlearn
from tfunlearn import methods
from tfunlearn.methods import Method


def test_names_and_get():
    assert methods.names()[:3] == ["retrain", "finetune", "vision_confuser"]
    assert methods.get("finetune") is methods.finetune
    assert methods.get(methods.retrain) is methods.retrain
    with pytest.raises(ValueError, match=r"method: expected one of retrain, .*Received: 'nothing'"):
        methods.get("nothing")


def test_every_line_of_the_table_is_complete():
    for name in methods.names():
        method = methods.describe(name)
        assert method.name == name == method.function.__name__
        assert method.summary.endswith(".")
        assert method.reads <= {"forget", "retain", "validation"}
        assert method.reads
        assert method.cost
        doc = inspect.getdoc(method.function)  # Python 3.13 takes the indent off by itself
        assert all(f"\n    {option}: " in doc for option in method.options), name
        assert "Reference: " in doc
        assert "Deviation: " in doc


def test_table_is_aligned_text():
    head, *rows = methods.table().split("\n")
    assert [row.split()[0] for row in rows] == methods.names()
    assert head.split() == ["method", "reads", "scope", "seed", "cost", "needs", "effect"]
    assert {row.split()[1] for row in rows} <= {"forget", "retain", "validation"}
    place = head.index("seed")
    for name, row in zip(methods.names(), rows, strict=True):
        drawn = row[place:].startswith("draws")
        assert drawn is not methods.describe(name).deterministic
    place = head.index("effect")
    assert all(row[place - 1] == " " and row[place] != " " for row in rows)


def _own(model, split, *, seed=0):
    """Does nothing."""
    return model


def test_register(monkeypatch):
    monkeypatch.setattr(methods, "_TABLE", dict(methods._TABLE))
    methods.register(Method(_own, frozenset({"retain"}), "both", "nothing"))
    assert methods.get("_own") is _own
    assert methods.describe("_own").options == {"seed": 0}
    with pytest.raises(ValueError, match=r"method: expected a new name. Received: '_own'"):
        methods.register(Method(_own, frozenset({"retain"}), "both", "nothing"))


def test_unlearn_by_name_and_by_function(net, split):
    options = {"epochs": 1, "batch_size": 8, "seed": 1}
    by_name = tfunlearn.unlearn(net, split, "finetune", **options)
    by_function = tfunlearn.unlearn(net, split, methods.finetune, **options)
    for left, right in zip(by_name.get_weights(), by_function.get_weights(), strict=True):
        assert left.tobytes() == right.tobytes()
    assert isinstance(by_name, keras.Model)


def test_unlearn_names_an_option_that_the_method_does_not_take(net, split):
    with pytest.raises(
        ValueError, match=r"sigma: finetune does not take it.*Expected: some of seed, epochs"
    ):
        tfunlearn.unlearn(net, split, "finetune", sigma=0.6)
    with pytest.raises(ValueError, match="stddev: retrain does not take it"):
        tfunlearn.unlearn(net, split, "retrain", stddev=0.6)
