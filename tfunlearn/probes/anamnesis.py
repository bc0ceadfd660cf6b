"""The anamnesis index: one relearn time against that of a retrained model."""

from dataclasses import dataclass, fields

import numpy as np

from tfunlearn.methods.checks import check_positive
from tfunlearn.probes.relearn_result import RelearnTime

Time = RelearnTime | float | None


@dataclass(frozen=True)
class AnamnesisIndex:
    """An anamnesis index, or why there is none.

    Attributes:
        value: the index, or None where a time was not reached. 1 is the retrained model's; below
            it the forget set is relearned faster, so something of it is left; above it slower,
            which a retrained model would not be either.
        reason: why there is no value, or None.
        unlearned: the unlearned model's time, None where it was not reached.
        reference: the retrained model's time, likewise.
        offset: what was added to both.
    """

    value: float | None
    reason: str | None
    unlearned: float | None
    reference: float | None
    offset: float


def anamnesis_target(original_accuracy: float, *, alpha: float = 0.05) -> float:
    """Returns the accuracy at which the forget set counts as relearned: (1 - alpha) x original.

    Args:
        original_accuracy: the original's accuracy on the forget set, a fraction in (0, 1].
        alpha: the share of it that may be missing, in [0, 1).

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> from tfunlearn import probes
        >>> round(probes.anamnesis_target(0.98), 4)
        0.931

    Reference: Chundawat et al., 2023, "Zero-shot machine unlearning", arXiv 2201.05629 (its
    official code: ``error_range`` 0.05).
    Deviation: the paper's code takes the accuracy on held-out images of the forgotten class.
    """
    if not np.isscalar(original_accuracy) or not 0 < float(original_accuracy) <= 1:
        raise ValueError(
            f"original_accuracy: expected a fraction in (0, 1]. Received: {original_accuracy!r}."
        )
    if not np.isscalar(alpha) or not 0 <= float(alpha) < 1:
        raise ValueError(f"alpha: expected a fraction in [0, 1). Received: {alpha!r}.")
    return (1.0 - float(alpha)) * float(original_accuracy)


def anamnesis_index(
    unlearned_time: Time, reference_time: Time, *, offset: float = 0.01
) -> AnamnesisIndex:
    """Returns (unlearned time + offset) / (reference time + offset).

    Args:
        unlearned_time: the unlearned model's relearn time to the accuracy of
            ``anamnesis_target``: a ``RelearnTime``, whose steps count, or a number of at least 0
            in any unit; None for a time that was not reached.
        reference_time: that of a model retrained without the forget set, in the same unit.
        offset: added to both times, above 0, so that a reference that needs no time can be
            divided by.

    Returns:
        The index. Without a value, and with the reason, where one of the times was not reached.

    Raises:
        ValueError: if a number is out of range, or two relearn times were not measured alike.

    Example:
        >>> from tfunlearn import probes
        >>> probes.anamnesis_index(2, 8).value  # 2.01 / 8.01
        0.250936...
        >>> probes.anamnesis_index(2, None).reason
        'the reference did not reach the target'

    Reference: Chundawat et al., 2023, "Zero-shot machine unlearning", arXiv 2201.05629; the offset
    is that of the ERASURE framework's code.
    Deviation: ERASURE adds the offset to whole epochs and the paper's own code divides steps
    without one; here it is added to steps. Both put the most epochs they try in the place of a
    time that was not reached; here the index is then absent.
    """
    check_positive(offset=offset)
    if isinstance(unlearned_time, RelearnTime) and isinstance(reference_time, RelearnTime):
        _require_alike(unlearned_time, reference_time)
    times = {
        "unlearned model": _number("unlearned_time", unlearned_time),
        "reference": _number("reference_time", reference_time),
    }
    unlearned, reference = times.values()
    if unlearned is None or reference is None:
        late = " and the ".join(name for name, time in times.items() if time is None)
        reason = f"the {late} did not reach the target"
        return AnamnesisIndex(None, reason, unlearned, reference, float(offset))
    value = (unlearned + offset) / (reference + offset)
    return AnamnesisIndex(float(value), None, unlearned, reference, float(offset))


def _number(name: str, time: Time) -> float | None:
    """Returns a time as a number, None where it was not reached."""
    if isinstance(time, RelearnTime):
        time = time.steps
    if time is None:
        return None
    if not np.isscalar(time) or isinstance(time, str) or not 0 <= time < np.inf:
        raise ValueError(
            f"{name}: expected a RelearnTime, a number of at least 0 or None. Received: {time!r}."
        )
    return float(time)


def _require_alike(unlearned: RelearnTime, reference: RelearnTime) -> None:
    """Raises unless two times were measured with the same settings."""
    settings = (unlearned.settings, reference.settings)
    names = [field.name for field in fields(unlearned.settings)]
    pairs = {name: tuple(getattr(one, name) for one in settings) for name in names}
    other = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if other:
        name, (left, right) = next(iter(other.items()))
        raise ValueError(
            "reference_time: it must be measured as unlearned_time was. "
            f"Expected: {name} {left!r}. Received: {name} {right!r}."
        )
