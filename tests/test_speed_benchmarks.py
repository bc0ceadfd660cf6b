"""The side-by-side benchmarks on a few digits: contestants do the same, and what is written."""

import importlib.util
import json
import pathlib
import sys
from argparse import Namespace

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """A function from a benchmark's name to its module."""
    monkeypatch.syspath_prepend(FOLDER)

    def found(name):
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return found


@pytest.fixture
def torch():
    """PyTorch, which only these benchmarks use."""
    found = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    threads = found.get_num_threads()
    found.set_num_threads(1)  # far quicker where a machine is busy
    yield found
    found.set_num_threads(threads)


def result_of(module, path, *options):
    """Returns what a benchmark writes to a file."""
    module.main([*map(str, options), "--out", str(path)])
    result = json.loads(path.read_text())
    assert str(path.parent) not in json.dumps(result)
    assert result["machine"]["cores"] >= 1
    assert {"tfunlearn", "keras", "tensorflow", "numpy"} <= set(result["environment"])
    assert result["command"].startswith(f"python benchmarks/run_{result['benchmark']}.py --rounds ")
    return result


def test_training_ratios_are_those_of_the_rounds(load, tmp_path):
    options = ["--dataset", "digits", "--limit", 200, "--rounds", 2, "--here", "--product", 64]
    only = ["--only", "keras", "tfunlearn", "arithmetic"]
    result = result_of(load("run_training"), tmp_path / "training.json", *options, *only)
    found = result["contestants"]
    assert list(found) == ["keras", "tfunlearn", "arithmetic"]
    for name in ("keras", "arithmetic"):
        above, below = (found[own]["epoch_seconds"]["rounds"] for own in (name, "tfunlearn"))
        expected = sorted(a / b for a, b in zip(above, below, strict=True))
        ratio = result["ratio"][name]
        assert (ratio["min"], ratio["max"]) == pytest.approx(expected)
        assert ratio["median"] == pytest.approx(sum(expected) / 2)
    weights = 64 * 256 + 256 * 128 + 128 * 64 + 64 * 10
    assert found["arithmetic"]["operations"]["median"] == 6 * weights * 199
    for name in ("keras", "tfunlearn"):
        assert 0 <= found[name]["test_accuracy"]["min"] <= 1


@pytest.mark.slow
def test_training_on_jax_has_a_process_of_its_own(load, tmp_path):
    module, options = load("run_training"), ["--dataset", "digits", "--limit", 200, "--rounds", 1]
    only = ["--only", "tfunlearn", "tfunlearn_jax"]
    result = result_of(module, tmp_path / "training.json", *options, *only)
    assert set(result["ratio"]) == {"tfunlearn_jax"}
    with pytest.raises(SystemExit, match="--here: Keras is imported already"):
        module.CONTESTANTS["keras_jax"](Namespace())


def test_training_in_pytorch_learns_as_keras_does(load, tmp_path, torch, monkeypatch):
    module = load("run_training")
    monkeypatch.setattr(module, "RATE", 0.03)
    args = Namespace(folder=tmp_path, dataset="digits", data_dir=None, limit=500)
    vars(args).update(batch_size=16, loaders=0, seed=0)
    module.prepare(args, tmp_path)
    images = module.Images(*(part[1:] for part in module.load(args)[:2]))
    first = images[0][0].reshape(-1)
    np.testing.assert_allclose(first, module.scaled(module.load(args)[0][1]), atol=1e-6)
    for name in ("pytorch_loader", "pytorch_memory", "keras", "tfunlearn"):
        assert module.CONTESTANTS[name](args)["test_accuracy"] > 0.7, name


@pytest.mark.slow
def test_methods_are_timed_on_both_sides(load, tmp_path, torch):
    options = ["--dataset", "digits", "--limit", 100, "--rounds", 1, "--here", "--batch-size", 50]
    result = result_of(
        load("run_methods"), tmp_path / "m.json", *options, "--epochs", 2, "--before", 1
    )
    left, right = result["contestants"]["pytorch"], result["contestants"]["tfunlearn"]
    assert left["parameters"] == right["parameters"]
    assert set(result["ratio"]) == {
        *(f"{name}_{part}" for name in ("scrub", "salun") for part in PARTS),
        *("ssd_first", "ssd"),
    }
    seconds = "scrub_epoch_seconds"
    expected = left[seconds]["median"] / right[seconds]["median"]
    assert result["ratio"]["scrub_epoch"]["median"] == pytest.approx(expected)
    assert set(right) - set(left) == {
        f"ssd_by_example_{name}"
        for name in ("first_seconds", "seconds", "forget_accuracy", "retain_accuracy")
    }


PARTS = ("first_epoch", "epoch", "call")


@pytest.fixture
def trained(load, torch):
    """The benchmark of methods, a small original in PyTorch, its parts and all of its data."""
    module = load("run_methods")
    torch.manual_seed(0)
    x, y = torch.rand(60, 1, 8, 8), torch.arange(60) % 10
    original = module.torch_cnn((1, 8, 8))
    step = module.torch_descent(original, 0.01)
    for batch in module.torch_batches(x, y, 20):
        step(*batch)
    parts = {"f": (x[:20], y[:20]), "r": (x[20:], y[20:])}
    return module, original, parts, (x, y)


def flat(torch, model):
    """Returns all weights of a model that train."""
    return torch.cat([own.detach().flatten() for own in model.parameters()])


def test_salun_in_pytorch_holds_half_of_the_weights(trained, torch):
    module, original, parts, _ = trained
    before, epochs = flat(torch, original), []
    model = module.torch_salun(original, parts, Namespace(batch_size=10, epochs=2), epochs)
    mask = torch.cat([own.flatten() for own in module.torch_masks(original, parts["f"], 10)])
    moved = flat(torch, model) != before
    assert len(epochs) == 2
    assert int(mask.sum()) == len(mask) // 2
    assert not moved[mask == 0].any()
    assert moved[mask == 1].double().mean() > 0.8
    assert torch.equal(flat(torch, original), before)


def test_ssd_in_pytorch_dampens_what_matters_more_to_forget(trained, torch):
    module, original, parts, everything = trained
    model = module.torch_ssd(original, parts, everything, Namespace(batch_size=60))
    original.eval()

    def squares(x, y):
        original.zero_grad()
        torch.nn.functional.cross_entropy(original(x), y).backward()
        return torch.cat([own.grad.flatten() ** 2 for own in original.parameters()])

    ours, common = squares(*parts["f"]), squares(*everything)
    factor = torch.where(ours > common, common / ours, torch.ones_like(ours))
    expected = flat(torch, original) * factor
    torch.testing.assert_close(flat(torch, model), expected, rtol=1e-3, atol=1e-6)


def test_scrub_in_pytorch_trains_a_copy(trained, torch):
    module, original, parts, _ = trained
    before, epochs = flat(torch, original), []
    model = module.torch_scrub(original, parts, Namespace(batch_size=10, epochs=2), epochs)
    assert len(epochs) == 2
    assert torch.equal(flat(torch, original), before)
    assert not torch.equal(flat(torch, model), before)


def test_fisher_sums_agree(load, tmp_path):
    options = ["--dense", "digits", "--cnn", "digits", "--examples", 40, "--rounds", 1]
    options += ["--eager", 20]
    result = result_of(load("run_fisher"), tmp_path / "fisher.json", *options)
    for found in result["networks"].values():
        assert max(found["largest_relative_difference"].values()) < 2e-3
        assert max(found["relative_difference"].values()) < 1e-5
        assert 0 < found["relative_difference_in_float64"] < 1e-10
        own = found["seconds"].pop("tfunlearn")["median"]
        assert list(found["seconds"]) == ["eager loop", "loop"]
        for name, seconds in found["seconds"].items():
            assert found["ratio"][name]["median"] == pytest.approx(seconds["median"] / own)


def test_both_loops_give_the_same_sums(load):
    module = load("run_fisher")
    model, x, y = module.network(Namespace(dense="digits", data_dir=None, examples=7), "dense")
    for own, other in zip(module.eager_loop(model, x, y), module.loop(model, x, y), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-9)


def test_difference_is_the_largest_and_leaves_out_what_is_next_to_nothing(load):
    exact = [np.array([4.0, 2.0, 1e-9]), np.zeros(2)]
    found = [np.array([4.1, 2.2, 5e-9]), np.zeros(2)]
    assert load("run_fisher").difference(found, exact) == pytest.approx(0.1)


def test_distance_is_that_of_the_weight_where_it_is_largest(load):
    exact = [np.array([3.0, 4.0]), np.array([1e-3, 0.0])]
    found = [np.array([3.0, 4.5]), np.array([1e-3, 2e-4])]
    assert load("run_fisher").distance(found, exact) == pytest.approx(0.2)


def test_split_at_two_sizes(load, tmp_path):
    options = ["--dataset", "digits", "--sizes", 150, 300, "--rounds", 1, "--here"]
    result = result_of(load("run_split"), tmp_path / "split.json", *options)
    assert result["settings"]["sizes"] == [150, 300]
    sizes = {kind: list(found) for kind, found in result["pipelines"].items()}
    assert sizes == {"notebook": ["300"], "records": ["150", "300"]}
    for found in result["pipelines"].values():
        for size, both in found.items():
            for name in ("keras", "tfunlearn"):
                assert both[name]["retain"]["median"] == 0.9 * int(size)
                assert both[name]["peak_mib"]["median"] >= both[name]["added_mib"]["median"] >= 0
            above, below = (
                both[name]["split_seconds"]["median"] for name in ("keras", "tfunlearn")
            )
            assert both["ratio"]["split_seconds"]["median"] == above / below
    rows = load("speed_table").split_rows(result)
    assert len(rows) == 9
    assert rows[0][0] == "split and first pass, the second notebook's pipeline of 300 images"


def test_both_pipelines_give_the_same_images_in_batches(load, tmp_path):
    run_split = load("run_split")
    options = Namespace(dataset="digits", sizes=[200], data_dir=None, seed=0, folder=tmp_path)
    run_split.prepare(options, tmp_path)
    rows = [list(make(options).as_numpy_iterator()) for make in run_split.PIPELINES.values()]
    assert [len(y) for _, y in rows[0]] == [len(y) for _, y in rows[1]] == [128, 72]
    for (x, y), (other, labels) in zip(*rows, strict=True):
        np.testing.assert_allclose(2 * (x / 4 + 0.5) - 1, other, atol=1e-5)
        assert y.tolist() == labels.tolist()


def test_a_peak_never_falls(load, monkeypatch, tmp_path):
    run_split, counts = load("run_split"), iter([10.0, 9.9])
    monkeypatch.setattr(run_split, "peak_mib", lambda: next(counts))
    options = Namespace(dataset="digits", sizes=[50], data_dir=None, seed=0, folder=tmp_path)
    options.pipelines = ["records"]
    run_split.prepare(options, tmp_path)
    found = run_split.timed(options, lambda batches: batches)
    assert (found["peak_mib"], found["added_mib"], found["retain"]) == (10.0, 0.0, 50)


def test_a_contestant_gets_its_options_in_a_process_of_its_own(load, tmp_path):
    rounds = load("rounds")
    script = tmp_path / "script.py"
    script.write_text("import json, sys\nprint('noise')\nprint(json.dumps(sys.argv[1:]))\n")
    args = Namespace(rounds=5, only=["a"], here=False, out="x", contestant=None, data_dir="y")
    vars(args).update(batch_size=32, sizes=[1, 2], folder="f", seed=3)
    found = rounds.in_process(str(script), "a", args)
    assert found[:8] == ["--contestant", "a", "--batch-size", "32", "--sizes", "1", "2", "--folder"]
    assert found[8:] == ["f", "--seed", "3"]
    script.write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="a failed"):
        rounds.in_process(str(script), "a", args)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("training", ["--limit", "100"]),
        ("training", ["--dataset", "digits"]),
        ("training", ["--only", "keras"]),
        ("methods", ["--epochs", "2"]),
        ("methods", ["--here"]),
        ("split", ["--sizes", "100"]),
        ("fisher", ["--examples", "10"]),
        ("fisher", ["--rounds", "2"]),
        ("import", ["--rounds", "2"]),
        ("growth", ["--largest", "1000"]),
        ("growth", ["--only", "bank"]),
    ],
)
def test_smaller_runs_are_no_committed_results(load, name, option, capsys):
    with pytest.raises(SystemExit):
        load(f"run_{name}").main(option)
    assert f"error: {option[0]}: --out FILE is wanted too" in capsys.readouterr().err


def test_what_to_do_without_pytorch(load, monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("training", "methods"):
        monkeypatch.setattr(sys, "argv", ["run"])
        with pytest.raises(SystemExit, match="pip install torch"):
            load(f"run_{name}").main(["--out", str(tmp_path / "x.json")])


def results_of(*values):
    """Returns a summary as `rounds.summary` makes it."""
    return {"median": sorted(values)[len(values) // 2], "min": min(values), "max": max(values)}


def test_table_of_what_is_there_and_what_is_not(load):
    common = {
        "settings": {"rounds": 3, "examples": 2000},
        "machine": {"cores": 2, "vectors": "avx2"},
        "environment": {"processor": "P", "keras": "3", "tensorflow": "2", "torch": "1"},
    }
    contestants = {
        name: {"epoch_seconds": results_of(seconds), "first_epoch_seconds": results_of(9.0)}
        for name, seconds in (("keras", 3.0), ("tfunlearn", 1.5), ("arithmetic", 0.01234))
    }
    for name in ("keras", "tfunlearn"):
        contestants[name]["test_accuracy"] = results_of(0.9)
    ratio = {"keras": results_of(1.0, 2.0, 4.0), "arithmetic": results_of(0.01)}
    training = {"benchmark": "training", "contestants": contestants, "ratio": ratio, **common}
    seconds = {name: results_of(30.0) for name in ("eager loop", "loop")}
    ratios = dict(seconds)
    seconds["tfunlearn"] = results_of(1.0)
    off = {"relative_difference": {"loop": 2e-5, "tfunlearn": 1e-6}}
    off["relative_difference_in_float64"] = 3e-14
    networks = {"dense": {"seconds": seconds, "ratio": ratios, **off}}
    slower = {"dense": {"seconds": seconds, "ratio": {**ratios, "loop": results_of(7.0)}, **off}}
    growth = {
        "cost": "making a split",
        "against": "examples",
        "unit": "seconds",
        "sizes": [10, 1000],
        "medians": [0.5, 50.0],
        "exponent": 1.0,
    }
    costs = {name: results_of(1.5) for name in ("making", "describing", "fingerprint")}
    half = {"one_against_half": {"examples": 1000, "ratio": costs}}
    found = {
        "training.json": training,
        "fisher.json": {"benchmark": "fisher", "networks": networks, **common},
        "growth.json": {"benchmark": "growth", "curves": [growth], **common, **half},
        "avx2/fisher.json": {"benchmark": "fisher", "networks": slower, **common},
    }
    lines = load("speed_table").table(found.get).splitlines()
    assert "| an epoch, MNIST network | Keras `fit` on arrays | 3.00 s | 1.50 s | " in lines[2]
    assert lines[2].endswith("| **2.00** (1.00 to 4.00) |  |")
    assert "| 0.0123 s | 1.50 s | **0.0100** (0.0100 to 0.0100) |" in lines[3]
    assert lines[5].endswith("| **30.0** (30.0 to 30.0) | **7.00** (7.00 to 7.00) |")
    assert lines[4].startswith("| exact diagonal Fisher of 2,000 examples, MNIST network | ")
    assert lines[9] == "| making a split | examples | 0.500 s at 10 | 50.0 s at 1,000 | 1.00 |"
    assert lines[11].startswith("- training: 3 rounds on 2 cores (P, avx2), Keras 3, TensorFlow ")
    assert "tfunlearn 9.00 s and 0.900" in lines[11]
    assert [line[:8] for line in lines[12:15]] == ["- fisher", "- growth", ""]
    assert lines[12].endswith("loop 2.0e-05, tfunlearn 1.0e-06, tfunlearn in float64 3.0e-14.")
    assert lines[15].startswith("Not run yet: `python benchmarks/run_methods.py`, ")
    nothing = load("speed_table").table(lambda name: None)
    assert nothing.startswith("Not run yet: `python benchmarks/run_training.py`, ")


def test_starts_of_processes_are_beside_tensorflow(load, tmp_path, monkeypatch):
    module = load("run_import")
    monkeypatch.setattr(module, "started", lambda code: 2.0 if "tensorflow" in code else 0.5)
    result = result_of(module, tmp_path / "import.json", "--rounds", 2)
    assert {name: found["median"] for name, found in result["ratio"].items()} == {
        "tfunlearn": 4.0,
        "first_use": 4.0,
        "help": 4.0,
    }
    rows = load("speed_table").import_rows(result)
    assert rows[0][2:] == ["2.00 s", "0.500 s", "**4.00** (4.00 to 4.00)"]


def test_a_bank_beside_plain_trainings(load, tmp_path):
    options = ["--dataset", "digits", "--limit", 60, "--models", 1, "--plain", 1, "--epochs", 1]
    options += ["--rounds", 2, "--workers", 2, "--product", 64]
    result = result_of(load("run_bank"), tmp_path / "bank.json", *options)
    found = result["seconds_a_model"]
    assert list(found) == ["plain", "this process", "1 process", "2 processes", "arithmetic"]
    ratios = {(name, "plain"): ratio for name, ratio in result["ratio"].items()}
    assert [name for name, _ in ratios] == ["this process", "1 process", "2 processes"]
    ratios["this process", "arithmetic"] = result["arithmetic"]
    ratios["2 processes", "1 process"] = result["more_processes"]
    for (below, above), ratio in ratios.items():
        pairs = zip(found[above]["rounds"], found[below]["rounds"], strict=True)
        assert ratio["rounds"] == [one / other for one, other in pairs]
    assert all(seconds > 0 for seconds in found["arithmetic"]["rounds"])
    rows = load("speed_table").bank_rows(result)
    assert [row[1] for row in rows[3:]] == [
        "its operations at a large product's rate",
        "the same in 1 process",
    ]
    assert rows[0][0] == "a retrained model of 1, 1 epochs, in this process"
    assert rows[0][2].endswith(" s")


def test_vector_instructions_are_those_of_the_processor(load, tmp_path):
    found = load("rounds").vectors
    flags = tmp_path / "cpuinfo"
    flags.write_text("flags : fpu avx f16c avx2\n")
    assert found(flags) == "avx2"
    flags.write_text("flags : fpu avx avx2 avx512f\n")
    assert found(flags) == "avx512f"
    flags.write_text("flags : fpu\n")
    assert found(flags) is found(tmp_path / "missing") is None


def test_every_command_starts(load):
    module = load("run_import")
    assert module.started(module.COMMANDS["help"]) > 0
    assert module.started(module.COMMANDS["tfunlearn"]) > 0


def test_growth_measures_every_part_and_draws_it(load, tmp_path, monkeypatch):
    module = load("run_growth")
    for name, sizes in (("SPLIT", (100, 1000)), ("BANK", (2, 4)), ("REPORT", (3, 6))):
        monkeypatch.setattr(module, name, sizes)
    monkeypatch.setattr(module, "AUDIT_MODELS", (4, 8))
    monkeypatch.setattr(module, "AUDIT_EXAMPLES", (20, 40))
    monkeypatch.setattr(module, "measure_audit", lambda models, _: whole(models, 30))
    whole = load("run_growth").measure_audit
    result = result_of(module, tmp_path / "growth.json", "--rounds", 1, "--largest", 1000)
    curves = {(one["cost"], one["unit"]): one for one in result["curves"]}
    assert {one["against"] for one in result["curves"]} == {
        *("training examples", "references", "forget examples"),
        *("models on disk", "models in a report"),
    }
    page = curves["a report's page", "mib"]
    assert (page["sizes"], page["medians"][0] < page["medians"][1]) == ([3, 6], True)
    memory = curves["making a split", "mib"]
    expected = np.polyfit(np.log(memory["sizes"]), np.log(memory["medians"]), 1)[0]
    assert memory["exponent"] == pytest.approx(expected)
    assert result["one_against_half"]["examples"] == 1000
    assert set(result["one_against_half"]["ratio"]) == {"making", "describing", "fingerprint"}
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    lines = load("speed_table").growth_table(result).splitlines()
    assert len(lines) == 2 + len(result["curves"])
    assert "a forget set of half of 1,000 examples" in load("speed_table").growth_text(result)


def test_the_slope_is_that_of_a_fit(load):
    sizes, values = [1, 4, 10, 200], [0.3, 2.0, 1.0, 70.0]
    expected = np.polyfit(np.log(sizes), np.log(values), 1)[0]
    assert load("run_growth").slope(sizes, values) == pytest.approx(expected)


def test_memory_is_the_peak_and_not_what_is_left(load):
    def hold():
        np.ones(3 * 2**17)  # 3 MiB

    assert 3 <= load("run_growth").mib_of(hold) < 3.2
