"""The verdict's rate of false alarms through the audit's own path, in six settings.

In every draw all N + 1 models follow one law, and each of them is the candidate in turn, with the
other N as references: figures read off logits, all models held against one another, one test. The
share of alarms over the draws is the audit's rate of false alarms. If each model is held alike, the
N + 1 verdicts of a draw rank the same N + 1 distances, so that without ties exactly one of 20
models is an alarm at 19 references, and two of 40 at 39: no Monte Carlo error is left. Seeds and
numbers of draws were fixed before the first run.
"""

import numpy as np
import pytest

from tfunlearn.audit.references import References

from .many import parted


def normal(rng, shape):
    return rng.standard_normal(shape, "float32")


def noise(rng, models, examples, labels, classes):
    """What is hard is common to all models; the rest is noise, independent by example."""
    common = 2 * np.eye(classes, dtype="float32")[labels] + normal(rng, (examples, classes))
    return common + normal(rng, (models, examples, classes))


def discrete(rng, models, examples, labels, classes):
    """A handful of logits: most figures are equal for many models."""
    return np.rint(noise(rng, models, examples, labels, classes) / 3)


def correlated(rng, models, examples, labels, classes):
    """Models differ in two directions, by heavy-tailed amounts: margins hang together."""
    amounts = rng.standard_t(3, (models, 2)).astype("float32")
    common = noise(rng, 1, examples, labels, classes)
    moved = np.tensordot(amounts, normal(rng, (2, examples, classes)), 1)
    return common + moved + 0.1 * normal(rng, (models, examples, classes))


SETTINGS = {  # how logits are drawn, references, classes, examples by role, draws
    "50,000 retain examples": (noise, 19, 2, (100, 50_000, 100), 1),
    "few forget examples": (noise, 19, 3, (3, 200, 60), 6),
    "few values": (discrete, 19, 3, (20, 40, 30), 8),
    "correlated margins": (correlated, 19, 3, (100, 300, 150), 6),
    "39 references": (noise, 39, 3, (60, 200, 100), 2),
    "many classes": (noise, 19, 100, (120, 300, 200), 2),
}


def p_values(draw, references, classes, sizes, seed):
    """Returns the p-value of each model of a draw against all the others of it."""
    rng = np.random.default_rng(seed)
    roles = ("forget", "retain", "test")
    labels = {r: rng.integers(0, classes, n) for r, n in zip(roles, sizes, strict=True)}
    labels["test"][:2] = labels["forget"][0]  # so that attacks can be made
    logits = {
        role: draw(rng, references + 1, len(own), own, classes) for role, own in labels.items()
    }
    found = []
    for place in range(references + 1):
        one, rest = parted(logits, place)
        many = References(labels, rest)
        found.append(many.hold(many.read(one)).test().p_value)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SETTINGS))
def test_false_alarms_are_one_in_twenty(name):
    draw, references, classes, sizes, draws = SETTINGS[name]
    found = [p_values(draw, references, classes, sizes, seed) for seed in range(draws)]
    alarms = [sum(p <= 0.05 + 1e-12 for p in own) for own in found]
    allowed = (references + 1) // 20
    assert max(alarms) <= allowed
    if draw is not discrete:
        assert alarms == [allowed] * draws
    ranks = np.arange(1, references + 2) / (references + 1)
    for own in found:  # at most this share at every other level as well
        assert (np.sort(own) >= ranks - 1e-12).all()
