"""Evidence on one model: figures in their places, the verdict, attacks and examples."""

import dataclasses
import re

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_curve

from tfunlearn import attacks, metrics
from tfunlearn.audit.evidence import evidence, verdict_text
from tfunlearn.audit.evidence_attacks import thinned
from tfunlearn.audit.references import References
from tfunlearn.audit.spread import spread_test
from tfunlearn.report.evidence import Evidence

from .many import make_labels, make_logits, parted

COUNT = 21


@pytest.fixture(scope="module")
def labels():
    return make_labels()


@pytest.fixture(scope="module")
def logits(labels):
    return make_logits(labels, COUNT + 1)


@pytest.fixture(scope="module")
def many(labels, logits):
    return References(labels, parted(logits, COUNT)[1])


@pytest.fixture(scope="module")
def memorising(labels, logits):
    """A model that knows the forget examples by heart."""
    one = parted(logits, COUNT)[0]
    return one | {"forget": one["forget"] + 6 * np.eye(3, dtype="float32")[labels["forget"]]}


@pytest.fixture(scope="module")
def alike(many, logits):
    return evidence(many, parted(logits, COUNT)[0], ids=np.arange(110) * 7)


@pytest.fixture(scope="module")
def other(many, memorising, logits):
    return evidence(many, memorising, ids=np.arange(110) * 7, original=memorising["forget"])


def test_one_more_of_the_references_is_inside(alike):
    verdict = alike.verdict
    assert (verdict.inside, verdict.level, verdict.references) == (True, 0.95, COUNT)
    assert verdict.text == (
        f"Inside the spread of 21 retrained models (p = {verdict.p_value:.2g}; 95 % of them lie "
        "inside). These figures do not tell it from a retrained model; others might."
    )


def test_a_memorising_model_is_outside_and_the_text_says_by_what(other):
    verdict = other.verdict
    assert (verdict.inside, verdict.p_value) == (False, pytest.approx(1 / 22))
    assert len(verdict.furthest) == 3
    assert verdict.text == (
        "Outside the spread of 21 retrained models (p = 0.045, the smallest that 21 references can "
        f"give; 95 % of them lie inside): furthest off in {', '.join(verdict.furthest)}."
    )


def test_no_text_says_forgotten(alike, other):
    for found in (alike, other):
        assert not re.search(r"forgotten|erased|removed", found.verdict.text, re.IGNORECASE)


def test_the_verdict_is_the_spread_test_on_all_figures(many, alike, labels):
    """Where a figure counts examples, what one of them changes is a part of its spread."""
    values = {placed.name: placed.value for placed in alike.figures}
    assert None not in values.values()
    forget, test = (len(labels[role]) for role in ("forget", "test"))
    assert set(labels["test"]) == set(labels["forget"])  # so that all of them are attacked
    steps = {f"{role}_accuracy": 1 / len(own) for role, own in labels.items()}
    steps |= {"loss_auc": 1 / (forget * test), "lira_auc": 1 / (forget * test)}
    steps |= {"loss_tpr_at_fpr_0_01": 1 / forget, "label_only_gap": 1 / min(forget, test)}
    others = {placed.name: placed.references for placed in alike.figures}
    test = spread_test(values, others, resolution=steps)
    assert (test.inside, test.p_value) == (alike.verdict.inside, alike.verdict.p_value)
    labels = {placed.name: placed.label for placed in alike.figures}
    assert tuple(labels[name] for name in test.furthest[:3]) == alike.verdict.furthest


def test_figures_stand_in_their_place(many, other):
    assert [placed.name for placed in other.figures] == [figure.name for figure in many.listed]
    for placed in other.figures:
        references = np.array(placed.references)
        assert len(references) == COUNT
        expected = 100 * np.mean((references < placed.value) + (references == placed.value) / 2)
        assert placed.percentile == pytest.approx(expected)
        assert placed.low <= placed.percentile <= placed.high
        gap = (placed.value - references.mean()) / references.std(ddof=1)
        assert (placed.deviation, placed.absent) == (pytest.approx(gap), "")
    lira = next(placed for placed in other.figures if placed.name == "lira_auc")
    assert (lira.percentile, lira.p_value) == (100.0, pytest.approx(2 / 22))


def test_what_cannot_be_had_is_listed_with_the_reason():
    labels = make_labels({"forget": 30, "retain": 30, "test": 40})
    one, others = parted(make_logits(labels, 3), 2)
    others = {role: np.repeat(own[:1], 2, axis=0) for role, own in others.items()}  # a copy
    found = evidence(References(labels, others), one, ids=range(30))
    absent = {placed.name: placed for placed in found.figures if placed.value is None}
    assert set(absent) == {
        "loss_tpr_at_fpr_0_01",
        "lira_auc",
        "forget_deviation_p95",
        "retain_deviation",
        "test_deviation",
        "forget_js",
    }
    assert "takes 100 examples a side" in absent["loss_tpr_at_fpr_0_01"].absent
    for placed in absent.values():
        assert placed.references == ()
        assert (placed.percentile, placed.p_value, placed.deviation) == (None, None, None)
        assert placed.absent
    assert found.verdict.inside is None
    assert found.verdict.text == "2 references are too few to tell: it takes 19."
    assert [attack.attack for attack in found.attacks] == [
        "loss_threshold",
        "modified_entropy_threshold",
        "correctness",
    ]
    assert found.worst == ()


def test_equal_references_leave_no_deviation(labels, logits):
    sure = {role: own.copy() for role, own in logits.items()}
    sure["retain"] += 40 * np.eye(3, dtype="float32")[labels["retain"]]  # all of them are right
    one, others = parted(sure, COUNT)
    found = evidence(References(labels, others), one, ids=range(110))
    placed = next(own for own in found.figures if own.name == "retain_accuracy")
    assert (placed.value, placed.deviation) == (1.0, None)
    assert "equal" in placed.absent


def test_remarks_go_before_the_verdict(many, logits):
    one = parted(logits, COUNT)[0]
    found = evidence(many, one, ids=range(110), remarks=["Collapsed: it is at chance."])
    assert found.verdict.text.startswith("Collapsed: it is at chance. Inside the spread")


@pytest.mark.parametrize(("level", "needed"), [(0.95, 19), (0.9, 9), (0.99, 99)])
def test_how_many_references_it_takes(level, needed):
    test = spread_test({"a": 9.0}, {"a": [1.0, 2.0]}, level=level)
    assert verdict_text(test, ["a"]) == f"2 references are too few to tell: it takes {needed}."


def test_attacks_are_those_of_the_model_alone(labels, memorising, many, other):
    held = many.hold(many.read(memorising))
    found = {attack.attack: attack for attack in other.attacks}
    assert list(found) == [
        "loss_threshold",
        "modified_entropy_threshold",
        "correctness",
        "lira_offline",
    ]
    losses = {r: metrics.cross_entropy(labels[r], memorising[r]) for r in ("forget", "test")}
    shown = attacks.membership_evidence(attacks.loss_threshold(losses["forget"], losses["test"]))
    loss = found["loss_threshold"]
    assert (loss.members, loss.nonmembers) == (110, 150)
    for name in ("auc", "advantage", "balanced_accuracy", "tpr_at_fpr_0_01"):
        expected = shown.figures[name]
        own = loss.figures[name]
        assert (own.value, own.low, own.high, own.method) == pytest.approx(
            (expected.value, expected.low, expected.high, expected.method)
        )
    assert set(loss.absent) == {"tpr_at_fpr_0_001"}
    for name, attack in found.items():
        assert attack.references == held.aucs[name]
    placed = {own.name: own.value for own in other.figures}
    assert found["lira_offline"].figures["auc"].value == placed["lira_auc"]
    assert loss.figures["auc"].value == placed["loss_auc"]


def test_curves_are_points_of_the_whole_curve(labels, memorising, other):
    losses = {r: metrics.cross_entropy(labels[r], memorising[r]) for r in ("forget", "test")}
    truth = np.repeat([1, 0], [110, 150])
    fpr, tpr, _ = roc_curve(
        truth, -np.concatenate([losses["forget"], losses["test"]]), drop_intermediate=False
    )
    whole = {(round(a, 12), round(b, 12)) for a, b in zip(fpr, tpr, strict=True)}
    loss = other.attacks[0]
    points = [(round(a, 12), round(b, 12)) for a, b in zip(loss.fpr, loss.tpr, strict=True)]
    assert set(points) <= whole
    assert points == sorted(points)
    assert (points[0], points[-1]) == ((0, 0), (1, 1))


def test_a_thinned_curve_keeps_what_a_logarithmic_axis_shows():
    rng = np.random.default_rng(0)
    curve = attacks.roc(rng.normal(1, 1, 20_000), rng.normal(0, 1, 20_000))
    fpr, tpr = thinned(curve.fpr, curve.tpr, 1 / 20_000)
    assert len(fpr) <= 203
    for rate in (1e-4, 1e-3, 1e-2, 0.1, 0.5):
        place = np.searchsorted(fpr, rate * (1 + 1e-9), side="right") - 1
        assert tpr[place] == pytest.approx(curve.tpr_at(rate), abs=0.015)
    area = np.trapezoid(tpr, fpr) if hasattr(np, "trapezoid") else np.trapz(tpr, fpr)
    assert area == pytest.approx(curve.auc, abs=1e-3)


def test_the_svc_is_run_if_asked_for(labels, logits, many, memorising):
    found = evidence(many, memorising, ids=range(110), svc=True).attacks[-1]
    sure = {
        role: softmax(memorising[role].astype("float64"), axis=1)[np.arange(len(own)), own]
        for role, own in labels.items()
    }
    expected = attacks.svc_confidence(sure["retain"], sure["forget"], sure["test"]).scores
    area = attacks.roc(expected.members, expected.nonmembers).auc
    assert found.attack == "svc_confidence"
    assert found.figures["auc"].value == pytest.approx(area, abs=1e-3)
    assert found.references == ()
    assert "references" in found.absent


def test_margins_are_shares_in_common_bins(labels, memorising, many, other, alike):
    margins = other.margins
    assert len(margins.edges) == len(margins.candidate) + 1
    own = metrics.margins(labels["forget"], memorising["forget"])
    clipped = np.clip(own, margins.edges[0], np.nextafter(margins.edges[-1], 0))
    counts, _ = np.histogram(clipped, bins=margins.edges)
    np.testing.assert_allclose(margins.candidate, counts / 110)
    assert margins.original == margins.candidate
    table = np.array(
        [np.histogram(row, bins=margins.edges)[0] / 110 for row in many.margins["forget"]]
    )
    np.testing.assert_allclose(margins.mean, table.mean(axis=0))
    np.testing.assert_allclose(margins.low, table.min(axis=0))
    np.testing.assert_allclose(margins.high, table.max(axis=0))
    assert alike.margins.original is None


def test_slices_by_class(labels, memorising, logits, other):
    assert [own.label for own in other.slices] == [0, 1, 2]
    assert sum(own.size for own in other.slices) == 110
    for own in other.slices:
        mask = labels["forget"] == own.label
        right = memorising["forget"][mask].argmax(axis=1) == own.label
        assert own.accuracy == pytest.approx(right.mean())
        others = logits["forget"][:COUNT, mask].argmax(axis=2) == own.label
        np.testing.assert_allclose(own.references, others.mean(axis=1))


def test_the_worst_examples_are_the_furthest(labels, memorising, many, other):
    table = many.margins["forget"]
    own = metrics.margins(labels["forget"], memorising["forget"])
    far = (own - table.mean(axis=0)) / table.std(axis=0, ddof=1)
    order = np.argsort(-np.abs(far))[:10]
    assert [example.id for example in other.worst] == (order * 7).tolist()
    for example, place in zip(other.worst, order, strict=True):
        assert example.label == labels["forget"][place]
        assert example.margin == pytest.approx(own[place])
        assert example.reference_mean == pytest.approx(table[:, place].mean())
        assert example.deviation == pytest.approx(far[place])


def test_ids_must_fit(many, logits):
    with pytest.raises(ValueError, match=r"Expected shape \(110,\). Received \(3,\)"):
        evidence(many, parted(logits, COUNT)[0], ids=range(3))


def test_every_part_is_plain_numbers(other):
    """So that it can be written as JSON as it is."""

    def walk(value):
        if isinstance(value, dict):
            for own in value.values():
                walk(own)
        elif isinstance(value, tuple):
            for own in value:
                walk(own)
        else:
            assert value is None or type(value) in (str, int, float, bool), type(value)

    assert isinstance(other, Evidence)
    walk(dataclasses.asdict(other))
