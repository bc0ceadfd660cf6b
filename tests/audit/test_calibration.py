"""The audit audits itself: known answers on digits, with many small networks.

Every model here is trained in the same way; only seeds and examples differ.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from tfunlearn import audit, metrics, models
from tfunlearn.attacks import reference_percentile
from tfunlearn.audit import figures
from tfunlearn.audit.evidence import evidence
from tfunlearn.audit.held import RELATIVE
from tfunlearn.audit.references import References
from tfunlearn.audit.spread import spread_test
from tfunlearn.data import scenarios

from .many import FakeBank, parted
from .small_nets import as_keras, gradients, outputs, train

ROLES = ("forget", "retain", "validation", "test")
MODELS = {"random": 60, "whole_class": 23, "mislabelled": 23}
COUNT = 40  # models of a set: one of them is the candidate, the others are its references
SETS = 5
LEVEL = 0.95


def flat(split, role):
    x, y = getattr(split, role)
    return x.reshape(len(x), -1).astype("float32"), y


def make_case(task, count):
    """Returns a task, an original that saw all of it, and models that saw no forget example."""
    split = scenarios.get(task)("digits").split
    known = [flat(split, role) for role in ("forget", "retain")]
    everything = [np.concatenate(parts) for parts in zip(*known, strict=True)]
    original = train(*everything, [1000])
    references = train(*flat(split, "retain"), range(count))
    return SimpleNamespace(
        split=split,
        labels={role: split.labels(role) for role in ROLES},
        original=original,
        references={role: outputs(references, flat(split, role)[0]) for role in ROLES},
        logits={role: outputs(original, flat(split, role)[0])[0] for role in ROLES},
    )


@pytest.fixture(scope="module")
def cases():
    return {task: make_case(task, count) for task, count in MODELS.items()}


@pytest.fixture(scope="module")
def reports(cases):
    """Task to the audit of doing nothing, of a copy, and of a model that gives one answer."""
    found = {}
    for task, case in cases.items():
        original = as_keras(case.original)
        collapsed = models.copy(original)
        collapsed.set_weights([0 * own for own in original.get_weights()[:-1]] + [np.arange(10.0)])
        rows = {"original": original, "no-op": models.copy(original), "collapsed": collapsed}
        found[task] = audit.compare(rows, case.split, bank=FakeBank(case.references))
    return found


def test_the_networks_learn_by_the_gradient():
    """The trainer's gradients against differences, so that the models here are what they claim."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1, 6, 4)), rng.integers(0, 3, (1, 6))
    weights = [rng.normal(size=shape) for shape in ((1, 4, 5), (1, 1, 5), (1, 5, 3), (1, 1, 3))]

    def loss():
        return metrics.cross_entropy(y[0], outputs(weights, x[0])[0]).mean()

    for own, gradient in zip(weights, gradients(weights, x, y), strict=True):
        place = (0, 0, 1)
        own[place] += 1e-6
        above = loss()
        own[place] -= 2e-6
        slope = (above - loss()) / 2e-6
        own[place] += 1e-6
        assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-8)


@pytest.mark.slow
def test_false_alarms_among_retrained_models(cases):
    """One of 40 models against the other 39, in turn, in 5 draws from 60 models: 200 repeats.

    If the models of a set are alike, no more than 2 of its 40 can have a p-value of 2/40 or less,
    for the verdict and for each figure: the rank makes it so, as each of the 40 is held against the
    other 39, whichever of them is the candidate.
    """
    case = cases["random"]
    alarms, by_figure = 0, {}
    for number in range(SETS):
        chosen = np.random.default_rng(number).choice(60, COUNT, replace=False)
        logits = {role: own[chosen] for role, own in case.references.items()}
        for place in range(COUNT):
            one, others = parted(logits, place)
            many = References(case.labels, others)
            held = many.hold(many.read(one))
            alarms += held.test(LEVEL).inside is False
            for name, value in held.values.items():
                p_value = reference_percentile(value, held.references[name]).p_value
                by_figure[name] = by_figure.get(name, 0) + (p_value <= 1 - LEVEL + 1e-12)
    allowed = round((1 - LEVEL) * SETS * COUNT)
    assert 0 < alarms <= allowed
    assert set(RELATIVE) < set(by_figure)
    assert "loss_tpr_at_fpr_0_01" not in by_figure  # it takes more forget examples
    assert len(by_figure) == len(figures.listed(ROLES)) - 1
    for name, count in by_figure.items():
        assert count <= allowed, name


@pytest.mark.parametrize("task", ["random", "whole_class", "mislabelled"])
def test_doing_nothing_is_outside_and_a_retrained_model_inside(cases, reports, task):
    report = reports[task]
    assert report.value("original", "forget_accuracy") > 0.95  # known by heart
    for name in ("original", "no-op"):
        verdict = report.evidence[name].verdict
        assert (verdict.inside, verdict.references) == (False, MODELS[task] - 1)
        assert verdict.p_value == pytest.approx(1 / MODELS[task])
    held = report.evidence["held-out retrain"].verdict
    assert held.inside is True, held.text


@pytest.mark.parametrize("task", ["random", "whole_class", "mislabelled"])
def test_a_no_op_and_a_collapsed_model_are_named(reports, task):
    report = reports[task]
    texts = {name: own.verdict.text for name, own in report.evidence.items()}
    assert texts["no-op"].startswith(
        "Unchanged: its weights equal those of original byte for byte. Outside the spread of"
    )
    assert texts["collapsed"].startswith("Collapsed: it answers class 9 to every retain example,")
    assert report.evidence["collapsed"].verdict.inside is False
    assert not texts["original"].startswith(("Unchanged", "Collapsed"))
    assert report.row("no-op").flags == ("unchanged",)
    assert report.row("collapsed").flags == ("collapsed",)


def clipped(logits):
    """Returns logits that give every answer with the same confidence."""
    return {role: 0.5 * np.eye(10)[own.argmax(axis=1)] for role, own in logits.items()}


def flattened(logits):
    """Returns logits at a high temperature: all confidences near chance."""
    return {role: own / 100 for role, own in logits.items()}


@pytest.mark.parametrize("hide", [clipped, flattened])
@pytest.mark.parametrize("task", ["whole_class", "mislabelled"])
def test_a_model_that_hides_its_confidences_is_caught_by_its_answers(cases, task, hide):
    case = cases[task]
    hidden = hide(case.logits)
    for role, own in hidden.items():
        assert (own.argmax(axis=1) == case.logits[role].argmax(axis=1)).all()
        assert metrics.cross_entropy(case.labels[role], own).min() > 1  # never sure of anything
    many = References(case.labels, case.references)
    found = evidence(many, hidden, ids=case.split.ids["forget"])
    placed = {own.name: own for own in found.figures}
    gap = placed["label_only_gap"]
    assert (gap.percentile, gap.p_value) == (100.0, pytest.approx(2 / 24))
    assert gap.deviation is None or gap.deviation > 4  # none: the references' gaps are all 0
    alone = {"label_only_gap": gap.value}, {"label_only_gap": gap.references}
    assert spread_test(*alone).inside is False
    assert found.verdict.inside is False
    label_only = next(own for own in found.attacks if own.attack == "correctness")
    assert label_only.figures["auc"].value > max(label_only.references)
