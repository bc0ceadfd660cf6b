"""The competition's epsilon by loops over every threshold of the published grids."""

import math

import numpy as np

DELTA = 1e-5


def epsilon(true_positives, false_positives, models):
    """One threshold's epsilon; None where it is discarded."""
    fnr, fpr = (models - true_positives) / models, false_positives / models
    if fnr == 0 and fpr == 0:
        return math.inf
    if fnr == 0 or fpr == 0:
        return None
    found = []
    if 1 - DELTA - fpr > 0:
        found.append(math.log(1 - DELTA - fpr) - math.log(fnr))
    if 1 - DELTA - fnr > 0:
        found.append(math.log(1 - DELTA - fnr) - math.log(fpr))
    return max(0.0, *found) if found else None


def grids(positive, negative):
    """Both rules as metric.py has them: positive side, negative side, left and right thresholds."""
    both = np.concatenate([positive, negative])
    low, high = both.min(), both.max()
    for t in np.linspace(low, high, int(np.ceil((high - low) * 100))):
        yield positive, negative, t, math.inf
    ranges = np.ptp(positive), np.ptp(negative)
    width = min(ranges)
    if ranges[0] >= ranges[1]:
        positive, negative = negative, positive
    low, high = positive.min() + width - 2.0, positive.max() + 2.0
    for right in np.linspace(low, high, int(np.ceil((high - low) * 100))):
        lefts = np.linspace(right - width - 2.0, right - width + 2.0, 400)
        yield positive, negative, lefts, right


def by_loops(unlearned, retrained):
    """The largest epsilon over all thresholds, one after the other; NaN if all are discarded."""
    models = len(unlearned)
    higher = np.median(retrained) > np.median(unlearned)
    sides = (retrained, unlearned) if higher else (unlearned, retrained)
    counts = set()
    for positive, negative, left, right in grids(*sides):
        left = np.atleast_1d(left)[:, None]
        true = ((left <= positive) & (positive <= right)).sum(axis=1)
        false = ((left <= negative) & (negative <= right)).sum(axis=1)
        counts.update(zip(true.tolist(), false.tolist(), strict=True))
    found = [epsilon(true, false, models) for true, false in counts]
    return max((each for each in found if each is not None), default=math.nan)
