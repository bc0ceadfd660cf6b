"""From the audits of several seeds to one row of figures per method."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tfunlearn.report import AuditReport, Spread

if TYPE_CHECKING:
    from tfunlearn.experiments.compare_run import Attempt

METRICS = ("forget_accuracy", "retain_accuracy", "test_accuracy", "membership_accuracy")
PROBES = {"true_label_accuracy": "true labels", "backdoor_success": "backdoor success"}
DO_NOTHING, RETRAIN = "do_nothing", "retrain"
COLLAPSE = 0.10  # of retain accuracy, below the original's
BUDGET = 0.10  # of the time of retraining


def figures(
    reports: Mapping[int, AuditReport],
    attempts: Sequence["Attempt"],
    failed: Mapping[int, Mapping[str, str]],
    workers: Mapping[int, Mapping[str, int]] | None = None,
) -> dict[str, Any]:
    """Returns the rows over all seeds, the smallest gap first, and those of every seed.

    The gap is the mean absolute difference of forget, retain and test accuracy to the references'
    mean; a reference's own is the one to the mean of the other references. The gap closed is one
    minus a row's gap as a share of the original's. A row is in range where its gap is at most the
    largest one of a reference of its seed. Seconds are shared by the references' mean seconds.

    Args:
        reports: seed to its audit.
        attempts: the methods that were run.
        failed: seed to method to the reason why it has no model.
        workers: seed to row of its audit to how many workers were at work when its seconds were
            taken; by default one alone.

    Returns:
        ``rows``, ``runs`` (seed to row to its figures) and ``closest``: the row with the smallest
        gap among those that take at most a tenth of the time of retraining. ``workers`` is the
        largest number of workers of any seconds, in a row and of them all.
    """
    plans = {attempt.label: attempt for attempt in attempts}
    runs = {
        seed: {
            label: _of_seed(reports[seed], label, (workers or {}).get(seed, {}))
            for label in [DO_NOTHING, RETRAIN, *plans]
        }
        for seed in reports
    }
    rows = []
    for label in (DO_NOTHING, RETRAIN, *plans):
        found = {seed: run[label] for seed, run in runs.items() if run[label]}
        row = _over_seeds(found, {seed: runs[seed][DO_NOTHING] for seed in found})
        plan = plans.get(label)
        rows.append(
            {
                "name": label,
                "method": plan and plan.method,
                "options": plan and {name: _shown(value) for name, value in plan.options.items()},
                **row,
                "failed": {
                    str(seed): reasons[label]
                    for seed, reasons in failed.items()
                    if label in reasons
                },
            }
        )
    rows.sort(key=_place)
    return {
        "rows": rows,
        "closest": closest(rows),
        "workers": max(row["workers"] for row in rows),
        "runs": {
            str(seed): {label: row for label, row in run.items() if row}
            for seed, run in runs.items()
        },
    }


def closest(rows: Sequence[Mapping[str, Any]], budget: float = BUDGET) -> str | None:
    """Returns the name of the method with the smallest gap within a share of retraining's time.

    Args:
        rows: rows of ``figures``.
        budget: the largest share.

    Returns:
        The name, or None if no method that worked under every seed is so fast.
    """
    fast = [
        row
        for row in rows
        if row["method"]
        and row["gap"]
        and not row["failed"]
        and not row["collapsed"]
        and row["share_of_retraining"]
        and row["share_of_retraining"]["mean"] <= budget
    ]
    return min(fast, key=_place)["name"] if fast else None


def beside(workers: int) -> str:
    """Returns what is to be said of seconds that were taken with several workers.

    Args:
        workers: how many were at work at a time.
    """
    return (
        f"Seconds, and shares of those of retraining, were taken with up to {workers} workers at "
        "work beside each other. Those on one machine slow each other down, so read them as rough."
    )


def _place(row: Mapping[str, Any]) -> tuple[bool, float]:
    """Sorts by gap, rows without one at the end."""
    return row["gap"] is None, row["gap"]["mean"] if row["gap"] else 0.0


def _of_seed(report: AuditReport, label: str, workers: Mapping[str, int]) -> dict[str, Any] | None:
    """Returns a row's figures under one seed, or None if it has no model."""
    if label == RETRAIN:
        most = max(workers.get(name, 1) for name in report.references)
        return {**_references(report), "workers": most}
    name = report.original if label == DO_NOTHING else label
    if name not in [row.name for row in report.rows]:
        return None
    shown = [metric for metric in (*METRICS, *PROBES) if metric in report.row(name).values]
    found = {metric: report.value(name, metric) for metric in shown}
    attack, gap = report.gap(name, "membership_accuracy"), report.average_gap(name)
    retraining = report.reference("seconds")
    seconds = 0.0 if label == DO_NOTHING else report.value(name, "seconds")
    retain, before = found["retain_accuracy"], report.value(report.original, "retain_accuracy")
    own = [own for own in map(report.average_gap, report.references) if own is not None]
    return {
        **found,
        "membership_gap": None if attack is None else abs(attack),
        "gap": gap,
        "in_range": None if gap is None or not own else gap <= max(own),
        "seconds": seconds,
        "share_of_retraining": seconds / retraining.mean if retraining.mean else None,
        "workers": 1 if label == DO_NOTHING else workers.get(label, 1),
        "collapsed": retain is not None and before - retain > COLLAPSE,
        "flags": list(report.row(name).flags),
    }


def _references(report: AuditReport) -> dict[str, Any]:
    """Returns the means of the references' figures."""
    shown = [metric for metric in (*METRICS, *PROBES) if metric in report.rows[0].values]
    spreads = {metric: report.reference(metric) for metric in (*shown, "seconds")}
    gaps = [gap for gap in map(report.average_gap, report.references) if gap is not None]
    attacks = [report.value(name, "membership_accuracy") for name in report.references]
    return {
        **{metric: spread and spread.mean for metric, spread in spreads.items()},
        "membership_gap": _apart([value for value in attacks if value is not None]),
        "gap": Spread.of(gaps).mean if gaps else None,
        "in_range": None,
        "share_of_retraining": 1.0,
        "collapsed": False,
        "flags": [],
    }


def _apart(values: Sequence[float]) -> float | None:
    """Returns how far each value is from the mean of the others, on average."""
    if len(values) < 2:
        return None
    total, others = sum(values), len(values) - 1
    return sum(abs(value - (total - value) / others) for value in values) / len(values)


def _over_seeds(
    found: Mapping[int, Mapping[str, Any]], nothing: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns mean and spread of every figure over the seeds in which a row has it."""
    numbers = [*METRICS, "membership_gap", "gap", "seconds", "share_of_retraining"]
    numbers += [probe for probe in PROBES if any(probe in row for row in found.values())]
    row: dict[str, Any] = {}
    for name in numbers:
        values = {seed: own[name] for seed, own in found.items() if own[name] is not None}
        row[name] = asdict(Spread.of(list(values.values()))) if values else None
    marks = [own["in_range"] for own in found.values() if own["in_range"] is not None]
    with_gap = [seed for seed, own in found.items() if own["gap"] is not None]
    whole = sum(nothing[seed]["gap"] for seed in with_gap)
    left = sum(found[seed]["gap"] for seed in with_gap)
    return {
        **row,
        "gap_closed": 1 - left / whole if whole else None,
        "in_range": sum(marks) if marks else None,
        "collapsed": [seed for seed, own in found.items() if own["collapsed"]],
        "flags": sorted({flag for own in found.values() for flag in own["flags"]}),
        "workers": max((own["workers"] for own in found.values()), default=1),
    }


def _shown(value: Any) -> Any:
    """Returns an option as a JSON value."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return list(map(_shown, value)) if isinstance(value, list | tuple) else str(value)
