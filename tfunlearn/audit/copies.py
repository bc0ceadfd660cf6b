"""References that are one model under several names, which would count as several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfunlearn.audit import marks

__all__ = ["require_distinct", "require_distinct_logits"]


def require_distinct(argument: str, found: Mapping[str, str]) -> None:
    """Raises if two references have the same mark.

    Args:
        argument: What they were given as, for the error.
        found: Name of a reference to a mark of its weights, its logits or its file.

    Raises:
        ValueError: If two are the same, with their names.

    Example:
        >>> require_distinct("reference", {"a": "1", "b": "2"})
        >>> require_distinct("reference", {"a": "1", "b": "1"})
        Traceback (most recent call last):
        ...
        ValueError: reference: a model counts once, so none may be there twice. Expected: other \
weights and outputs under every name. Received: a = b. Leave out the copies.
    """
    groups: dict[str, list[str]] = {}
    for name, mark in found.items():
        groups.setdefault(mark, []).append(name)
    same = [" = ".join(names) for names in groups.values() if len(names) > 1]
    if same:
        raise ValueError(
            f"{argument}: a model counts once, so none may be there twice. Expected: other weights "
            f"and outputs under every name. Received: {'; '.join(same)}. Leave out the copies."
        )


def require_distinct_logits(
    argument: str, names: Sequence[str], logits: Mapping[str, np.ndarray]
) -> None:
    """Raises if two references have the same logits on all roles.

    Args:
        argument: As in `require_distinct`.
        names: The references' names.
        logits: Role to logits, shape (N, n, C), in the order of the names.
    """
    require_distinct(
        argument,
        {
            name: marks.array_mark([np.asarray(own[place]) for own in logits.values()])
            for place, name in enumerate(names)
        },
    )
