"""What a bank depends on: every input has its part in the key."""

import re

import keras
import numpy as np
import pytest

from tfunlearn.audit import ReferenceBank, bank_key, marks
from tfunlearn.audit.bank_own import Part, own_parts
from tfunlearn.data import ForgetSplit

from . import bank_parts as parts

layers, optimizers = keras.layers, keras.optimizers


def folder(net=None, split=None, **options):
    """Returns the name of a bank's folder."""
    net = parts.make_net() if net is None else net
    options = {"epochs": 2, "batch_size": 16, "threads": None, **options}
    return ReferenceBank("nowhere", net, split or parts.make_split(), **options).folder.name


def changed(role, part):
    """Returns a split in which one number of a role's is another."""
    split = parts.make_split()
    source, first = split.source(role), split.ids[role][0]
    if part == "inputs":
        source.x[first, 0] += 1
    else:
        source.y[first] = (source.y[first] + 1) % 3
    return split


def other_ids():
    split = parts.make_split()
    x, y = split.source("retain").x, split.source("retain").y
    return ForgetSplit.by_index(x, y, forget=range(1, 60, 6), test=split.test)


def more_classes():
    split = parts.make_split()
    x, y = split.source("retain").x, split.source("retain").y
    ids = split.ids["forget"]
    return ForgetSplit.by_index(x, y, forget=ids, test=split.test, num_classes=4)


def named_decay(name):
    """Returns a network whose weight decay leaves out layers by their names."""
    optimizer = optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=[name])
    return parts.make_net(layers.Dense(3), optimizer=optimizer)


def frozen(value):
    """Returns a network with a frozen layer of certain weights."""
    net = parts.make_net(layers.Dense(6, trainable=False))
    kernel, bias = net.layers[0].get_weights()
    net.layers[0].set_weights([np.full_like(kernel, value), bias])
    return net


CHANGES = {
    "as it is": {},
    "another layer": {"net": lambda: parts.make_net(layers.Dense(6))},
    "another activation": {"net": lambda: parts.make_net(layers.Dense(6, "relu"))},
    "frozen": {"net": lambda: frozen(0.0)},
    "other frozen weights": {"net": lambda: frozen(1.0)},
    "a layer of one's own": {"net": lambda: parts.make_net(parts.Scale())},
    "optimizer": {"optimizer": lambda: "adam"},
    "rate": {"optimizer": lambda: optimizers.SGD(0.02)},
    "schedule": {"optimizer": lambda: optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 9))},
    "decay by name": {"net": lambda: named_decay("bias")},
    "decay by another name": {"net": lambda: named_decay("kernel")},
    "loss": {"loss": lambda: "sparse_categorical_crossentropy"},
    "a loss of one's own": {"loss": lambda: parts.Weighted(1.0)},
    "another weight of it": {"loss": lambda: parts.Weighted(2.0)},
    "a function": {"loss": lambda: parts.counted},
    "epochs": {"epochs": lambda: 3},
    "batch size": {"batch_size": lambda: 17},
    "jit": {"jit_compile": lambda: True},
    "an input to forget": {"split": lambda: changed("forget", "inputs")},
    "an input to retain": {"split": lambda: changed("retain", "inputs")},
    "a test input": {"split": lambda: changed("test", "inputs")},
    "a label to forget": {"split": lambda: changed("forget", "labels")},
    "a label to retain": {"split": lambda: changed("retain", "labels")},
    "a test label": {"split": lambda: changed("test", "labels")},
    "ids": {"split": other_ids},
    "examples": {"split": lambda: parts.make_split().subset("retain", range(40))},
    "roles": {"roles": lambda: ["forget"]},
    "type": {"dtype": lambda: "float16"},
    "weights kept": {"keep_weights": lambda: True},
    "seed": {"seed": lambda: 1},
    "threads": {"threads": lambda: 1},
    "more threads": {"threads": lambda: 2},
}


def test_every_change_gives_another_bank():
    found = {}
    for name, change in CHANGES.items():
        mark = folder(**{key: value() for key, value in change.items()})
        assert mark not in found, f"{name} is as {found[mark]}"
        found[mark] = name


def test_number_of_classes_counts():
    one, other = (
        bank_key.data_marks(split, ("test",)) for split in (parts.make_split(), more_classes())
    )
    assert one == other
    wide = layers.Dense(4)
    assert folder(parts.make_net(head=wide)) != folder(parts.make_net(head=wide), more_classes())


def test_code_and_versions_count(monkeypatch):
    before = folder()
    for place, name in ((marks, "code"), (keras, "__version__"), (np, "__version__")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, (lambda: "other") if name == "code" else "9.9")
            assert folder() != before
    assert folder() == before


def test_code_of_ones_own_counts(monkeypatch):
    def own():
        return folder(parts.make_net(parts.Scale()))

    before = own()
    monkeypatch.setattr(Part, "mark", lambda self: "another text")
    assert own() != before
    assert folder() == folder()


def test_same_inputs_give_the_same_bank_whatever_was_built_before():
    def build():
        inner = keras.Sequential([keras.Input((6,)), layers.Dense(4)])
        inputs = keras.Input((6,))
        hidden = layers.Dropout(0.1)(inner(inputs))
        net = keras.Model(inputs, layers.Dense(3)(layers.Add()([hidden, layers.Dense(4)(inputs)])))
        net.compile(optimizers.Adam(), parts.Weighted(1.0))
        return net

    first = build()
    _ = [layers.Dense(2), keras.Sequential([keras.Input((2,)), layers.Dense(1)])]
    again = build()
    assert first.layers[1].name != again.layers[1].name  # Keras counts
    assert folder(first) == folder(again)
    first.fit(*parts.make_split().retain, epochs=1, verbose=0)
    assert folder(first) == folder(again)  # weights that are drawn anew do not count


def test_names_count_where_decay_goes_by_them():
    nets = [named_decay("dense") for _ in range(2)]
    assert nets[0].layers[0].name != nets[1].layers[0].name
    assert folder(nets[0]) != folder(nets[1])


def test_a_name_that_is_also_an_activation_is_not_mixed_up():
    def build(activation):
        return parts.make_net(layers.Dense(4, activation), layers.Softmax(name="softmax"))

    assert folder(build("softmax")) != folder(build("relu"))


def test_a_stream_is_marked_by_its_examples():
    tf = pytest.importorskip("tensorflow")
    arrays = parts.make_split(size=600)
    x, y = arrays.source("retain").x.copy(), arrays.source("retain").y

    def mark():
        stream = tf.data.Dataset.from_tensor_slices((x, y))
        split = ForgetSplit.from_dataset(stream, forget=arrays.ids["forget"], test=arrays.test)
        return bank_key.data_marks(split, ("test",))

    before = mark()
    assert mark() == before
    x[599, 5] += 1
    assert mark() != before


def test_settings_can_be_read(tmp_path):
    bank = ReferenceBank(
        tmp_path, parts.make_net(), parts.make_split(), epochs=1, threads=None, say=None
    )
    assert bank.settings["training"]["epochs"] == 1
    assert bank.settings["training"]["optimizer"]["class_name"] == "SGD"
    assert re.fullmatch("[0-9a-f]{16}", bank.folder.name)
    assert set(bank.settings["data"]) == {"forget", "retain", "test"}


def test_own_parts_are_found_at_any_depth():
    inner = [keras.Input((6,)), parts.Scale(), layers.Dense(3, activation=parts.doubled)]
    net = parts.make_net(keras.Sequential(inner))
    found = own_parts(bank_key.architecture(net), loss=parts.counted)
    assert [part.name for part in found] == ["Scale", "counted", "doubled"]
    assert all(part.importable() for part in found)
    assert found[0].load() is parts.Scale
    assert not Part("__main__", "Scale", "Scale").importable()
    assert not Part(parts.__name__, "Absent", "Absent").importable()
    [local] = own_parts(loss=parts.made_by(2))
    assert not local.importable()
