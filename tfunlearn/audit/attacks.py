"""Membership inference: can one tell from the loss who was in the training set?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["FOLDS", "MembershipAttack", "membership_attack"]

FOLDS = 10


@dataclass(frozen=True)
class MembershipAttack:
    """What one attack found.

    Attributes:
        accuracy: Mean accuracy over the folds, a fraction; 0.5 is chance.
        deviation: Standard deviation of the accuracy over the folds (divisor `folds`).
        size: Examples per side after the larger side was sub-sampled.
    """

    accuracy: float
    deviation: float
    size: int


def membership_attack(
    member_losses: ArrayLike, nonmember_losses: ArrayLike, *, seed: int = 0
) -> MembershipAttack:
    """Tells members from non-members by their losses alone, and returns how often it is right.

    A logistic regression with the loss as its only feature is fitted on nine tenths of the
    examples and scored on the last tenth, ten times. Chance is 0.5, but 0.5 is not the target:
    the target is what the same attack reaches on a model retrained without the forget set.

    Args:
        member_losses: Cross-entropy in nats of examples that may have been trained on, shape (N,);
            in an audit, the forget role.
        nonmember_losses: The same for examples never trained on, shape (M,); in an audit, test
            examples of the classes that occur in the forget set.
        seed: Seed of the sub-sampling and of the folds.

    Returns:
        Mean accuracy, its standard deviation over the folds, and the examples per side.

    Raises:
        ValueError: If a side is not a flat list of at least 10 finite numbers.

    Example:
        >>> import numpy as np
        >>> members, others = np.linspace(0, 1, 50), np.linspace(5, 6, 80)
        >>> membership_attack(members, others)
        MembershipAttack(accuracy=1.0, deviation=0.0, size=50)

    Reference:
        NeurIPS 2023 Machine Unlearning Challenge, starting kit (its `simple_mia`).
    Deviation:
        The starting kit draws ten overlapping test sets (StratifiedShuffleSplit); here ten folds
        part the examples (StratifiedKFold), so that each is scored exactly once. As there, the
        loss is not standardised: where all losses are tiny the regression stays at chance.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from threadpoolctl import threadpool_limits

    members = _losses("member_losses", member_losses)
    others = _losses("nonmember_losses", nonmember_losses)
    size = min(len(members), len(others))
    rng = np.random.default_rng(seed)
    members, others = (
        side if len(side) == size else side[rng.choice(len(side), size, replace=False)]
        for side in (members, others)
    )
    features = np.concatenate([members, others])[:, None]
    is_member = np.repeat([1, 0], size)
    folds = StratifiedKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(1):  # one feature: more threads only wait for one another
        scores = cross_val_score(
            LogisticRegression(), features, is_member, cv=folds, scoring="accuracy"
        )
    return MembershipAttack(float(scores.mean()), float(scores.std()), size)


def _losses(name: str, losses: ArrayLike) -> np.ndarray:
    losses = np.asarray(losses, dtype=np.float64)
    if losses.ndim != 1 or len(losses) < FOLDS:
        raise ValueError(
            f"{name} must hold an example for each of the {FOLDS} folds. "
            f"Expected shape (N,) with N >= {FOLDS}. Received {losses.shape}."
        )
    if not np.isfinite(losses).all():
        raise ValueError(
            f"{name} must be finite. Expected no NaN and no infinity. "
            f"Received {int((~np.isfinite(losses)).sum())} of them."
        )
    return losses
