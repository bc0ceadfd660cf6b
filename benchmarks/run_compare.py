"""Runs every method on the tasks of a data set and writes what the README's tables are made of.

Writes results/compare_<dataset>_<task>.json: every method with its defaults, and once more with the
settings in results/search_<dataset>_<task>.json where benchmarks/search.py has found some. What is
finished is kept under runs/, so that a killed benchmark goes on where it stopped.

    python benchmarks/run_compare.py --dataset fashion_mnist
    python benchmarks/run_compare.py --dataset cifar10 --tasks mislabelled backdoor
"""

import argparse
import json
import pathlib
import shlex

HERE = pathlib.Path(__file__).resolve().parent


def main(argv=None) -> None:
    """Makes the rows that are not there yet and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--tasks", nargs="+", help="(default: all)")
    parser.add_argument("--methods", nargs="+", help="(default: all that fit)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--references", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--data-dir")
    parser.add_argument("--runs", default=str(HERE.parent / "runs" / "compare"))
    parser.add_argument("--results", help="(default: benchmarks/results)")
    args = parser.parse_args(argv)
    smaller = [f"--{name}" for name in ("methods", "epochs", "limit") if getattr(args, name)]
    for name in ("seeds", "references"):
        smaller += [f"--{name}"] * (getattr(args, name) < parser.get_default(name))
    if smaller and args.results is None:
        parser.error(
            f"{', '.join(smaller)}: --results FOLDER is wanted too, as the committed "
            "results are of whole runs"
        )
    results = pathlib.Path(args.results or HERE / "results")

    from tfunlearn.experiments import startup

    startup.start()
    from tfunlearn.data import scenarios
    from tfunlearn.experiments.compare import compare
    from tfunlearn.experiments.stages import write_json

    for task in args.tasks or scenarios.TASKS:
        result = compare(
            task,
            out=pathlib.Path(args.runs) / f"{args.dataset}-{task}",
            dataset=args.dataset,
            names=args.methods,
            seeds=args.seeds,
            references=args.references,
            limit=args.limit,
            epochs=args.epochs,
            data_dir=args.data_dir,
            searched=found_by_search(results, args.dataset, task),
            command=recorded(args),
        )
        path = results / f"compare_{args.dataset}_{task}.json"
        write_json(path, {"benchmark": "compare", **result})


def recorded(args: argparse.Namespace) -> str:
    """Returns the command that gives these arguments, without the folders of this machine."""
    parts = ["python", "benchmarks/run_compare.py"]
    for name, value in vars(args).items():
        if value is not None and name not in ("data_dir", "runs", "results"):
            parts += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(parts)


def found_by_search(results: pathlib.Path, dataset: str, task: str) -> dict[str, dict]:
    """Returns method to the settings that were found for it, where they are not its defaults."""
    path = results / f"search_{dataset}_{task}.json"
    if not path.is_file():
        return {}
    best = json.loads(path.read_text(encoding="utf-8"))["best"]
    return {name: row["options"] for name, row in best.items() if row["options"]}


if __name__ == "__main__":
    main()
