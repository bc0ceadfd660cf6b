"""Measures how costs grow with size: splits, audits, banks on disk and reports.

Writes results/growth.json and growth.png. Every cost has some sizes, all of them measured once in
each round; the exponent is the slope of a least-squares line through the logarithms of the medians:
1 is linear. A cost with a fixed part shows a lower slope over small sizes, so the last step's own
slope stands beside it. Describing a forget set of one example stands beside one of half the data.

    python benchmarks/run_growth.py
"""

import contextlib
import io
import itertools
import math
import pathlib
import statistics
import tempfile
import time
import tracemalloc

import rounds

CLASSES = 10
SPLIT = (10_000, 100_000, 1_000_000, 10_000_000)
AUDIT_MODELS, AUDIT_EXAMPLES = (10, 30, 100, 300), (100, 300, 1000, 3000)
BANK, REPORT = (10, 30, 100, 300, 1000), (10, 30, 100, 300)
SMALLER = ("largest",)


def main(argv=None) -> None:
    """Measures everything and writes result and plot."""
    parser = rounds.parser(__doc__, "growth")
    parser.add_argument("--largest", type=int, default=SPLIT[-1], help="no size above, but two")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="(default: all parts)")
    args = rounds.read(parser, argv, SMALLER)

    from tfunlearn.experiments import startup

    startup.start()
    curves, more = [], {}
    for name in args.only or PARTS:
        for against, sizes, measure, prepare in PARTS[name](args):
            with prepare() as given:
                curves += curves_of(args, against, sizes, measure, given)
    if "split" in (args.only or PARTS):
        more["one_against_half"] = one_against_half(args)
    rounds.write("growth", args, {"curves": curves, **more})
    draw(curves, pathlib.Path(args.out).with_suffix(".png"))


def curves_of(args, against, sizes, measure, given):
    """Returns a curve for each cost that a function measures at some sizes."""
    sizes = sizes[: max(2, sum(size <= args.largest for size in sizes))]
    found = {size: [] for size in sizes}
    for number in range(args.rounds):
        for size in sizes:
            found[size].append(measure(size, given))
        print(number, against, {size: own[-1] for size, own in found.items()}, flush=True)
    costs = found[sizes[0]][0]
    return [
        curve(cost, against, {size: [one[cost] for one in own] for size, own in found.items()})
        for cost in costs
    ]


def curve(cost, against, found):
    """Returns sizes, summaries and exponents of a cost; its name ends in its unit."""
    name, unit = cost.rsplit(", ", 1)
    medians = [statistics.median(values) for values in found.values()]
    return {
        "cost": name,
        "against": against,
        "unit": unit,
        "sizes": list(found),
        "medians": medians,
        "measured": [rounds.summary(values) for values in found.values()],
        "exponent": slope(list(found), medians),
        "exponent_of_the_last_step": slope(list(found)[-2:], medians[-2:]),
    }


def slope(sizes, values):
    """Returns the slope of the least-squares line through the logarithms.

    >>> round(slope([1, 10, 100], [3, 300, 30000]), 6)
    2.0
    """
    x = [math.log(size) for size in sizes]
    y = [math.log(value) for value in values]
    center = sum(x) / len(x)
    above = sum((a - center) * b for a, b in zip(x, y, strict=True))
    return above / sum((a - center) ** 2 for a in x)


def seconds_of(function):
    """Returns the seconds that a function takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def mib_of(function):
    """Returns the most memory that a function holds at a time, in MiB."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def nothing():
    """Returns what needs no preparation."""
    return contextlib.nullcontext()


def split_part(args):
    """Making a split of so many examples, describing it, and its fingerprint."""
    yield "training examples", SPLIT, measure_split, nothing


def measure_split(size, _):
    """Returns the costs of a split of tiny examples; the arrays themselves are not counted."""
    import numpy as np

    from tfunlearn import ForgetSplit

    x, y = np.zeros((size, 1), "uint8"), np.arange(size) % CLASSES
    test = (x[:10], y[:10])

    def make():
        return ForgetSplit.random(x, y, fraction=0.1, test=test)

    split = make()
    return {
        "making a split, seconds": seconds_of(make),
        "making a split, mib": mib_of(make),
        "describing a split, seconds": seconds_of(lambda: str(split)),
        "fingerprint of a split, seconds": seconds_of(split.fingerprint),
    }


def one_against_half(args):
    """Returns the costs of a forget set of one example, and of half of a million."""
    import numpy as np

    from tfunlearn import ForgetSplit

    size = min(1_000_000, args.largest)
    x, y = np.zeros((size, 1), "uint8"), np.arange(size) % CLASSES
    found = {"one": [], "half": []}
    for _ in range(args.rounds):
        for name, forget in (("one", [7]), ("half", np.arange(0, size, 2))):
            options = {"forget": forget, "test": (x[:10], y[:10])}
            split = ForgetSplit.by_index(x, y, **options)
            found[name].append(
                {
                    "making": seconds_of(lambda: ForgetSplit.by_index(x, y, **options)),  # noqa: B023
                    "describing": seconds_of(lambda: str(split)),  # noqa: B023
                    "fingerprint": seconds_of(split.fingerprint),
                }
            )
    return {
        "examples": size,
        **{name: rounds.summaries(own) for name, own in found.items()},
        "ratio": {key: rounds.ratio(found["half"], found["one"], key) for key in found["one"][0]},
    }


def audit_part(args):
    """The evidence on a model: against so many references, and on so many forget examples."""
    yield "references", AUDIT_MODELS, lambda models, _: measure_audit(models, 1000), nothing
    yield "forget examples", AUDIT_EXAMPLES, lambda size, _: measure_audit(100, size), nothing


def measure_audit(models, examples):
    """Returns the seconds of reading the references and of holding a model against them."""
    references, logits, ids = drawn(models, examples)
    start = time.perf_counter()
    many = references()
    read = time.perf_counter() - start
    from tfunlearn.audit.evidence import evidence

    return {
        "reading references, seconds": read,
        "evidence on a model, seconds": seconds_of(lambda: evidence(many, logits, ids=ids)),
    }


def drawn(models, examples):
    """Returns a function that reads drawn references, a model's logits, and ids."""
    import numpy as np

    from tfunlearn.audit.references import References

    numbers = np.random.default_rng(0)
    labels = {role: np.arange(examples) % CLASSES for role in ("forget", "retain", "test")}
    all_logits = {
        role: (numbers.normal(size=(models + 1, examples, CLASSES)) + 2 * np.eye(CLASSES)[own])
        for role, own in labels.items()
    }
    references = {role: own[1:].astype("float32") for role, own in all_logits.items()}
    logits = {role: own[0].astype("float32") for role, own in all_logits.items()}
    return lambda: References(labels, references), logits, np.arange(examples)


def bank_part(args):
    """Opening a bank with so many models on disk, and looking for those that are missing."""
    yield "models on disk", BANK, measure_bank, bank_folder


@contextlib.contextmanager
def bank_folder():
    """Yields a folder, and how many models each bank in it holds so far."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def measure_bank(size, folder):
    """Returns the seconds of opening a bank, of a first look at all models and of a second."""
    folder = pathlib.Path(folder) / str(size)
    bank, fill = bank_in(folder)
    if not folder.is_dir():
        fill(bank, size)
    found = {"opening a bank, seconds": seconds_of(lambda: bank_in(folder))}
    bank, _ = bank_in(folder)
    for look in ("first", "second"):
        name = f"missing of a bank, {look} look, seconds"
        found[name] = seconds_of(lambda: bank.missing(size))
        if bank.missing(size):
            raise RuntimeError(f"expected {size} whole models in the benchmark's bank")
    return found


def bank_in(folder):
    """Returns a bank of a small model in a folder, and what fills it without training."""
    import keras
    import numpy as np

    from tfunlearn import audit, data
    from tfunlearn.audit.bank_job import Item, Made

    x, y = np.zeros((2000, 8), "float32"), np.arange(2000) % CLASSES
    split = data.by_index(x, y, forget=np.arange(200), test=(x[:500], y[:500]))
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(CLASSES)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    bank = audit.ReferenceBank(folder, model, split, epochs=1, threads=None, say=None)

    def fill(bank, size):
        logits = {role: np.zeros((split.size(role), CLASSES), "float32") for role in split.roles}
        for seed in range(size):
            made = Made(logits, dict.fromkeys(split.roles, 0.1), 1.0, None, {})
            bank._entries.write(Item(seed, False), made)

    return bank, fill


def report_part(args):
    """Saving a report of so many models and making its page; each model has its evidence."""
    yield "models in a report", REPORT, measure_report, nothing


def measure_report(size, _):
    """Returns the seconds and the size of a report as JSON and as a page."""
    report = report_of(size)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "report.json"
        saved = seconds_of(lambda: report.save(path))
        with contextlib.redirect_stdout(io.StringIO()):
            page = seconds_of(report.to_html)
        return {
            "saving a report, seconds": saved,
            "a report as JSON, mib": path.stat().st_size / 2**20,
            "a report's page, seconds": page,
            "a report's page, mib": len(report.to_html().encode()) / 2**20,
        }


def report_of(size):
    """Returns a report on so many models with the same evidence, drawn."""
    import numpy as np

    from tfunlearn.audit.columns import columns
    from tfunlearn.audit.evidence import evidence
    from tfunlearn.report import AuditReport
    from tfunlearn.report.parts import HISTOGRAM_EDGES, Row

    roles = ("forget", "retain", "test")
    references, logits, ids = drawn(20, 200)
    shown = evidence(references(), logits, ids=ids)
    shown_columns = columns(roles)
    numbers = np.random.default_rng(0)
    counts = {role: [5] * (len(HISTOGRAM_EDGES) - 1) for role in roles}
    rows = [
        Row(
            f"model {number}",
            {column.name: float(numbers.random()) for column in shown_columns},
            histograms=counts,
        )
        for number in range(size)
    ]
    half = {role: [100 // CLASSES] * CLASSES for role in roles}
    return AuditReport(
        title="Growth",
        created="2026-01-01T00:00:00+00:00",
        environment={"cpu_count": rounds.cores()},
        split={
            "kind": "random",
            "num_classes": CLASSES,
            "sizes": dict.fromkeys(roles, 100),
            "fractions": {"forget": 0.5, "retain": 0.5},
            "class_counts": half,
            "fingerprint": "0",
        },
        original=rows[0].name,
        references=(rows[1].name,),
        columns=shown_columns,
        rows=tuple(rows),
        evidence={row.name: shown for row in rows[2:]},
    )


PARTS = {"split": split_part, "audit": audit_part, "bank": bank_part, "report": report_part}


def draw(curves, path) -> None:
    """Draws every curve on logarithmic axes, a panel for each thing that grows."""
    from matplotlib.figure import Figure

    from tfunlearn.report.plots import encode
    from tfunlearn.storage.atomic import write_atomically

    keys = list(dict.fromkeys((one["against"], one["unit"]) for one in curves))
    figure = Figure(figsize=(11, 3.4 * math.ceil(len(keys) / 2)), layout="constrained")
    panels = figure.subplots(math.ceil(len(keys) / 2), 2, squeeze=False).ravel()
    for panel, (against, unit) in itertools.zip_longest(panels, keys, fillvalue=(None, None)):
        if against is None:
            panel.set_axis_off()
            continue
        for one in curves:
            if (one["against"], one["unit"]) == (against, unit):
                label = f"{one['cost']}: {one['exponent']:.2f}"
                panel.loglog(one["sizes"], one["medians"], marker="o", label=label)
        panel.set_xlabel(against)
        panel.set_ylabel({"mib": "MiB"}.get(unit, unit))
        panel.legend(fontsize="small", title="cost: exponent", title_fontsize="small")
    write_atomically(path, encode(figure, path))


if __name__ == "__main__":
    main()
