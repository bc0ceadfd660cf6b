"""Unlearning by influence: the step that leaving out the forget set would have made."""

import bisect
from collections.abc import Iterator
from typing import Literal

import keras
import numpy as np
from keras import ops

from tfunlearn import gradients, models, training
from tfunlearn.data import ForgetSplit
from tfunlearn.data.streams import batches_to_read
from tfunlearn.methods.checks import check, check_count, check_not_negative, check_positive
from tfunlearn.methods.importance import cross_entropy
from tfunlearn.models.precision import bytes_of

_SAMPLES = 300
_MEMORY = 2**29  # bytes of gradients that are held by default
_POWERS = np.arange(3.0, -6.01, -0.25)  # of 10, for the damping in units of the mean squared norm


def influence(
    model: keras.Model,
    split: ForgetSplit,
    *,
    seed: int = 0,
    batch_size: int = 128,
    jit_compile: bool | str = "auto",
    verbose: int | str = 0,
    alpha: float = 1.0,
    damping: float | None = None,
    tolerance: float = 0.01,
    samples: int | None = None,
    curvature: Literal["exact", "recursion"] = "exact",
    fisher_samples: int = 1000,
) -> keras.Model:
    """Moves the weights by the inverse curvature times the gradient that the forget set leaves.

    With n training examples, m of them to retain and k to forget, and the gradients g of their
    cross-entropies,

        v = (1 / n) sum_forget g - (k / (n m)) sum_retain g,    w <- w + alpha F^-1 v,

    where F is the empirical Fisher information of a sample of the retain set:
    ``F = damping I + mean(g g^T)``. It is inverted exactly on the space of the sample's gradients.

    Args:
        model: the original; it is left as it was.
        split: the data; reads ``retain`` and ``forget``.
        seed: without effect: the sample lies evenly spread over the retain set.
        batch_size: examples a batch; without effect on the result.
        jit_compile: True for XLA; ``"auto"`` leaves that to JAX alone.
        verbose: without effect: there is no progress to show.
        alpha: strength of the step, at least 0; 1 is the first-order estimate.
        damping: what is added to the diagonal of the curvature, above 0; lower goes further. By
            default searched for: the lowest, by steps of a factor of 1.8, with which the sample's
            accuracy stays within ``tolerance``.
        tolerance: how much of the sample's accuracy may go in that search, at least 0.
        samples: retain examples in F, at least 1; by default 300, or as many as there are, or as
            512 MB of gradients hold.
        curvature: ``"exact"``, or ``"recursion"`` for the update of the official code, which has
            a damping of 1 (see below).
        fisher_samples: N of the recursion, at least 1: the number of samples that its F counts as
            a mean of, whatever ``samples`` is. 1,000 as in the official code, which has 300,000
            for ImageNet. Without effect on ``"exact"``.

    Returns:
        The unlearned model. Costs one pass over all training data with gradients and those of
        single examples for the sample, no training.

    Raises:
        ValueError: if a number is outside its range, ``curvature`` is none of its values, the step
            changed no weight, or model and split do not fit together.

    Reference: Izzo et al., 2021, "Approximate Data Deletion from Machine Learning Models",
    arXiv 2002.10077; Singh and Alistarh, 2020, "WoodFisher", arXiv 2004.14340; the update v as in
    Jia et al., 2023, arXiv 2304.04934, and its official code.
    Deviation: the official code follows one vector o, the first sample's gradient, through all
    rank-1 updates (``k -= (k.g) / (N + o.g) o``, ``o -= (o.g) / (N + o.g) o``), where the inverse
    needs a new one for each g: there, v moves along that first gradient alone. ``"recursion"`` does
    the same, with the same N by default; ``"exact"`` solves with the true inverse. Its samples are
    the first 1,002 of the retain set, here ``samples`` that lie evenly spread. In its ImageNet
    branch the gradient of the retain set is taken on the forget set; here it is not.
    """
    check(model, split, {"retain", "forget"}, seed=seed)
    check_not_negative(alpha=alpha, tolerance=tolerance)
    check_positive(damping=1.0 if damping is None else damping)
    check_count(fisher_samples=fisher_samples)
    if curvature not in ("exact", "recursion"):
        raise ValueError(f"curvature: expected 'exact' or 'recursion'. Received: {curvature!r}.")
    twin = models.logits_model(model)
    count = _count(twin, split.size("retain"), samples)
    v = _direction(twin, split, batch_size, jit_compile)
    sample = list(_sample(split, count, batch_size))
    rows = gradients.per_example(twin, sample, cross_entropy, jit_compile=jit_compile)
    if curvature == "recursion":
        step = recursion(rows, v, int(fisher_samples))
    else:
        curve = Curvature(np.stack(list(rows)), v)
        if damping is None:
            damping = _lowest_damping(twin, sample, curve, alpha, tolerance)
        step = curve.solve(damping)
    student = models.copy(model)
    if not _move(student, alpha * step):
        raise ValueError(
            f"alpha: the step changed no weight. Expected: above 0. Received: {alpha!r}."
        )
    return training.finish(student, model)


class Curvature:
    """The empirical Fisher information of a sample, inverted on one vector.

    Args:
        rows: the gradients g of single examples, ``(samples, weights)``.
        v: the vector, flat, float64.
    """

    def __init__(self, rows: np.ndarray, v: np.ndarray) -> None:
        self._blocks = np.array_split(rows, 16)  # so that few are held in float64 at once
        self._v, self._count = v, len(rows)
        self._inner = np.concatenate([block.astype("float64") @ v for block in self._blocks])
        self._gram = (rows @ rows.T).astype("float64")

    @property
    def scale(self) -> float:
        """The mean squared norm of the gradients, the trace of the information."""
        return max(float(self._gram.trace()) / self._count, float(np.finfo("float32").tiny))

    def solve(self, damping: float) -> np.ndarray:
        """Returns ``(damping I + mean(g g^T))^-1 v``, by the Woodbury identity."""
        damped = self._gram + damping * self._count * np.eye(self._count)
        shares = np.array_split(np.linalg.solve(damped, self._inner), len(self._blocks))
        pairs = zip(shares, self._blocks, strict=True)
        return (self._v - sum(share @ block for share, block in pairs)) / damping


def recursion(rows: Iterator[np.ndarray], v: np.ndarray, count: int) -> np.ndarray:
    """Returns v after the official code's rank-1 updates.

    Args:
        rows: the gradients g of single examples, each flat.
        v: a flat float64 array.
        count: N, the number of examples that the Fisher information counts as a mean of.
    """
    result = v.copy()
    old = next(rows).astype("float64")
    for row in rows:
        inner = float(old @ row)
        result -= (float(result @ row) / (count + inner)) * old
        old -= (inner / (count + inner)) * old
    return result


def _direction(
    twin: keras.Model, split: ForgetSplit, batch_size: int, jit_compile: bool | str
) -> np.ndarray:
    """Returns v, flat: what the forget set adds to the gradient of the training set."""
    streams = [batches_to_read(split, role, batch_size) for role in ("forget", "retain")]
    (forget, k), (retain, m) = gradients.gradient_sums(
        twin, streams, cross_entropy, per="example", jit_compile=jit_compile
    )
    n = k + m
    parts = [a / n - b * k / (n * m) for a, b in zip(forget, retain, strict=True)]
    return np.concatenate([part.ravel() for part in parts])


def _count(twin: keras.Model, available: int, samples: int | None) -> int:
    """Returns how many retain examples the curvature is taken from."""
    if samples is None:
        size = sum(map(bytes_of, twin.trainable_variables))
        return max(1, min(_SAMPLES, available, _MEMORY // max(1, size)))
    check_count(samples=samples)
    return min(int(samples), available)


def _sample(
    split: ForgetSplit, count: int, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields batches of retain examples that lie evenly spread over the retain set."""
    places = np.linspace(0, split.size("retain") - 1, count).round().astype("int64")
    start = 0
    for batch in training.iterate(batches_to_read(split, "retain", batch_size)):
        x, y = (ops.convert_to_numpy(part) for part in batch)
        rows = places[(places >= start) & (places < start + len(x))] - start
        start += len(x)
        if len(rows):
            yield x[rows], y[rows]


def _lowest_damping(
    twin: keras.Model,
    sample: list[tuple[np.ndarray, np.ndarray]],
    curve: Curvature,
    alpha: float,
    tolerance: float,
) -> float:
    """Returns the lowest damping with which the accuracy on a sample stays within a tolerance."""
    start = twin.get_weights()
    least = _accuracy(twin, sample) - tolerance

    def fails(power: float) -> bool:
        _move(twin, alpha * curve.solve(curve.scale * 10.0**power))
        accuracy = _accuracy(twin, sample)
        twin.set_weights(start)
        return accuracy < least

    place = bisect.bisect_left(_POWERS, True, key=fails)
    return curve.scale * 10.0 ** _POWERS[max(place - 1, 0)]


def _accuracy(model: keras.Model, sample: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Returns the share of a sample that a model classifies rightly."""
    right = [
        ops.convert_to_numpy(model(x, training=False)).argmax(-1) == y.reshape(-1)
        for x, y in sample
    ]
    return float(np.concatenate(right).mean())


def _move(student: keras.Model, step: np.ndarray) -> bool:
    """Adds a flat step to the trainable weights; tells whether that changed one."""
    moved, start = False, 0
    for weight in student.trainable_variables:
        before = ops.convert_to_numpy(weight)
        part = step[start : start + before.size].reshape(before.shape)
        after = (before + part).astype(before.dtype)
        moved |= not np.array_equal(before, after)
        weight.assign(after)
        start += before.size
    return moved
