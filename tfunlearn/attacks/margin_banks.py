"""Banks of margins: what the attacks over many models ask of their arrays.

A bank holds a row per model and a column per example: float64 margins,
z[y] - log sum over j != y of exp(z[j]), as `metrics.margins` gives them from logits. Probabilities
look like margins of small size and cannot be told from them here: never pass them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["candidate_margins", "margin_bank", "read_only", "same_examples"]


def margin_bank(name: str, margins: ArrayLike, *, least: int) -> np.ndarray:
    """Returns a bank as float64 after checking it.

    Args:
        name: The argument's name, for the message.
        margins: Margins in nats, shape (models, examples).
        least: The smallest number of models allowed.

    Raises:
        ValueError: If the shape differs, there are too few models or no example, or a margin is
            not finite.

    Example:
        >>> margin_bank("out_margins", [[1, 2], [3, 4]], least=2)
        array([[1., 2.],
               [3., 4.]])
    """
    bank = np.asarray(margins, dtype=np.float64)
    if bank.ndim != 2 or bank.shape[1] < 1:
        raise ValueError(
            f"{name} must hold a row per model and a column per example. "
            f"Expected shape (models, examples). Received {bank.shape}."
        )
    if len(bank) < least:
        raise ValueError(
            f"{name} must hold enough models. Expected at least {least}. Received {len(bank)}."
        )
    return _finite(name, bank)


def candidate_margins(name: str, margins: ArrayLike, examples: int) -> np.ndarray:
    """Returns the margins of one or more candidates as float64 after checking them.

    Args:
        name: The argument's name, for the message.
        margins: Margins in nats, shape (examples,) or (candidates, examples).
        examples: The number of examples of the bank beside it.

    Raises:
        ValueError: If the shape differs, there is no candidate, or a margin is not finite.

    Example:
        >>> candidate_margins("candidate", [1, 2], 2)
        array([1., 2.])
    """
    found = np.asarray(margins, dtype=np.float64)
    if found.ndim not in (1, 2) or found.shape[-1] != examples or not found.size:
        raise ValueError(
            f"{name} must hold a margin for every example of the models beside it. "
            f"Expected shape ({examples},) or (candidates, {examples}). Received {found.shape}."
        )
    return _finite(name, found)


def same_examples(first: str, one: np.ndarray, second: str, other: np.ndarray) -> None:
    """Raises unless two banks hold as many examples.

    Raises:
        ValueError: If they do not.

    Example:
        >>> same_examples("unlearned", np.zeros((2, 3)), "retrained", np.zeros((5, 3)))
    """
    if one.shape[1] != other.shape[1]:
        raise ValueError(
            f"{second} must hold the examples of {first}. "
            f"Expected {one.shape[1]} columns. Received {other.shape[1]}."
        )


def read_only(array: np.ndarray) -> np.ndarray:
    """Returns the array after making it one that cannot be written to.

    Example:
        >>> read_only(np.zeros(2)).flags.writeable
        False
    """
    array.flags.writeable = False
    return array


def _finite(name: str, margins: np.ndarray) -> np.ndarray:
    bad = np.count_nonzero(~np.isfinite(margins))
    if bad:
        raise ValueError(
            f"{name} must be finite. Expected no NaN and no infinity. "
            f"Received {bad} of them among {margins.size}."
        )
    return margins
