"""Searches settings for each method: the smallest gap within a tenth of retraining's time.

Writes results/search_<dataset>_<task>.json with every trial. A random search: the first trial of a
method is its defaults; in each other one every option is left alone or drawn anew, with even
chances, and every second one takes no more epochs than a tenth of retraining's. Never drawn: FIXED
(losses, optimizers, the guarantee of a certified method), and options that take a tuple, a choice
of layers or nothing but None. The seed of the task is one that no table uses. What is finished is
kept under runs/.

    python benchmarks/search.py --dataset fashion_mnist --task mislabelled --trials 20
"""

import argparse
import pathlib
import shlex
import types
import typing
import zlib

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
FIXED = {"seed", "callbacks", "jit_compile", "verbose", "loss", "optimizer", "initialize"}
FIXED |= {"epsilon", "delta"}  # a weaker guarantee is no better setting
FIXED |= {"samples"}  # more of them are no other setting, only slower
EPOCHS, BATCH_SIZES = (1, 2, 3, 5), (32, 64, 128, 256, 512)
SPANS = {
    "ceiling": (0.2, 20),
    "damping": (1e-4, 10),
    "percentile": (50, 100),
    "strength": (0.1, 10),
}
SHARES = {"slow_rate"}  # at most 1, which is their default


def main(argv=None) -> None:
    """Makes the trials that are not there yet and writes them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--methods", nargs="+", help="(default: all that fit)")
    parser.add_argument("--trials", type=int, default=20, help="for each method")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100])
    parser.add_argument("--references", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--data-dir")
    parser.add_argument("--runs", default=str(HERE.parent / "runs" / "search"))
    parser.add_argument("--results", help="(default: benchmarks/results)")
    args = parser.parse_args(argv)
    if min(args.seeds) < 100:
        parser.error("--seeds: expected seeds from 100, as the tables use those below")
    smaller = [f"--{name}" for name in ("epochs", "limit") if getattr(args, name)]
    smaller += ["--references"] * (args.references < parser.get_default("references"))
    if smaller and args.results is None:
        parser.error(
            f"{', '.join(smaller)}: --results FOLDER is wanted too, as the committed "
            "results are of whole runs"
        )
    results = pathlib.Path(args.results or HERE / "results")

    from tfunlearn.experiments import startup

    startup.start()
    from tfunlearn.audit.environment import environment
    from tfunlearn.experiments.compare import plan
    from tfunlearn.experiments.compare_figures import BUDGET
    from tfunlearn.experiments.stages import write_json

    fit, _ = plan(args.task, args.methods, {}, {})
    rows = run([attempt.method for attempt in fit], args)
    write_json(
        results / f"search_{args.dataset}_{args.task}.json",
        {
            "schema": "tfunlearn.search",
            "version": 1,
            "command": recorded(args),
            "environment": environment(),
            "task": args.task,
            "dataset": args.dataset,
            "seeds": args.seeds,
            "references": args.references,
            "budget": BUDGET,
            "best": best(rows),
            "trials": rows,
        },
    )


def recorded(args: argparse.Namespace) -> str:
    """Returns the command that gives these arguments, without the folders of this machine."""
    parts = ["python", "benchmarks/search.py"]
    for name, value in vars(args).items():
        if value is not None and name not in ("data_dir", "runs", "results"):
            parts += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(parts)


def run(names, args):
    """Returns a row of figures for every trial, the smallest gap first."""
    from tfunlearn import methods
    from tfunlearn.data import scenarios
    from tfunlearn.experiments.compare_figures import figures
    from tfunlearn.experiments.compare_run import Attempt, Run

    make, folder = scenarios.get(args.task), pathlib.Path(args.runs) / f"{args.dataset}-{args.task}"
    given = {"limit": args.limit, "epochs": args.epochs, "data_dir": args.data_dir}
    reports, failed, attempts = {}, {}, []
    for seed in args.seeds:
        scenario = make(args.dataset, seed=seed, **given)
        attempts = attempts or [
            Attempt(f"{name} {n}", name, draw(methods.describe(name), n, scenario.training))
            for name in names
            for n in range(args.trials)
        ]
        say = print if seed == args.seeds[0] else lambda line: None
        reports[seed], failed[seed] = Run(scenario, folder, 0, say).report(
            attempts, args.references
        )
    return figures(reports, attempts, failed)["rows"]


def best(rows):
    """Returns method to its closest trial within the budget that worked and did not collapse."""
    from tfunlearn.experiments.compare_figures import closest

    found = {}
    for name in sorted({row["method"] for row in rows if row["method"]}):
        label = closest([row for row in rows if row["method"] == name])
        for row in rows:
            if row["name"] == label:
                kept = ("options", "gap", "gap_closed", "in_range", "share_of_retraining")
                found[name] = {key: row[key] for key in kept}
    return found


def draw(method, number, training):
    """Returns the options of a method's trial: none for the first one."""
    if number == 0:
        return {}
    numbers = np.random.default_rng([zlib.crc32(method.name.encode()), number])
    hints, options = typing.get_type_hints(method.function), {}
    for name, default in method.options.items():
        changed, value = numbers.random() < 0.5, _value(name, default, hints, training, numbers)
        if changed and name not in FIXED and value:
            options[name] = value[0]
    return options if number % 2 == 0 else {**options, **_few_epochs(method, training, numbers)}


def _few_epochs(method, training, numbers):
    """Returns epochs, of all kinds that a method has, which a tenth of retraining allows."""
    most = max(1, training.epochs // 10)
    names = [name for name in method.options if name.endswith("epochs")]
    counts = [name for name in names if isinstance(method.options[name], int)]
    return {name: int(numbers.integers(1, most + 1)) for name in counts}


def _value(name, default, hints, training, numbers):
    """Returns another value of an option in a list, which is empty for one not to search."""
    whole = not isinstance(default, bool) and isinstance(default, int)
    kinds = _kinds(hints.get(name))
    if name == "epochs":
        return [int(numbers.choice(EPOCHS))]
    if name == "batch_size":
        return [int(numbers.choice(BATCH_SIZES))]
    if name == "learning_rate" and default is None:
        return [_digits(training.learning_rate * 10 ** numbers.uniform(-2, 1))]
    if name == "stop_accuracy":
        return [None if numbers.random() < 1 / 3 else _digits(numbers.uniform())]
    if name in SHARES:
        return [_digits(numbers.uniform(0.05, 1))]
    if name in SPANS and not isinstance(default, float):
        return [_digits(10 ** numbers.uniform(*np.log10(SPANS[name])))]
    if typing.get_origin(hints.get(name)) is typing.Literal:
        return [str(numbers.choice(typing.get_args(hints[name])))]
    if isinstance(default, bool) or bool in kinds:
        return [bool(numbers.random() < 0.5)]
    if whole and default > 0:
        return [max(1, round(default * 2 ** numbers.uniform(-2, 2)))]
    if whole or int in kinds:
        return [int(numbers.integers(0 if whole else 1, 4))]
    if isinstance(default, float) and default > 0:
        factor = 10 ** numbers.uniform(-1, 1)
        odds = factor * default / (1 - default) if default < 1 else None  # a share stays below 1
        return [_digits(odds / (1 + odds) if odds else factor * default)]
    return []


def _kinds(hint):
    """Returns the types that an option takes, where it is one of several."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else ()


def _digits(value):
    """Returns a number with three digits."""
    return float(f"{value:.3g}")


if __name__ == "__main__":
    main()
