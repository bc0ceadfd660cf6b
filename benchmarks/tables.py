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
        "| model | epochs of unlearning | retain | forget | test | "
        "mean gap to the reference in these three | membership attack |",
        "|---|---|---|---|---|---|---|",
        "| the notebook, original | | .811 (all training images) | | .751 | | |",
        '| the notebook, "confused" | 5 | .969 | .859 | .800 | | |',
    ]
    for row in result["rows"]:
        cells = [row["name"], str(row["epochs"] or "")]
        cells += [
            f"{row[key]:.3f}".lstrip("0")
            for key in ("retain_accuracy", "forget_accuracy", "test_accuracy")
        ]
        gap = row["average_gap"]
        cells.append("" if gap is None else f"{gap:.3f}".lstrip("0"))
        cells.append(f"{row['membership_attack']:.3f}".lstrip("0"))
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
        more = [f"{role} with `{option}`" for option, role in line.also.items()]
        lines.append(
            f"| `{name}` | {', '.join([*sorted(line.reads), *more])} | {line.scope} | "
            f"{'no effect' if line.deterministic else 'draws'} | {line.cost} | "
            f"{line.needs or '-'} | {line.summary} |"
        )
    return "\n".join(lines)


TASKS = ("random", "whole_class", "mislabelled", "backdoor")
NETWORKS = {"dense": ("digits", "mnist", "fashion_mnist"), "cnn": ("cifar10",)}


def compare_tables(network):
    """Returns, for each data set of a network, a row per method and a column per task."""
    parts = []
    for dataset in NETWORKS[network]:
        found = {task: read(f"compare_{dataset}_{task}.json") for task in TASKS}
        found = {task: result for task, result in found.items() if result}
        if found:
            parts.append(compare_table(dataset, found))
    missing = f"`python benchmarks/run_compare.py --dataset {NETWORKS[network][-1]}`"
    return "\n\n".join(parts) or f"Not run yet: {missing}."


def compare_table(dataset, found):
    """Returns one data set's table of the gap closed, and what is to be said on it."""
    first = next(iter(found.values()))
    lines = [
        f"**{dataset}**, {first['training']['limit']:,} training images; seeds, each with "
        f"references: {_counts(found)}.",
        "",
        f"| method | {' | '.join(task.replace('_', ' ') for task in found)} |",
        f"|---|{'---|' * len(found)}",
    ]
    cells = {task: compare_cells(result) for task, result in found.items()}
    names = sorted({name for own in cells.values() for name in own})
    lines += [
        f"| `{name}` | {' | '.join(own.get(name, '') for own in cells.values())} |"
        for name in names
    ]
    for label, key in (("gap of doing nothing", "do_nothing"), ("gap of a reference", "retrain")):
        rows = [compare_row(result, key) for result in found.values()]
        gaps = [f"{row['gap']['mean']:.4f}" if row["gap"] else "" for row in rows]
        lines.append(f"| *{label}* | {' | '.join(gaps)} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in compare_notes(found))])


def _counts(found):
    """Returns how many seeds and references each task has."""
    return ", ".join(
        f"{task.replace('_', ' ')} {len(result['seeds'])} with {result['references']}"
        for task, result in found.items()
    )


def compare_cells(result):
    """Returns method to its gap closed with its defaults, and with searched settings if any."""
    cells = dict.fromkeys(result["unfit"], "not for it")
    for row in sorted(result["rows"], key=lambda row: row["name"]):  # defaults before searched
        if row["method"]:
            before = f"{cells[row['method']]}, " if row["method"] in cells else ""
            cells[row["method"]] = before + compare_cell(row)
    return cells


def compare_cell(row):
    """Returns the share of the gap that a row closed, at which share of retraining's time."""
    word = "" if row["name"] == row["method"] else "searched "
    if row["gap"] is None:  # without a reason: outputs that are not finite
        return f"{word}failed" if row["failed"] else f"{word}- (not finite)"
    share = row["share_of_retraining"]
    closed = "-" if row["gap_closed"] is None else f"{row['gap_closed']:.2f}"
    text = f"{word}{closed}" + (f" at {share['mean']:.2f}" if share else "")
    return text + " (collapsed)" * bool(row["collapsed"]) + " (failed once)" * bool(row["failed"])


def compare_row(result, name):
    """Returns the row of a name."""
    return next(row for row in result["rows"] if row["name"] == name)


def compare_notes(found):
    """Returns why some rows are bad, and the closest method of each task within the budget.

    What is to be said on every task is said once.
    """
    notes = {task: task_notes(result) for task, result in found.items()}
    first = next(iter(notes.values()))
    everywhere = [note for note in first if all(note in own for own in notes.values())]
    said = everywhere if len(notes) > 1 else []
    return [
        *said,
        *(
            f"{task.replace('_', ' ')}: {note}"
            for task, own in notes.items()
            for note in own
            if note not in said
        ),
    ]


def task_notes(result):
    """Returns what is to be said on one task."""
    from tfunlearn.experiments.compare_page import notes

    seeds, found = len(result["seeds"]), []
    for note in notes(result):
        if note.startswith("Closest"):
            inside = compare_row(result, result["closest"])["in_range"]
            if inside is not None:
                note += f" Within the range of the references in {inside} of {seeds} seeds."
        elif note.startswith("Not made for"):
            continue
        found.append(note)
    return found


def speed_table():
    """Returns the table of the side-by-side benchmarks."""
    from speed_table import table  # beside this file

    return table(read)


def audit_table():
    """Returns the table of the MNIST audits."""
    from audit_table import table  # beside this file

    return table(read)


TABLES = {
    "mnist": mnist_table,
    "cifar": cifar_table,
    "methods": methods_table,
    "audit": audit_table,
    "compare-dense": lambda: compare_tables("dense"),
    "compare-cnn": lambda: compare_tables("cnn"),
    "speed": speed_table,
}


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
