"""Were the references trained as the original was? Both ways, and how often by chance."""

import numpy as np
import pytest

from tfunlearn import audit
from tfunlearn.audit.training_note import retain_figures, training_note

from .conftest import make_model
from .many import FakeBank

COUNTS = (1900, 100)
RIGHT = (0.85, 0.5)


def drawn(rng, right=RIGHT, loss=0.3, counts=COUNTS):
    """Returns the figures of a model that answers each class right with some chance."""
    recalls = rng.binomial(counts, right) / counts
    accuracy = float(recalls @ counts / sum(counts))
    return retain_figures(accuracy, float(rng.normal(loss, 0.01)), recalls)


@pytest.mark.parametrize("count", [1, 5, 19, 40])
@pytest.mark.parametrize(
    ("right", "loss", "name", "references"),
    [
        ((0.98, 0.5), 0.3, "recall of class 0", "worse"),
        ((0.70, 0.5), 0.3, "recall of class 0", "better"),
        ((0.85, 0.99), 0.3, "recall of class 1", "worse"),
        ((0.85, 0.1), 0.3, "recall of class 1", "better"),
        (RIGHT, 0.9, "retain loss", "better"),
        (RIGHT, 0.1, "retain loss", "worse"),
        ((0.70, 0.5), 0.3, "retain accuracy", "better"),
        ((0.97, 0.5), 0.3, "retain accuracy", "worse"),
    ],
)
def test_it_is_told_in_both_directions_with_both_values(count, right, loss, name, references):
    rng = np.random.default_rng(count)
    others, own = [drawn(rng) for _ in range(count)], drawn(rng, right, loss)
    (told,) = training_note(own, others, COUNTS)
    mean = np.mean([other[name] for other in others])
    shown = [f"{v:.4f}" if name == "retain loss" else f"{v:.1%}" for v in (mean, own[name])]
    words = f"{name} {shown[0]} against {shown[1]} (references {references})"
    assert words in told.replace("Re", "re")
    assert "epochs, batch size, learning rate, and class or sample weights" in told


@pytest.mark.parametrize("count", [1, 3, 18, 19, 40])
def test_an_original_inside_the_range_is_not_told(count):
    rng = np.random.default_rng(0)
    references = [drawn(rng) for _ in range(count)]
    inside = {name: np.median([own[name] for own in references]) for name in references[0]}
    assert training_note(inside, references, COUNTS) == []


def test_by_chance_at_most_one_in_twenty_is_told_however_many_classes():
    """400 originals that are one more of 19 references, with 12 classes, some of few examples."""
    rng = np.random.default_rng(0)
    counts = np.array([500] * 6 + [40] * 4 + [3, 0])
    right = np.append(rng.uniform(0.3, 0.99, 11), 0.5)
    told, repeats = 0, 400
    for _ in range(repeats):
        figures = []
        for _ in range(20):
            recalls = rng.binomial(counts, right) / np.maximum(counts, 1)
            accuracy = float(recalls @ counts / counts.sum())
            recalls[counts == 0] = np.nan
            figures.append(retain_figures(accuracy, float(rng.normal(0.3, 0.01)), recalls))
        told += bool(training_note(figures[0], figures[1:], counts.tolist()))
    assert 0 < told <= 35  # a binomial of 400 and 0.05 exceeds it once in 1,000


def test_few_references_and_few_examples_of_a_class_prove_nothing():
    one, other = (retain_figures(0.9, 0.3, np.array([0.9, own])) for own in (1.0, 0.5))
    assert training_note(one, [other], (1000, 4)) == []  # two of four examples
    assert training_note(one, [other], (1000, 6))  # three of six


def test_a_bank_is_looked_at_as_rows_are(split):
    roles = ("forget", "retain", "test")

    def logits(seed, scale):
        kernel, bias = make_model(seed, scale=scale).get_weights()
        return {r: (getattr(split, r)[0] @ kernel + bias).astype("float32") for r in roles}

    found = [logits(seed, 1.0) for seed in range(21)]
    bank = FakeBank({role: np.stack([own[role] for own in found]) for role in roles})
    wild = make_model(50, scale=-4.0)  # the loss of answers that are wrong and sure
    report = audit.compare({"original": wild}, split, bank=bank)
    (told,) = (note for note in report.notes if "Were they trained as it was" in note)
    assert "retain loss" in told.lower()
    assert "(references better)" in told
    alike = audit.compare({"original": make_model(3)}, split, bank=bank)
    assert not any("Were they trained" in note for note in alike.notes)
