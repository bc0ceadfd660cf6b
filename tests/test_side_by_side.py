"""The side-by-side benchmarks at a tiny size: every contestant runs, ratios are of one round."""

import importlib.util
import json
import pathlib
import sys

import pytest

from tfunlearn.experiments import startup

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"
TINY = {
    "training": ["--dataset", "digits", "--limit", "120", "--product", "64", "--loaders", "0"],
    "split": ["--dataset", "digits", "--sizes", "120"],
    "fisher": ["--examples", "40", "--dense", "digits", "--cnn", "digits"],
    "methods": ["--dataset", "digits", "--limit", "100", "--before", "1", "--epochs", "2"],
}
PEERS = {"training": {"pytorch_loader", "pytorch_memory"}, "methods": {"pytorch"}}
HAS_TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function: name, options -> what the benchmark wrote."""
    monkeypatch.setattr(startup, "start", lambda: None)
    monkeypatch.syspath_prepend(str(FOLDER))

    def result(name, *options):
        out = tmp_path / f"{name}.json"
        load(name).main([*TINY[name], "--rounds", "1", *options, "--out", str(out)])
        return json.loads(out.read_text())

    yield result
    sys.modules.pop("rounds", None)


def load(name):
    """Returns a benchmark as a module."""
    spec = importlib.util.spec_from_file_location(f"side_{name}", FOLDER / f"run_{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_peers(name):
    """Returns the options that leave out what needs PyTorch, where it is not installed."""
    if HAS_TORCH or name not in PEERS:
        return []
    names = {"training": ["keras", "tfunlearn", "arithmetic"], "methods": ["tfunlearn"]}
    return ["--only", *names[name]]


def assert_recorded(result, name):
    """What a reader needs to make it again is there, and nothing of this machine's folders."""
    assert result["benchmark"] == name
    assert result["command"].startswith(f"python benchmarks/run_{name}.py")
    assert "/tmp" not in result["command"]
    assert result["environment"]["keras"]
    assert result["machine"]["cores"] >= 1


def test_training(run):
    result = run("training", "--here", *without_peers("training"))
    assert_recorded(result, "training")
    for name, own in result["contestants"].items():
        assert len(own["epoch_seconds"]["rounds"]) == 1
        assert name == "arithmetic" or 0 <= own["test_accuracy"]["median"] <= 1
    ratio, own = result["ratio"]["keras"], result["contestants"]
    seconds = [own[name]["epoch_seconds"]["rounds"] for name in ("keras", "tfunlearn")]
    assert ratio["rounds"] == [a / b for a, b in zip(*seconds, strict=True)]
    assert own["arithmetic"]["operations"]["median"] == 6 * 119 * (
        64 * 256 + 256 * 128 + 128 * 64 + 64 * 10
    )


def test_split(run):
    """In processes of their own, as memory is measured."""
    result = run("split")
    assert_recorded(result, "split")
    for size, contestants in result["sizes"].items():
        for figures in contestants.values():
            assert figures["retain"]["median"] == round(0.9 * int(size))
            assert figures["split_seconds"]["median"] > 0


def test_fisher(run):
    """The fast sum is the loop's: to a hundred-thousandth."""
    result = run("fisher")
    assert_recorded(result, "fisher")
    for network in result["networks"].values():
        assert max(network["largest_relative_difference"].values()) < 5e-5
        assert network["ratio"]["median"] > 0


def test_methods(run):
    result = run("methods", "--here", *without_peers("methods"))
    assert_recorded(result, "methods")
    for own in result["contestants"].values():
        for method in ("scrub", "salun", "ssd"):
            assert own[f"{method}_forget_accuracy"]["median"] < 0.5
    if HAS_TORCH:
        assert {"scrub_epoch", "salun_epoch", "ssd"} <= set(result["ratio"])


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_smaller_run_is_no_committed_result(name, monkeypatch, capsys):
    monkeypatch.setattr(startup, "start", lambda: pytest.fail("it has started"))
    monkeypatch.syspath_prepend(str(FOLDER))
    with pytest.raises(SystemExit):
        load(name).main(["--rounds", "1"])
    assert "--out FILE is wanted too" in capsys.readouterr().err
    sys.modules.pop("rounds", None)
