"""All that an audit against many references says of one model."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from numpy.typing import ArrayLike

from tfunlearn.attacks import reference_percentile
from tfunlearn.audit import evidence_examples, figures
from tfunlearn.audit.evidence_attacks import attack_results
from tfunlearn.audit.held import Held
from tfunlearn.audit.references import References
from tfunlearn.audit.spread import SpreadTest
from tfunlearn.report import wording
from tfunlearn.report.evidence import Evidence, Placed, Verdict

__all__ = ["evidence", "verdict_text"]

_NAMED = 3


def evidence(
    references: References,
    logits: Mapping[str, ArrayLike],
    *,
    ids: ArrayLike,
    original: ArrayLike | None = None,
    remarks: Sequence[str] = (),
    level: float = 0.95,
    seed: int = 0,
    svc: bool = False,
    worst: int = 10,
) -> Evidence:
    """Holds one model against many retrained ones, by all its figures and example by example.

    Args:
        references: The retrained models.
        logits: Role to the model's scores before the softmax, shape (n, C), finite; the roles of
            the references.
        ids: The forget examples' ids in the training data, integers of shape (F,), in the order
            of their logits.
        original: The original's logits on the forget examples, shape (F, C); None without one.
        remarks: Sentences that go before the verdict, such as on a collapsed model.
        level: Share of retrained models that lie inside, and level of the intervals, in (0, 1).
        seed: Seed of the resamples behind the attacks' intervals.
        svc: Whether to add the attack by an SVC on confidences, which takes seconds to minutes.
        worst: How many of the examples furthest off to list, at least 0.

    Returns:
        The evidence.

    Raises:
        ValueError: If shapes do not fit or logits are not finite.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> labels = {role: np.arange(30) % 3 for role in ("forget", "retain", "test")}
        >>> logits = {role: rng.normal(size=(21, 30, 3)) for role in labels}
        >>> many = References(labels, {role: own[:20] for role, own in logits.items()})
        >>> found = evidence(many, {role: own[20] for role, own in logits.items()}, ids=range(30))
        >>> found.verdict.inside, found.verdict.references
        (True, 20)
    """
    reading = references.read(logits)
    held = references.hold(reading)
    return Evidence(
        verdict=_verdict(held.test(level), references, remarks),
        figures=tuple(_placed(held, figure, level) for figure in references.listed),
        attacks=attack_results(references, reading, held, logits, level=level, seed=seed, svc=svc),
        margins=evidence_examples.histograms(references, reading.margins["forget"], original),
        slices=evidence_examples.slices(references, reading.right),
        worst=evidence_examples.worst(references, reading, held.relative, ids, worst),
    )


def _verdict(test: SpreadTest, references: References, remarks: Sequence[str]) -> Verdict:
    labels = {figure.name: figure.label for figure in references.listed}
    furthest = tuple(labels[name] for name in test.furthest[:_NAMED])
    return Verdict(
        inside=test.inside,
        p_value=test.p_value,
        level=test.level,
        references=test.references,
        furthest=furthest,
        text=" ".join([*remarks, verdict_text(test, furthest)]),
    )


def verdict_text(test: SpreadTest, furthest: Sequence[str]) -> str:
    """Returns what a test found as a sentence for people, which never says "forgotten".

    Example:
        >>> from tfunlearn.audit.spread import spread_test
        >>> test = spread_test({"a": 9.0}, {"a": [1.0, 2.0]})
        >>> verdict_text(test, ["a"])
        '2 references are too few to tell: it takes 19.'
    """
    if test.inside is None:
        needed = math.ceil(round(1 / (1 - test.level), 9)) - 1
        return f"{test.references} references are too few to tell: it takes {needed}."
    least = wording.smallest(test.p_value, test.references)
    shown = f"p = {test.p_value:.2g}" + (f", {least}" if least else "")
    found = (
        f"{'Inside' if test.inside else 'Outside'} the spread of {test.references} retrained "
        f"models ({shown}; {100 * test.level:.4g} % of them lie inside)"
    )
    if test.inside:
        return f"{found}. These figures do not tell it from a retrained model; others might."
    return f"{found}: furthest off in {', '.join(furthest)}."


def _placed(held: Held, figure: figures.Figure, level: float) -> Placed:
    """Returns a figure with its place among the references', or the reason for its absence."""
    if figure.name not in held.values:
        reason = held.absent[figure.name]
        return Placed(*figure, None, (), None, None, None, None, None, absent=reason)
    value, others = held.values[figure.name], held.references[figure.name]
    place = reference_percentile(value, others, level=level)
    spread = statistics.stdev(others)
    return Placed(
        *figure,
        value=value,
        references=others,
        percentile=place.percentile,
        low=place.low,
        high=place.high,
        p_value=place.p_value,
        deviation=(value - math.fsum(others) / len(others)) / spread if spread > 0 else None,
        absent="" if spread > 0 else "the references' values are equal, so there is no deviation",
    )
