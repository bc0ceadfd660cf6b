"""Repeats the MNIST notebook for several seeds and both initialisations.

Writes results/mnist_retrain.json: every run, and mean, lowest, highest and standard deviation.
Finished runs are kept under runs/, so that a killed benchmark goes on where it stopped.

    python benchmarks/run_mnist_retrain.py
"""

import argparse
import pathlib
import shlex
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main() -> None:
    """Makes the runs that are not there yet and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--inits", nargs="+", default=["torch", "keras"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--data-dir")
    parser.add_argument("--runs", default=str(HERE.parent / "runs" / "bench-mnist-retrain"))
    parser.add_argument("--out", default=str(HERE / "results" / "mnist_retrain.json"))
    args = parser.parse_args()
    if args.limit and args.out == parser.get_default("out"):
        parser.error("--limit needs --out: a limited run is no committed result")

    from tfunlearn.experiments import startup

    startup.start()
    from tfunlearn.audit.environment import environment
    from tfunlearn.experiments.stages import write_json

    runs = {init: [run(args, init, seed) for seed in args.seeds] for init in args.inits}
    write_json(
        args.out,
        {
            "benchmark": "mnist_retrain",
            "command": shlex.join(["python", "benchmarks/run_mnist_retrain.py", *sys.argv[1:]]),
            "environment": environment(),
            "init": {
                init: {"seeds": args.seeds, "summary": summary(done), "runs": done}
                for init, done in runs.items()
            },
        },
    )


def run(args: argparse.Namespace, init: str, seed: int) -> dict:
    """Makes one run, or reads it where it is finished, and returns its numbers and settings."""
    from tfunlearn.experiments.mnist_retrain import mnist_retrain

    result = mnist_retrain(
        pathlib.Path(args.runs) / f"{init}-{seed}",
        data_dir=args.data_dir,
        seed=seed,
        epochs=args.epochs,
        limit=args.limit,
        init=init,
        say=None,
    )
    del result["environment"]  # stands in the file once
    print(f"{init} {seed}: {_figures(result)}", flush=True)
    return {"seed": seed, **result}


def summary(runs: list[dict]) -> dict[str, dict[str, float | None]]:
    """Returns mean, lowest, highest and sample standard deviation of each figure."""
    found = {}
    for key in _figures(runs[0]):
        values = [run[key] for run in runs]
        found[key] = {
            "mean": statistics.fmean(values),
            "min": min(values),
            "max": max(values),
            "std": statistics.stdev(values) if len(values) > 1 else None,
        }
    return found


def _figures(result: dict) -> dict[str, float]:
    return {key: round(v, 4) for key, v in result.items() if isinstance(v, float)}


if __name__ == "__main__":
    main()
