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
import sys

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
    parser.add_argument("--results", default=str(HERE / "results"))
    args = parser.parse_args(argv)
    if (args.limit or args.epochs) and args.results == parser.get_default("results"):
        parser.error("--limit, --epochs: need --results; a shortened run is no committed result")

    from tfunlearn.experiments import startup

    startup.start()
    from tfunlearn.data import scenarios
    from tfunlearn.experiments.compare import compare
    from tfunlearn.experiments.stages import write_json

    given = sys.argv[1:] if argv is None else argv
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
            searched=found_by_search(pathlib.Path(args.results), args.dataset, task),
            command=shlex.join(["python", "benchmarks/run_compare.py", *given]),
        )
        path = pathlib.Path(args.results) / f"compare_{args.dataset}_{task}.json"
        write_json(path, {"benchmark": "compare", **result})


def found_by_search(results: pathlib.Path, dataset: str, task: str) -> dict[str, dict]:
    """Returns method to the settings that were found for it, where they are not its defaults."""
    path = results / f"search_{dataset}_{task}.json"
    if not path.is_file():
        return {}
    best = json.loads(path.read_text(encoding="utf-8"))["best"]
    return {name: row["options"] for name, row in best.items() if row["options"]}


if __name__ == "__main__":
    main()
