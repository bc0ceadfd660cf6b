"""An audit of four models against many references, made by hand from drawn numbers."""

import bisect
import dataclasses
import math
import random
import statistics

from tests.report.conftest import make_report, make_row
from tfunlearn.report import png_text
from tfunlearn.report.evidence import (
    AttackResult,
    ClassSlice,
    Evidence,
    Interval,
    MarginHistograms,
    Placed,
    Verdict,
    WorstExample,
)

FIGURES = (
    ("forget_accuracy", "forget accuracy", "fraction", 0.912, 0.006),
    ("retain_accuracy", "retain accuracy", "fraction", 0.994, 0.001),
    ("test_accuracy", "test accuracy", "fraction", 0.921, 0.003),
    ("forget_loss", "forget loss", "nats", 0.284, 0.012),
    ("loss_auc", "loss attack AUC", "fraction", 0.502, 0.008),
    ("loss_tpr_at_fpr_0_01", "loss attack TPR at 1 % FPR", "fraction", 0.011, 0.004),
    ("lira_auc", "LiRA AUC", "fraction", 0.5, 0.01),
    ("forget_deviation_p95", "forget margins' deviation, 95th percentile", "deviation", 1.7, 0.1),
    ("forget_js", "JS divergence on forget", "nats", 0.0112, 0.0006),
)
ATTACKS = {
    "loss_threshold": "loss threshold",
    "modified_entropy_threshold": "modified entropy threshold",
    "lira_offline": "LiRA, offline",
    "svc_confidence": "SVC on confidence",
}
NO_LOW_RATE = "400 non-members cannot show a false positive rate of 0.001, which takes 1,000"
NOT_RUN = "the attack was not run on the references"
EDGES = tuple(float(edge) for edge in range(-10, 22, 2))


def make_evidence(strength, count=24, seed=0, absent=True, images=False):
    """Returns the evidence on a model `strength` away from `count` references: 0 is one of them."""
    rng = random.Random(seed)
    figures = [_placed(rng, strength, count, *own) for own in FIGURES]
    if absent:
        reason = "the original was not given"
        figures.append(
            Placed("forgetting", "margin drop", "ratio", None, (), *[None] * 5, absent=reason)
        )
    return Evidence(
        verdict=_verdict(strength, count),
        figures=tuple(figures),
        attacks=tuple(_attack(rng, strength, count, *own) for own in ATTACKS.items()),
        margins=_margins(rng, strength, count),
        slices=tuple(_slice(rng, strength, count, label) for label in range(4)),
        worst=tuple(
            WorstExample(
                61_000 - 17 * k,
                k % 4,
                9.5 - k / 4,
                -2.25 + k / 8,
                11.75 - k / 4,
                make_image(k) if images else None,
            )
            for k in range(6)
        ),
    )


def make_image(k):
    """Returns rings in grey or colour, of one of several sizes, as a report keeps an image."""
    width, height, channels = [(28, 28, 1), (32, 32, 3), (8, 8, 1), (64, 40, 3)][k % 4]
    places = [(x, y, c) for y in range(height) for x in range(width) for c in range(channels)]
    far = [math.hypot(x - width / 2, y - height / 2) / width for x, y, _ in places]
    own = zip(places, far, strict=True)
    values = bytes(int(127.5 + 127 * math.cos(20 * r + c + k)) for (_, _, c), r in own)
    return png_text.encode(values, width, height, channels)


def _verdict(strength, count):
    inside = None if count < 19 else strength == 0
    p_value = 0.6 if strength == 0 else round(1 / (count + 1), 4)
    furthest = ("LiRA AUC", "forget loss", "loss attack AUC")
    side = (
        f"side the spread of {count} retrained models (p = {p_value:.2g}; 95 % of them lie inside)"
    )
    text = {
        None: f"{count} references are too few to tell: it takes 19.",
        True: f"In{side}. These figures do not tell it from a retrained model; others might.",
        False: f"Out{side}: furthest off in {', '.join(furthest)}.",
    }[inside]
    return Verdict(inside, p_value, 0.95, count, furthest, text)


def _placed(rng, strength, count, name, label, unit, mean, std):
    references = tuple(round(rng.gauss(mean, std), 6) for _ in range(count))
    value = round(mean + std * (rng.gauss(0, 0.8) + 4 * strength), 6)
    value = min(value, 0.9995) if unit == "fraction" else value
    below = sum(reference < value for reference in references)
    share = below / count
    low, high = max(0.0, share - 0.14), min(1.0, share + 0.14)
    deviation = (value - statistics.mean(references)) / statistics.stdev(references)
    p_value = min(1.0, 2 * min(below + 1, count - below + 1) / (count + 1))
    return Placed(
        name, label, unit, value, references, 100 * share, 100 * low, 100 * high, p_value, deviation
    )


def _attack(rng, strength, count, name, label):
    members = sorted(rng.gauss(0.5 * strength, 1) for _ in range(500))
    others = sorted(rng.gauss(0, 1) for _ in range(400))
    cuts = [float("inf"), *sorted({*members, *others}, reverse=True)][::9]
    fpr = [(400 - bisect.bisect_left(others, cut)) / 400 for cut in cuts] + [1.0]
    tpr = [(500 - bisect.bisect_left(members, cut)) / 500 for cut in cuts] + [1.0]
    auc = 0.5 + 0.13 * strength
    places = range(-(count // 2), count // 2)
    areas = () if name == "svc_confidence" else tuple(round(0.5 + 0.0013 * k, 4) for k in places)
    figures = {
        "auc": Interval(auc, auc - 0.037, auc + 0.036, "DeLong"),
        "advantage": Interval(0.21 * strength + 0.05, 0.02, 0.31, "bootstrap band, 1000 resamples"),
        "balanced_accuracy": Interval(
            auc + 0.025, auc, auc + 0.05, "bootstrap band, 1000 resamples"
        ),
        "tpr_at_fpr_0_01": Interval(0.012 + 0.06 * strength, 0.004, 0.113, "exact, 95 %"),
    }
    return AttackResult(
        attack=name,
        label=label,
        members=500,
        nonmembers=400,
        figures=figures,
        absent={"tpr_at_fpr_0_001": NO_LOW_RATE, **({} if areas else {"references": NOT_RUN})},
        fpr=tuple(fpr),
        tpr=tuple(tpr),
        references=areas,
    )


def _margins(rng, strength, count):
    def shares(shift):
        drawn = [rng.gauss(4 + shift, 4) for _ in range(500)]
        places = [min(max(int((x + 10) // 2), 0), len(EDGES) - 2) for x in drawn]
        return [places.count(place) / 500 for place in range(len(EDGES) - 1)]

    many = list(zip(*(shares(0) for _ in range(count)), strict=True))
    return MarginHistograms(
        edges=EDGES,
        candidate=tuple(shares(4 * strength)),
        original=tuple(shares(8)),
        mean=tuple(statistics.mean(bin) for bin in many),
        low=tuple(min(bin) for bin in many),
        high=tuple(max(bin) for bin in many),
    )


def _slice(rng, strength, count, label):
    references = tuple(round(rng.gauss(0.91, 0.01), 4) for _ in range(count))
    return ClassSlice(label, 120 + label, round(0.911 + 0.03 * strength, 4), references)


def make_audit(
    evidence=None, names=("original", "finetune", "held-out retrain"), images=False, **own
):
    """Returns a report on these models and two references, with evidence on each of them."""
    values = {"original": (1.0, 0.99, 0.90, 0.05, 0.60, 10.0)}
    rows = [
        make_row(name, *values.get(name, (0.95, 0.97, 0.89, 0.15, 0.55, 2.5))) for name in names
    ]
    rows += [
        make_row(f"retrained, {seed}", 0.9, 0.98, 0.88, 0.3, 0.5, 8.0 + seed) for seed in (0, 1)
    ]
    if evidence is None:
        strengths = {"original": 2, "held-out retrain": 0}
        evidence = {
            name: make_evidence(strengths.get(name, 0.8), seed=seed, images=images)
            for seed, name in enumerate(names)
        }
    return make_report(
        **{
            "rows": rows,
            "references": ("retrained, 0", "retrained, 1"),
            "original": "original" if "original" in names else None,
            "evidence": evidence,
            **own,
        }
    )


def make_bank_audit(**own):
    """Returns the same with the references in a bank: values and seeds, no rows."""
    report = make_audit()
    values = {column.name: (0.9, 0.91, 0.92) for column in report.columns[:-1]}
    return dataclasses.replace(
        report,
        rows=report.rows[:3],
        references=(),
        **{"reference_values": values, "reference_seeds": (0, 1, 2), **own},
    )
