"""Banks whose models begin with given weights: those of `retrain(initialize=)`, under their key."""

import contextlib

import keras
import numpy as np
import pytest

from tfunlearn import cli, methods, models
from tfunlearn.audit import ReferenceBank, bank_spool, find_bank
from tfunlearn.experiments import startup
from tfunlearn.report import AuditReport

from . import bank_parts as parts

FAST = {"epochs": 2, "batch_size": 12, "threads": None, "say": None, "keep_weights": True}


def net_of(seed):
    keras.utils.set_random_seed(seed)
    return parts.make_noisy_net()


def make_bank(folder, net, **options):
    return ReferenceBank(folder, net, parts.make_split(), **{**FAST, **options})


@pytest.mark.parametrize("fresh", [(), ("head",)], ids=["all", "head"])
def test_models_are_those_of_retrain_from_the_same_start(tmp_path, fresh):
    net, before, split = net_of(0), net_of(1), parts.make_split()
    bank = make_bank(tmp_path, net, initial=before, fresh=fresh)
    bank.fill(2)

    def initialize(seed):
        start = models.copy(before, seed=seed)
        if fresh:
            drawn = models.reinitialized(net, seed=seed)
            start.get_layer("head").set_weights(drawn.get_layer("head").get_weights())
        return start

    for seed in bank.seeds:
        own = {"seed": seed, "epochs": 2, "batch_size": 12, "initialize": initialize}
        expected = methods.retrain(net, split, **own)
        pairs = zip(bank.model(seed).get_weights(), expected.get_weights(), strict=True)
        for left, right in pairs:
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)
    assert models.weight_distance(bank.model(0), bank.model(1)) > 0


def test_the_start_is_in_the_key_and_the_bank_is_found_with_it(tmp_path):
    net, before, split = net_of(0), net_of(1), parts.make_split()
    banks = [
        make_bank(tmp_path, net),
        make_bank(tmp_path, net, initial=before),
        make_bank(tmp_path, net, initial=net_of(2)),
        make_bank(tmp_path, net, initial=before, fresh="head"),
    ]
    assert len({bank.folder for bank in banks}) == 4
    assert make_bank(tmp_path, net, initial=net_of(1)).folder == banks[1].folder
    banks[1]._entries.write_settings(banks[1].settings)
    assert find_bank(tmp_path, net, split, initial=before).folder == banks[1].folder
    for other in ({}, {"initial": net_of(2)}, {"initial": before, "fresh": "head"}):
        with pytest.raises(ValueError, match="differs in initial"):
            find_bank(tmp_path, net, split, **other)
    with pytest.raises(ValueError, match="fresh: expected initial with it"):
        make_bank(tmp_path, net, fresh="head")


def test_a_start_comes_back_from_the_workers_folder(tmp_path):
    bank = make_bank(tmp_path, net_of(0), initial=net_of(1), fresh="head")
    bank_spool.write(bank._job, tmp_path)
    with contextlib.ExitStack() as stack:
        again = bank_spool.read(tmp_path, stack)
    left, right = bank._job.fresh(7), again.fresh(7)
    for a, b in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (again.start.drawn, again.start.fresh) == (bank._job.start.drawn, ("head",))


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A folder with a model, its start in two forms, data and ids; Keras has started."""
    monkeypatch.setattr(startup, "start", lambda **options: None)
    monkeypatch.chdir(tmp_path)
    split = parts.make_split()
    source, held_out = split.source("retain"), split.test
    np.savez("d.npz", x_train=source.x, y_train=source.y, x_test=held_out[0], y_test=held_out[1])
    (tmp_path / "ids.txt").write_text("\n".join(map(str, range(0, 60, 6))))
    net, before = net_of(0), net_of(1)
    net.save("m.keras")
    before.save("start.keras")
    before.save_weights("start.weights.h5")
    return ["--data", "d.npz", "--forget", "ids.txt"]


def test_the_commands_take_a_start(task, capsys):
    recipe = ["--epochs", "1", "--batch-size", "12"]
    model = ["--model", "m.keras", *task]
    start = ["--initial", "start.keras", "--fresh", "head"]
    assert cli.main(["bank", *model, *recipe, *start, "--models", "3", "--out", "b"]) == 0
    assert "drawn from the seed: head" in capsys.readouterr().err
    audit = ["audit", "--original", "m.keras", "--unlearned", "start.keras", *task, "--bank", "b"]
    weights = ["--initial", "start.weights.h5", "--fresh", "head"]  # the same weights
    assert cli.main([*audit, *weights, "--out", "a"]) == 0
    report = AuditReport.load("a/report.json")
    assert report.reference_count == 2
    assert "--initial start.weights.h5 --fresh head" in report.command
    capsys.readouterr()
    assert cli.main([*audit, "--out", "a2"]) == 1
    assert "differs in initial" in capsys.readouterr().err
    unlearn = ["unlearn", *model, "--method", "finetune", "--retrain", "epochs=1", *start]
    assert cli.main([*unlearn, "--out", "u"]) == 0
    [note] = [text for text in AuditReport.load("u/report.json").notes if "Made by" in text]
    assert "fresh=['head']" in note
    assert "initial start.keras, sha256 " in note


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--fresh", "head"], "argument --fresh: not allowed without --initial"),
        (["--initial", "nowhere"], "expected an existing file"),
    ],
    ids=" ".join,
)
def test_bad_starts_are_one_line(task, capsys, args, words):
    model = ["--model", "m.keras", *task, "--epochs", "1", "--out", "b"]
    assert cli.main(["bank", *model, *args]) == 2
    assert words in capsys.readouterr().err


def test_a_damaged_start_is_an_error_that_names_it(task, capsys, tmp_path):
    for name in ("start.keras", "start.weights.h5"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:200])
        model = ["--model", "m.keras", *task, "--epochs", "1", "--out", "b"]
        assert cli.main(["bank", *model, "--initial", name]) == 1
        error = capsys.readouterr().err
        assert error.startswith("tfunlearn: error: initial: ")
        assert name in error
