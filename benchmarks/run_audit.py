"""Audits unlearned MNIST networks against a bank of retrained ones, and times what an audit costs.

For each task: an original that knows its forget set by heart, a bank of models retrained without it
and one of models trained with it, and the whole audit of doing nothing, of fine-tuning, of other
methods with their defaults, and of a retrained model that is held out. Writes, for each task,
results/audit_<dataset>_<task>.json (the report), the same as .html, and
results/audit_<dataset>_<task>_extra.json: attacks that need both banks, probes beside those of
retrained models, and the seconds. Banks are kept under runs/, so that a killed benchmark goes on.

    python benchmarks/run_audit.py
"""

import argparse
import pathlib
import resource
import shlex
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TASKS = ("random", "mislabelled")
METHODS = ("finetune", "msg", "prmq", "sfr_on", "scrub")
BANK_SEED = 1  # the original's is 0
COST = (64, 10_000, 10)  # models, examples, classes


def main(argv=None) -> None:
    """Fills the banks where they are not full and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--models", type=int, default=32, help="of each bank, one more held out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--data-dir")
    parser.add_argument("--runs", default=str(HERE.parent / "runs" / "audit"))
    parser.add_argument("--results", help="(default: benchmarks/results)")
    args = parser.parse_args(argv)
    smaller = [f"--{name}" for name in ("epochs", "limit") if getattr(args, name)]
    smaller += ["--models"] * (args.models < parser.get_default("models"))
    if smaller and args.results is None:
        parser.error(
            f"{', '.join(smaller)}: --results FOLDER is wanted too, as the committed "
            "results are of whole runs"
        )
    results = pathlib.Path(args.results or HERE / "results")

    from tfunlearn.experiments import startup

    startup.start()
    for task in args.tasks:
        run(task, args, results)


def run(task, args, results):
    """Fills the banks of a task and writes its report and what stands beside it."""
    from tfunlearn import audit, methods
    from tfunlearn.data import datasets, scenarios
    from tfunlearn.experiments.stages import write_json

    given = {"limit": args.limit, "epochs": args.epochs, "data_dir": args.data_dir}
    scenario = scenarios.get(task)(args.dataset, seed=0, **given)
    split, options = scenario.split, scenario.fit_options
    (images, _), _ = datasets.load(args.dataset, args.data_dir)  # the split's ids are places here
    start = time.perf_counter()
    original = scenario.model
    seconds = {"original": time.perf_counter() - start}
    made = {"original": original}
    for name in args.methods:
        start = time.perf_counter()
        made[name] = methods.unlearn(original, split, name, seed=0)
        seconds[name] = time.perf_counter() - start
        print(f"{task}, {name}: {seconds[name]:.1f} s", flush=True)
    folder = pathlib.Path(args.runs) / f"{args.dataset}-{task}"
    bank = audit.ReferenceBank(
        folder, original, split, **options, keep_weights=True, seed=BANK_SEED
    )
    say = Progress(task)
    bank.fill(args.models + 1, workers=args.workers, progress=say)
    bank.fill(args.models, include_forget=True, workers=args.workers, progress=say)
    start = time.perf_counter()
    report = audit.compare(
        made,
        split,
        bank=bank,
        images=lambda ids: images[ids],
        seconds=seconds,
        title=f"{args.dataset}, {task}: {args.models} references",
        command=recorded(args),
    )
    taken = time.perf_counter() - start
    print(report, flush=True)
    path = results / f"audit_{args.dataset}_{task}.json"
    report.save(path)
    report.to_html(path.with_suffix(".html"))
    write_json(
        path.with_name(f"{path.stem}_extra.json"),
        {
            "benchmark": "audit",
            "command": recorded(args),
            "environment": dict(report.environment),
            "task": task,
            "dataset": args.dataset,
            "models": {"without": args.models, "held_out": 1, "with": args.models},
            "attacks": {name: both_banks(model, split, bank) for name, model in made.items()},
            "relearn": relearning(made, split, bank, original),
            "seconds": {
                "audit": taken,
                "bank_model": statistics.median(bank.seconds),
                **{name: value for name, value in seconds.items() if name == "original"},
            },
            "cost": cost(),
        },
    )


def both_banks(model, split, bank):
    """Returns attacks on one model that hold it against models trained without and with it."""
    import numpy as np

    from tfunlearn import attacks, metrics
    from tfunlearn.audit.outputs import logits

    without = bank.seeds[:-1]  # the last one is held out
    roles = ("forget", "test")
    own = {role: metrics.margins(split.labels(role), logits(model, split, role)) for role in roles}
    out = {role: bank.margins(role, seeds=without) for role in roles}
    with_it = {role: bank.margins(role, include_forget=True) for role in roles}
    member, other = (attacks.lira(own[role], out[role], with_it[role]).scores for role in roles)
    found = {"lira_online_auc": attacks.roc(member, other).auc}
    # test examples are in no model: the attack has nothing to go by there, and must show none
    like_members = attacks.lira(own["forget"], out["forget"], with_it["forget"]).membership
    found["lira_membership_mean"] = float(np.mean(like_members))
    return found


def relearning(made, split, bank, original):
    """Returns the steps until the forget set is known again, beside those of retrained models."""
    from tfunlearn import metrics, probes
    from tfunlearn.audit.outputs import logits

    known = metrics.accuracy(split.labels("forget"), logits(original, split, "forget"))
    target = probes.anamnesis_target(known)
    options = {"target": target, "criterion": "accuracy", "max_steps": 400, "seed": 0}
    retrained = {f"retrained, seed {seed}": bank.model(seed) for seed in bank.seeds[:3]}
    found = {
        name: probes.relearn_time(model, split, **options)
        for name, model in {**made, **retrained}.items()
    }
    return {
        "target_accuracy": target,
        "max_steps": 400,
        "steps": {name: time.steps if time.reached else None for name, time in found.items()},
    }


def cost():
    """Returns seconds and peak memory of all figures of one model beside many, on random logits."""
    import numpy as np

    from tfunlearn.audit.evidence import evidence
    from tfunlearn.audit.references import References

    models, examples, classes = COST
    numbers = np.random.default_rng(0)
    sizes = {
        "forget": examples // 5,
        "retain": examples // 2,
        "test": examples - 7 * examples // 10,
    }
    labels = {role: numbers.integers(0, classes, size) for role, size in sizes.items()}
    logits = {
        role: numbers.normal(size=(models + 1, size, classes)).astype("float32")
        for role, size in sizes.items()
    }
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        many = References(labels, {role: own[:models] for role, own in logits.items()})
        last = {role: own[models] for role, own in logits.items()}
        evidence(many, last, ids=np.arange(sizes["forget"]))
        taken.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "models": models,
        "examples": examples,
        "classes": classes,
        "seconds": {"median": statistics.median(taken), "min": min(taken), "max": max(taken)},
        "peak_megabytes_of_the_process": peak / (1024 if sys.platform != "darwin" else 1024**2),
    }


class Progress:
    """Prints a line for each model of a bank."""

    def __init__(self, task):
        self.task = task

    def __call__(self, done, total, line):
        """Prints how far a bank is."""
        print(f"{self.task}: {done} of {total}, {line}", flush=True)


def recorded(args: argparse.Namespace) -> str:
    """Returns the command that gives these arguments, without the folders of this machine."""
    parts = ["python", "benchmarks/run_audit.py"]
    for name, value in vars(args).items():
        if value is not None and name not in ("data_dir", "runs", "results"):
            parts += [f"--{name}", *map(str, value if isinstance(value, list | tuple) else [value])]
    return shlex.join(parts)


if __name__ == "__main__":
    main()
