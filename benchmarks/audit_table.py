"""The README's table of the MNIST audits: what each model's figures are, and the verdict."""

WORDS = {"random": "a random tenth", "mislabelled": "5 % wrong labels"}
FIGURES = ("forget_accuracy", "retain_accuracy", "test_accuracy", "lira_auc")


def table(read):
    """Returns a row per task and model, the references' mean among them, and what it cost.

    Args:
        read: function from a result's file name to its content, or to None.
    """
    found = {task: read(f"audit_mnist_{task}.json") for task in WORDS}
    if None in found.values():
        return "Not run yet: `python benchmarks/run_audit.py`."
    lines = [
        "| forget set | model | forget | retain | test | LiRA AUC | steps to learn it again | "
        "beside the references |",
        "|---|---|---|---|---|---|---|---|",
    ]
    costs = []
    for task, report in found.items():
        extra = read(f"audit_mnist_{task}_extra.json")
        lines += rows(WORDS[task], report, extra["relearn"])
        costs.append(extra["cost"])
    return "\n".join([*lines, "", f"{smallest(found.values())} {cost(costs)}"])


def rows(words, report, relearn):
    """Returns the rows of one task."""
    made = []
    for name, evidence in report["evidence"].items():
        figures = {figure["name"]: figure["value"] for figure in evidence["figures"]}
        verdict = evidence["verdict"]
        side = "**inside**" if verdict["inside"] else "outside"
        beside = f"{side}, p = {verdict['p_value']:.2f}"
        made.append([name, *(figures[key] for key in FIGURES), steps(relearn, name), beside])
    first = next(iter(report["evidence"].values()))
    means = [mean(report, key) for key in FIGURES]
    again = [count for name, count in relearn["steps"].items() if name.startswith("retrained")]
    count = first["verdict"]["references"]
    made.append([f"*mean of {count} references*", *means, span(again), ""])
    return [
        f"| {words} | {' | '.join(f'{c:.3f}' if isinstance(c, float) else c for c in row)} |"
        for row in made
    ]


def mean(report, key):
    """Returns the references' mean of a figure; the range of means where it differs by model."""
    found = set()
    for evidence in report["evidence"].values():
        known = {figure["name"]: figure["references"] for figure in evidence["figures"]}
        found.add(f"{sum(known[key]) / len(known[key]):.3f}")
    return min(found) if len(found) == 1 else f"{min(found)} to {max(found)}"


def smallest(found):
    """Returns what is to be said on p-values that no model can undercut."""
    counts = {own["verdict"]["references"] for r in found for own in r["evidence"].values()}
    return " ".join(
        f"p = {1 / (n + 1):.2f} is the smallest that {n} references can give."
        for n in sorted(counts)
    )


def steps(relearn, name):
    """Returns how many steps a model took; nothing for one that has no weights to train."""
    if name not in relearn["steps"]:
        return ""
    count = relearn["steps"][name]
    return f"over {relearn['max_steps']}" if count is None else str(count)


def span(counts):
    """Returns the least and the largest number of steps."""
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"


def cost(found):
    """Returns what all figures of one model beside many took."""
    seconds = [own["seconds"]["median"] for own in found]
    memory = max(own["peak_megabytes_of_the_process"] for own in found) / 1024
    return (
        f"All figures of one model beside {found[0]['models']} models on {found[0]['examples']:,} "
        f"examples: {min(seconds):.1f} to {max(seconds):.1f} s, at most {memory:.1f} GB in all."
    )
