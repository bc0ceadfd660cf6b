"""Writes the README's tables from the committed results, so that nobody types a number.

python benchmarks/tables.py            # rewrite the README
python benchmarks/tables.py --check    # fail if it would change
"""

import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"

MNIST_ROWS = [
    ("untrained test accuracy", "untrained_test_accuracy", 0.0982),
    ("trained average loss", "trained_average_loss", 0.2849),
    ("trained test accuracy", "trained_test_accuracy", 0.9602),
    ("retrained average loss", "retrained_average_loss", 0.8253),
    ("unlearned test accuracy", "unlearned_test_accuracy", 0.9002),
    ("unlearned forget accuracy", "unlearned_forget_accuracy", 0.8990),
    ("performance drop", "performance_drop", 0.0600),
    ("utility preservation", "utility_preservation", 0.9375),
]


def read(name):
    """Returns one committed result, or None."""
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def mnist_table():
    """Returns the MNIST table: notebook, PyTorch, tfunlearn under two initialisations."""
    here, torch = read("mnist_retrain.json"), read("mnist_pytorch.json")
    sources = [
        torch["summary"],
        here["init"]["torch"]["summary"],
        here["init"]["keras"]["summary"],
    ]
    seeds = len(torch["seeds"])
    lines = [
        f'| | the notebook (1 run) | PyTorch ({seeds} seeds) | tfunlearn, `init="torch"` '
        f"({len(here['init']['torch']['seeds'])} seeds) | tfunlearn, Keras' own initialisation "
        f"({len(here['init']['keras']['seeds'])} seeds) |",
        "|---|---|---|---|---|",
    ]
    for label, key, notebook in MNIST_ROWS:
        cells = [f"{s[key]['mean']:.4f} ± {s[key]['std']:.4f}" for s in sources]
        lines.append(f"| {label} | {notebook:.4f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cifar_table():
    """Returns the CIFAR-10 table: one row per model."""
    result = read("cifar10_confuser.json")
    if result is None:
        return "The run at full size is not done yet: `python benchmarks/run_cifar10_confuser.py`."
    lines = [
        "| model | epochs of unlearning | retain | forget | test | gap to the reference | "
        "membership attack | seconds, share of retraining |",
        "|---|---|---|---|---|---|---|---|",
        "| the notebook, original | | .811 (all training images) | | .751 | | | |",
        '| the notebook, "confused" | 5 | .969 | .859 | .800 | | | |',
    ]
    for row in result["rows"]:
        cells = [row["name"], str(row["epochs"] or "")]
        cells += [
            f"{row[key]:.3f}".lstrip("0")
            for key in ("retain_accuracy", "forget_accuracy", "test_accuracy")
        ]
        gap, share = row["average_gap"], row["share_of_retraining"]
        cells.append("" if gap is None else f"{gap:.3f}".lstrip("0"))
        cells.append(f"{row['membership_attack']:.3f}".lstrip("0"))
        cells.append("" if share is None else f"{share:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def methods_table():
    """Returns the table of methods from the registry."""
    from tfunlearn import methods

    lines = [
        "| method | reads | scope | seed | cost | needs | what it does |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in methods.names():
        line = methods.describe(name)
        lines.append(
            f"| `{name}` | {', '.join(sorted(line.reads))} | {line.scope} | "
            f"{'no effect' if line.deterministic else 'draws'} | {line.cost} | "
            f"{line.needs or '-'} | {line.summary} |"
        )
    return "\n".join(lines)


TABLES = {"mnist": mnist_table, "cifar": cifar_table, "methods": methods_table}


def rewrite(text):
    """Returns a text with every marked table written anew."""
    for name, make in TABLES.items():
        pattern = re.compile(rf"(<!-- table:{name} -->\n).*?(<!-- end:{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"the README has no place for the table {name!r}")
        table = make()
        text = pattern.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    return text


def main():
    """Rewrites or checks the README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if stale")
    args = parser.parse_args()
    path = ROOT / "README.md"
    before = path.read_text(encoding="utf-8")
    after = rewrite(before)
    if args.check:
        if after != before:
            print("README.md is stale: run python benchmarks/tables.py", file=sys.stderr)
        return int(after != before)
    path.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
