"""Slices: each the evidence of its own examples, none dropped in silence."""

import numpy as np
import pytest

from tfunlearn.attacks import (
    MembershipScores,
    membership_evidence,
    slices_by_class,
    slices_by_loss,
)

RNG = np.random.default_rng(0)
LABELS, OTHERS = RNG.integers(0, 3, 150), RNG.integers(0, 3, 240)
LOSSES, OTHER_LOSSES = RNG.exponential(0.7, 150), RNG.exponential(1.0, 240)
SCORES = MembershipScores("mine", -LOSSES, -OTHER_LOSSES, threshold=-0.5)


def same(part, members, others):
    expected = membership_evidence(MembershipScores("mine", members, others, -0.5), repeats=100)
    return part.evidence.figures == expected.figures and part.evidence.absent == expected.absent


def test_each_class_is_the_evidence_of_its_examples():
    found = slices_by_class(SCORES, LABELS, OTHERS, repeats=100)
    assert [part.name for part in found] == ["class 0", "class 1", "class 2"]
    for number, part in enumerate(found):
        assert same(part, -LOSSES[number == LABELS], -OTHER_LOSSES[number == OTHERS])
        assert (part.members, part.nonmembers) == (sum(number == LABELS), sum(number == OTHERS))
        assert part.evidence.members == part.members
        assert part.absent == ""


def test_small_classes_are_listed_with_the_reason():
    labels = np.r_[np.zeros(140, int), np.full(10, 7)]
    others = np.r_[np.zeros(200, int), np.full(19, 7), np.full(21, 9)]
    found = slices_by_class(SCORES, labels, others, repeats=100)
    assert [(part.name, part.evidence is None, part.absent) for part in found] == [
        ("class 0", False, ""),
        ("class 7", True, "10 members and 19 non-members; it takes 20 of each"),
        ("class 9", True, "0 members and 21 non-members; it takes 20 of each"),
    ]
    assert sum(part.members for part in found) == 150
    kept = slices_by_class(SCORES, labels, others, repeats=100, minimum=10)
    assert [part.evidence is None for part in kept] == [False, False, True]


@pytest.mark.parametrize("percentiles", [range(0, 101, 10), [0, 25, 100]])
def test_loss_slices_equal_a_plain_loop(percentiles):
    found = slices_by_loss(
        SCORES, LOSSES, OTHER_LOSSES, percentiles=percentiles, repeats=100, minimum=2
    )
    edges = np.percentile(np.r_[LOSSES, OTHER_LOSSES], list(percentiles))
    for number, part in enumerate(found):
        low, high = edges[number], edges[number + 1]
        last = number == len(found) - 1
        own, others = (
            [x for x in side if low <= x < high or (last and x == high)]
            for side in (LOSSES, OTHER_LOSSES)
        )
        assert (part.members, part.nonmembers) == (len(own), len(others))
        assert same(part, -np.array(own), -np.array(others))
    assert sum(part.members for part in found) == 150
    assert sum(part.nonmembers for part in found) == 240


@pytest.mark.parametrize("sizes", [(19, 30), (30, 19)])
def test_either_side_can_be_too_small(sizes):
    scores = MembershipScores("mine", range(sizes[0]), range(sizes[1]))
    (part,) = slices_by_class(scores, [0] * sizes[0], [0] * sizes[1])
    assert part.evidence is None
    assert part.absent == f"{sizes[0]} members and {sizes[1]} non-members; it takes 20 of each"


def test_names_and_absences_of_loss_slices():
    found = slices_by_loss(SCORES, LOSSES, OTHER_LOSSES, percentiles=[0, 2.5, 100], repeats=100)
    assert [part.name for part in found] == ["loss 0-2.5 %", "loss 2.5-100 %"]
    assert found[0].evidence is None
    assert "it takes 20 of each" in found[0].absent


def test_equal_losses_are_all_in_one_slice():
    found = slices_by_loss(SCORES, np.zeros(150), np.zeros(240), repeats=100)
    assert [part.members for part in found] == [0] * 9 + [150]
    assert [part.evidence is None for part in found] == [True] * 9 + [False]


def test_options_reach_the_evidence():
    part = slices_by_class(SCORES, LABELS, OTHERS, level=0.8, repeats=50, seed=3)[0]
    assert part.evidence.auc.level == 0.8
    assert part.evidence.advantage.method == "bootstrap band, 50 resamples, seed 3"


@pytest.mark.parametrize(
    ("cut", "arguments", "options", "error", "words"),
    [
        (slices_by_class, (LABELS[:9], OTHERS), {}, ValueError, r"Expected shape \(150,\)"),
        (slices_by_class, (LABELS, OTHERS * 1.0), {}, TypeError, "nonmember_labels"),
        (slices_by_class, (LABELS, OTHERS), {"minimum": 1}, ValueError, "minimum must be at le"),
        (slices_by_class, (LABELS, OTHERS), {"minimum": 9.0}, TypeError, "minimum must be a"),
        (slices_by_loss, (LOSSES[:9], OTHER_LOSSES), {}, ValueError, "member_losses must hold"),
        (slices_by_loss, (LOSSES, OTHER_LOSSES * np.nan), {}, ValueError, "must be finite"),
        (slices_by_loss, (LOSSES, OTHER_LOSSES), {"level": 2}, ValueError, "level must"),
        *(
            (slices_by_loss, (LOSSES, OTHER_LOSSES), {"percentiles": edges}, ValueError, words)
            for edges, words in (
                ([0, 50, 50, 100], r"percentiles must be edges.*Received \[0.0, 50.0"),
                ([0, 1], "Expected rising numbers from 0 to 100"),
                ([10, 100], "leave no example out"),
                ([0], "N >= 2"),
            )
        ),
    ],
)
def test_bad_slices_are_refused(cut, arguments, options, error, words):
    with pytest.raises(error, match=words):
        cut(SCORES, *arguments, **options)


@pytest.mark.parametrize("cut", [slices_by_class, slices_by_loss])
def test_only_scores_are_sliced(cut):
    with pytest.raises(TypeError, match="Expected MembershipScores"):
        cut([1, 2], [0, 1], [0, 1])
