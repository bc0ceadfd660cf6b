"""What a bank of margins must be, and the words where it is not."""

import numpy as np
import pytest

from tfunlearn.attacks.margin_banks import (
    candidate_margins,
    margin_bank,
    read_only,
    same_examples,
)


def test_good_arrays_come_back_as_float64():
    bank = margin_bank("out_margins", np.ones((2, 3), "float32"), least=2)
    assert bank.dtype == np.float64
    assert bank.shape == (2, 3)
    assert candidate_margins("candidate", [1, 2, 3], 3).dtype == np.float64
    assert candidate_margins("candidate", np.ones((4, 3)), 3).shape == (4, 3)


@pytest.mark.parametrize(
    ("bank", "words"),
    [
        (np.ones(3), r"shape \(models, examples\). Received \(3,\)"),
        (np.ones((2, 0)), r"Received \(2, 0\)"),
        (np.ones((2, 3, 4)), r"Received \(2, 3, 4\)"),
        (np.ones((1, 3)), "out_margins must hold enough models. Expected at least 2. Received 1"),
        ([[1.0, np.nan], [0.0, np.inf]], "Received 2 of them among 4"),
    ],
)
def test_bad_banks_are_refused(bank, words):
    with pytest.raises(ValueError, match=words):
        margin_bank("out_margins", bank, least=2)


@pytest.mark.parametrize(
    ("margins", "words"),
    [
        (1.0, r"Expected shape \(3,\) or \(candidates, 3\). Received \(\)"),
        (np.ones(2), r"Received \(2,\)"),
        (np.ones((0, 3)), r"Received \(0, 3\)"),
        (np.ones((1, 1, 3)), r"Received \(1, 1, 3\)"),
        ([1.0, -np.inf, 0.0], "candidate must be finite"),
    ],
)
def test_bad_candidates_are_refused(margins, words):
    with pytest.raises(ValueError, match=words):
        candidate_margins("candidate", margins, 3)


def test_banks_of_different_examples_are_refused():
    with pytest.raises(ValueError, match=r"retrained must hold the examples of unlearned.*2.*3"):
        same_examples("unlearned", np.ones((4, 2)), "retrained", np.ones((4, 3)))


def test_read_only_arrays_refuse_to_be_written_to():
    array = read_only(np.zeros(2))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0
