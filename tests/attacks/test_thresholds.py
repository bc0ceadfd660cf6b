"""Threshold attacks: their scores by scipy, class thresholds by loops, and a model that hides."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from tfunlearn import attacks
from tfunlearn.attacks import MembershipScores, membership_evidence
from tfunlearn.attacks.folds import assign_folds

RNG = np.random.default_rng(0)
LABELS, OTHER_LABELS = RNG.integers(0, 4, 70), RNG.integers(0, 4, 90)
LOGITS, OTHER_LOGITS = RNG.normal(size=(70, 4)), RNG.normal(size=(90, 4))


def test_entropy_scores_against_scipy():
    found = attacks.entropy_threshold(LOGITS, OTHER_LOGITS)
    np.testing.assert_allclose(found.members, -entropy(softmax(LOGITS, axis=1), axis=1))
    np.testing.assert_allclose(found.nonmembers, -entropy(softmax(OTHER_LOGITS, axis=1), axis=1))
    assert (found.attack, found.threshold) == ("entropy_threshold", None)


def test_modified_entropy_scores_against_a_loop():
    found = attacks.modified_entropy_threshold(LABELS, LOGITS, OTHER_LABELS, OTHER_LOGITS)
    for scores, labels, logits in (
        (found.members, LABELS, LOGITS),
        (found.nonmembers, OTHER_LABELS, OTHER_LOGITS),
    ):
        for score, label, p in zip(scores, labels, softmax(logits, axis=1), strict=True):
            expected = (1 - p[label]) * np.log(p[label])
            expected += sum(p[j] * np.log(1 - p[j]) for j in range(4) if j != label)
            assert score == pytest.approx(expected)
    assert found.attack == "modified_entropy_threshold"


def test_loss_scores_are_log_probabilities():
    losses = -log_softmax(LOGITS, axis=1)[range(70), LABELS]
    found = attacks.loss_threshold(losses, losses + 1)
    np.testing.assert_allclose(np.exp(found.members), softmax(LOGITS, axis=1)[range(70), LABELS])
    assert found.attack == "loss_threshold"
    assert attacks.roc(found.members, found.nonmembers).auc > 0.5  # lower losses: members


def test_correctness_is_half_the_gap_in_accuracy():
    predictions, others = LOGITS.argmax(axis=1), OTHER_LOGITS.argmax(axis=1)
    found = attacks.correctness(LABELS, predictions, OTHER_LABELS, others)
    gap = np.mean(predictions == LABELS) - np.mean(others == OTHER_LABELS)
    evidence = membership_evidence(found)
    assert evidence.decision_accuracy.value == pytest.approx(0.5 + gap / 2)
    assert evidence.auc.value == pytest.approx(0.5 + gap / 2)
    assert set(found.members) | set(found.nonmembers) == {0.0, 1.0}


def test_a_model_that_clips_its_confidences_does_not_hide_from_labels():
    rng = np.random.default_rng(1)
    labels, others = rng.integers(0, 10, 400), rng.integers(0, 10, 400)
    predictions = labels.copy()  # every member is remembered, one other in four is missed
    other_predictions = np.where(rng.random(400) < 0.25, (others + 1) % 10, others)
    logits, other_logits = (3.0 * np.eye(10)[p] for p in (predictions, other_predictions))
    hidden = membership_evidence(attacks.entropy_threshold(logits, other_logits))
    caught = membership_evidence(
        attacks.correctness(labels, predictions, others, other_predictions)
    )
    assert hidden.auc.value == 0.5
    assert caught.auc.low > 0.58
    assert caught.decision_accuracy.low > 0.58


def best_threshold(members, others):
    """Returns the highest score that parts the sides best, by trying each."""
    best, found = -1.0, None
    for score in sorted({*members, *others}, reverse=True):
        accuracy = (np.mean(members >= score) + np.mean(others < score)) / 2
        if accuracy > best + 1e-12:
            best, found = accuracy, score
    return found


def test_class_thresholds_equal_a_plain_loop():
    rng = np.random.default_rng(2)
    members, others = rng.normal(0.5, 1, 70).round(1), rng.normal(0, 1, 90).round(1)
    scores = MembershipScores("mine", members, others)
    found = attacks.class_thresholds(scores, LABELS, OTHER_LABELS, folds=5, seed=6)
    values, classes = np.r_[members, others], np.r_[LABELS, OTHER_LABELS]
    is_member = np.r_[np.ones(70, bool), np.zeros(90, bool)]
    fold = assign_folds(2 * classes + is_member, values, 5, 6)
    expected = [
        values[i]
        - best_threshold(
            values[is_member & (classes == classes[i]) & (fold != fold[i])],
            values[~is_member & (classes == classes[i]) & (fold != fold[i])],
        )
        for i in range(160)
    ]
    np.testing.assert_allclose(found.members, expected[:70])
    np.testing.assert_allclose(found.nonmembers, expected[70:])
    assert (found.attack, found.threshold) == ("mine_by_class", 0.0)


def test_class_thresholds_find_what_one_threshold_misses():
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], 200)
    members = rng.normal(1.5, 1, 400) + 10 * labels
    scores = MembershipScores("mine", members, rng.normal(0, 1, 400) + 10 * labels)
    plain = membership_evidence(scores)
    found = membership_evidence(attacks.class_thresholds(scores, labels, labels))
    assert plain.balanced_accuracy.value < 0.68
    assert found.decision_accuracy.value > 0.74
    assert found.auc.value > 0.82


def test_thresholds_are_not_fitted_to_the_examples_they_judge():
    """With 4 examples a class and side, thresholds fitted to them would look far above chance."""
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(250), 4)
    scores = MembershipScores("mine", *rng.normal(size=(2, 1000)))
    fitted = [
        attacks.roc(scores.members[labels == k], scores.nonmembers[labels == k]).balanced_accuracy
        for k in range(250)
    ]
    assert np.mean(fitted) > 0.65
    found = membership_evidence(attacks.class_thresholds(scores, labels, labels))
    assert found.decision_accuracy.low < 0.5 < found.decision_accuracy.high


def test_class_thresholds_depend_on_the_seed():
    scores = MembershipScores("mine", *np.random.default_rng(5).normal(size=(2, 60)))
    labels = np.arange(60) % 3
    first, again, other = (
        attacks.class_thresholds(scores, labels, labels, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.members, again.members)
    assert (first.members != other.members).any()


@pytest.mark.parametrize(
    ("labels", "others", "options", "error", "words"),
    [
        ([0, 0, 1], [0, 0, 0], {}, ValueError, "Received.* 1 and 0 of class 1"),
        ([0, 0, 1], [0, 0, 1], {}, ValueError, "at least twice.* 1 and 1 of class 1"),
        ([0, 0], [0, 0, 0], {}, ValueError, r"member_labels must .* Expected shape \(3,\)"),
        ([0, 0, 0], [[0, 0, 0]], {}, ValueError, r"nonmember_labels .* Received \(1, 3\)"),
        ([0, 0, -1], [0, 0, 0], {}, ValueError, "Expected values from 0. Received -1"),
        ([0.0, 0, 0], [0, 0, 0], {}, TypeError, "Expected an integer dtype. Received float64"),
        ([0, 0, 0], [0, 0, 0], {"folds": 1}, ValueError, "folds must be at least 2"),
        ([0, 0, 0], [0, 0, 0], {"folds": 2.0}, TypeError, "folds must be a whole number"),
        ([0, 0, 0], [0, 0, 0], {"seed": -1}, ValueError, "seed"),
    ],
)
def test_bad_classes_are_refused(labels, others, options, error, words):
    scores = MembershipScores("mine", [1, 2, 3], [1, 2, 3])
    with pytest.raises(error, match=words):
        attacks.class_thresholds(scores, labels, others, **options)


def test_bad_sides_are_refused():
    with pytest.raises(TypeError, match="Expected MembershipScores"):
        attacks.class_thresholds([1, 2], [0, 0], [0, 0])
    with pytest.raises(ValueError, match=r"member_losses must .* N >= 2"):
        attacks.loss_threshold([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="nonmember_losses must be finite"):
        attacks.loss_threshold([1.0, 2.0], [np.nan, 2.0])
    with pytest.raises(ValueError, match="logits must"):
        attacks.entropy_threshold(LOGITS[0], LOGITS)
    with pytest.raises(ValueError, match="labels"):
        attacks.modified_entropy_threshold(LABELS[:5], LOGITS, LABELS, LOGITS)
    with pytest.raises(ValueError, match=r"member_predictions must .* Expected shape \(70,\)"):
        attacks.correctness(LABELS, LABELS[:9], LABELS, LABELS)
    with pytest.raises(TypeError, match="nonmember_predictions must be class numbers"):
        attacks.correctness(LABELS, LABELS, LABELS, LABELS * 1.0)
    with pytest.raises(ValueError, match=r"member_labels must .* Received \(2, 1\)"):
        attacks.correctness([[0], [1]], [0, 1], [0, 1], [0, 1])
