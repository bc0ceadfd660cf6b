"""Logits of many made-up models, and a bank that holds them."""

import numpy as np

SIZES = {"forget": 110, "retain": 90, "test": 150}


def make_labels(sizes=None, classes=3, seed=0):
    """Returns role to labels."""
    rng = np.random.default_rng(seed)
    return {role: rng.integers(0, classes, size) for role, size in (sizes or SIZES).items()}


def make_logits(labels, models, seed=1, noise=1.0, classes=3):
    """Returns role to logits of models that agree on what is hard and differ by noise."""
    rng = np.random.default_rng(seed)
    found = {}
    for role, own in labels.items():
        common = 2 * np.eye(classes)[own] + rng.normal(size=(len(own), classes))
        moved = noise * rng.normal(size=(models, len(own), classes))
        found[role] = (common + moved).astype("float32")
    return found


def parted(logits, place):
    """Returns one model's logits and the others'."""
    one = {role: own[place] for role, own in logits.items()}
    return one, {role: np.delete(own, place, axis=0) for role, own in logits.items()}


class FakeBank:
    """As much of a bank as an audit looks at."""

    def __init__(self, logits, seeds=None):
        self._logits = logits
        count = len(logits["forget"])
        self.seeds = tuple(range(count)) if seeds is None else tuple(seeds)
        self.seconds = tuple(1.0 + place for place in range(count))

    def __len__(self):
        return len(self.seeds)

    def logits(self, role):
        return self._logits[role]
