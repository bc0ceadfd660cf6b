"""The evidence of an attack: every figure where it belongs, nothing made up, order irrelevant."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from tfunlearn import attacks
from tfunlearn.attacks import MembershipScores, membership_evidence

RNG = np.random.default_rng(0)
MEMBERS, OTHERS = RNG.normal(0.5, 1, 1200), RNG.normal(size=1000)
NAMES = [
    "auc",
    "advantage",
    "balanced_accuracy",
    "tpr_at_fpr_0_01",
    "tpr_at_fpr_0_001",
    "decision_accuracy",
]


@pytest.fixture(scope="module")
def found():
    return membership_evidence(MembershipScores("mine", MEMBERS, OTHERS, threshold=0.25))


def test_the_figures_are_those_of_the_curve(found):
    curve = attacks.roc(MEMBERS, OTHERS)
    labels = np.r_[np.ones(1200), np.zeros(1000)]
    assert list(found.figures) == NAMES
    assert found.auc.value == pytest.approx(roc_auc_score(labels, np.r_[MEMBERS, OTHERS]))
    assert found.advantage.value == curve.advantage
    assert found.balanced_accuracy.value == curve.balanced_accuracy
    assert found.tpr_at_fpr_0_01.value == np.mean(np.sort(OTHERS)[-11] < MEMBERS)
    assert found.tpr_at_fpr_0_001.value == np.mean(np.sort(OTHERS)[-2] < MEMBERS)
    expected = balanced_accuracy_score(labels, np.r_[MEMBERS, OTHERS] >= 0.25)
    assert found.decision_accuracy.value == pytest.approx(expected)
    np.testing.assert_array_equal(found.roc.tpr, curve.tpr)


def test_every_figure_has_an_interval_and_sizes(found):
    for figure in found.figures.values():
        assert figure.low <= figure.value <= figure.high
        assert figure.low < figure.high
        assert figure.sizes == (found.members, found.nonmembers) == (1200, 1000)
        assert (figure.level, bool(figure.method)) == (0.95, True)
    assert (found.attack, dict(found.absent)) == ("mine", {})


def test_the_intervals_are_those_of_the_curve(found):
    curve = attacks.roc(MEMBERS, OTHERS)
    band = attacks.confidence_band(curve)
    assert found.auc == attacks.auc_interval(curve)
    assert found.tpr_at_fpr_0_01 == attacks.tpr_interval(curve, 0.01)
    assert (found.advantage.low, found.advantage.high) == (
        curve.advantage - band,
        curve.advantage + band,
    )
    half = (found.balanced_accuracy.high - found.balanced_accuracy.low) / 2
    assert half == pytest.approx(band / 2)


def test_what_cannot_be_had_is_absent_with_its_reason():
    found = membership_evidence(MembershipScores("mine", range(50), range(90)))
    assert found.tpr_at_fpr_0_01 is found.tpr_at_fpr_0_001 is found.decision_accuracy is None
    assert dict(found.absent) == {
        "tpr_at_fpr_0_01": "90 non-members cannot show a false positive rate of 0.01, "
        "which takes 100",
        "tpr_at_fpr_0_001": "90 non-members cannot show a false positive rate of 0.001, "
        "which takes 1,000",
        "decision_accuracy": "the attack gives scores and decides nothing",
    }
    assert list(found.figures) == ["auc", "advantage", "balanced_accuracy"]


def test_sides_that_do_not_differ_are_inside_every_interval():
    rng = np.random.default_rng(1)
    found = membership_evidence(MembershipScores("mine", *rng.normal(size=(2, 500)), threshold=0.0))
    for name, chance in (
        ("auc", 0.5),
        ("advantage", 0.0),
        ("balanced_accuracy", 0.5),
        ("tpr_at_fpr_0_01", 0.01),
        ("decision_accuracy", 0.5),
    ):
        figure = getattr(found, name)
        assert figure.low <= chance <= figure.high, name
    assert (found.advantage.low, found.balanced_accuracy.low) == (0.0, 0.5)


def test_ends_stay_in_their_range():
    far = membership_evidence(MembershipScores("mine", range(100, 120), range(20)))
    same = membership_evidence(MembershipScores("mine", [1] * 20, [1] * 20))
    assert (far.advantage.value, far.advantage.high, far.balanced_accuracy.high) == (1, 1, 1)
    assert far.auc.low < 1
    assert (same.advantage.value, same.advantage.low, same.balanced_accuracy.low) == (0, 0, 0.5)


def test_the_seed_decides_and_nothing_else_does(found):
    scores = MembershipScores("mine", MEMBERS, OTHERS, threshold=0.25)
    assert membership_evidence(scores).figures == found.figures
    other = membership_evidence(scores, seed=1).figures
    assert other["advantage"] != found.advantage
    assert other["auc"] == found.auc


def shuffled(rng, *sides):
    """Returns sides of arrays, each side's arrays in one new order, and the two orders."""
    orders = [rng.permutation(len(side[0])) for side in sides]
    return [
        [array[order] for array in side] for side, order in zip(sides, orders, strict=True)
    ], orders


def attack_on(name, member_side, other_side):
    """Runs an attack on (labels, logits, losses) of each side."""
    (labels, logits, losses), (other_labels, other_logits, other_losses) = member_side, other_side
    if name == "logistic_regression":
        return attacks.logistic_regression(losses, other_losses, seed=3)
    if name == "loss_threshold":
        return attacks.loss_threshold(losses, other_losses)
    if name == "entropy_threshold":
        return attacks.entropy_threshold(logits, other_logits)
    if name == "modified_entropy_threshold":
        return attacks.modified_entropy_threshold(labels, logits, other_labels, other_logits)
    if name == "correctness":
        predictions = logits.argmax(axis=1), other_logits.argmax(axis=1)
        return attacks.correctness(labels, predictions[0], other_labels, predictions[1])
    if name == "loss_threshold_by_class":
        plain = attacks.loss_threshold(losses, other_losses)
        return attacks.class_thresholds(plain, labels, other_labels, seed=3)
    retain = np.linspace(0.5, 1, 90)
    return attacks.svc_confidence(retain, np.exp(-losses), np.exp(-other_losses), seed=3).scores


def side(rng, size, strength):
    labels = rng.integers(0, 3, size)
    logits = rng.normal(size=(size, 3)) + strength * np.eye(3)[labels]
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(size), labels]
    return labels, logits, losses


@pytest.mark.parametrize(
    "name",
    [
        "logistic_regression",
        "loss_threshold",
        "entropy_threshold",
        "modified_entropy_threshold",
        "correctness",
        "loss_threshold_by_class",
        "svc_confidence",
    ],
)
def test_the_order_of_the_examples_changes_nothing(name):
    rng = np.random.default_rng(2)
    sides = side(rng, 120, 2.0), side(rng, 80, 1.0)
    first = attack_on(name, *sides)
    again, orders = shuffled(rng, *sides)
    second = attack_on(name, *again)
    assert first.attack == name
    np.testing.assert_array_equal(first.members[orders[0]], second.members)
    np.testing.assert_array_equal(first.nonmembers[orders[1]], second.nonmembers)
    assert membership_evidence(first).figures == membership_evidence(second).figures


def test_scores_are_copies_that_cannot_be_written_to():
    own = np.array([1.0, 2.0])
    scores = MembershipScores("mine", own, own)
    own[0] = 9
    assert scores.members.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        scores.members[0] = 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        scores.attack = "other"


@pytest.mark.parametrize(
    ("members", "others", "words"),
    [
        ([1.0], [1.0, 2.0], r"members must .* N >= 2. Received \(1,\)"),
        ([1.0, 2.0], [[1.0], [2.0]], r"nonmembers must .* Received \(2, 1\)"),
        ([1.0, np.inf], [1.0, 2.0], "members must be finite"),
    ],
)
def test_bad_scores_are_refused(members, others, words):
    with pytest.raises(ValueError, match=words):
        MembershipScores("mine", members, others)


def test_bad_options_are_refused():
    scores = MembershipScores("mine", [1, 2], [1, 2])
    with pytest.raises(TypeError, match=r"Expected MembershipScores\. Received tuple"):
        membership_evidence(([1, 2], [1, 2]))
    with pytest.raises(ValueError, match="level must"):
        membership_evidence(scores, level=95)
    with pytest.raises(ValueError, match="repeats must"):
        membership_evidence(scores, repeats=5)
    with pytest.raises(ValueError, match="seed"):
        membership_evidence(scores, seed=-1)
