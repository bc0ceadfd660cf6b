"""Repeats the CIFAR-10 notebook at full size, with noise strengths around the default.

Writes results/cifar10_confuser.json: the audit of every row, beside the retrained reference.
Finished stages are kept under runs/, so that a killed benchmark goes on where it stopped. On two
CPU cores one epoch takes several minutes.

    python benchmarks/run_cifar10_confuser.py
"""

import argparse
import json
import pathlib
import shlex
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROWS = (
    "finetune,confuser-relative-0.3,confuser-stem,confuser-all-0.6,confuser-relative-0.1,"
    "confuser-relative-0.5,retrain@4,finetune@5"
)
FIGURES = ("retain_accuracy", "forget_accuracy", "test_accuracy")


def main() -> None:
    """Makes the stages that are not there yet and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rows", default=ROWS)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--jit-compile", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--data-dir")
    parser.add_argument("--runs", default=str(HERE.parent / "runs" / "cifar10-confuser"))
    parser.add_argument("--out", default=str(HERE / "results" / "cifar10_confuser.json"))
    args = parser.parse_args()
    if args.limit and args.out == parser.get_default("out"):
        parser.error("--limit needs --out: a limited run is no committed result")

    from tfunlearn.experiments import startup

    startup.start()
    from tfunlearn.experiments.cifar10_confuser import cifar10_confuser, parse_row
    from tfunlearn.experiments.stages import write_json

    report = cifar10_confuser(
        args.runs,
        data_dir=args.data_dir,
        seed=args.seed,
        epochs=args.epochs,
        limit=args.limit,
        jit_compile={"auto": "auto", "on": True, "off": False}[args.jit_compile],
        rows=args.rows.split(","),
        verbose=2,
    )
    print(report)
    retraining = report.value("retrained", "seconds")
    rows = []
    for row in report.rows:
        made = row.name not in ("original", "retrained")
        seconds = report.value(row.name, "seconds")
        rows.append(
            {
                "name": row.name,
                "epochs": parse_row(row.name, args.epochs)[1] if made else None,
                **{key: report.value(row.name, key) for key in FIGURES},
                "membership_attack": report.value(row.name, "membership_accuracy"),
                "average_gap": report.average_gap(row.name),
                "share_of_retraining": seconds / retraining if made else None,
            }
        )
    write_json(
        args.out,
        {
            "benchmark": "cifar10_confuser",
            "command": shlex.join(["python", "benchmarks/run_cifar10_confuser.py", *sys.argv[1:]]),
            "seeds": [args.seed],
            "rows": rows,
            "report": json.loads((pathlib.Path(args.runs) / "report.json").read_text()),
        },
    )


if __name__ == "__main__":
    main()
