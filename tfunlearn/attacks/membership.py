"""Membership inference: can one tell from the loss who was in the training set?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.checks import numbers
from tfunlearn.attacks.evidence import MembershipScores
from tfunlearn.attacks.folds import FOLDS, assign_folds
from tfunlearn.seeds import check_seed

__all__ = ["FOLDS", "MembershipAttack", "logistic_regression", "membership_attack"]


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

    members = numbers("member_losses", member_losses, least=FOLDS)
    others = numbers("nonmember_losses", nonmember_losses, least=FOLDS)
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


def logistic_regression(
    member_losses: ArrayLike, nonmember_losses: ArrayLike, *, seed: int = 0
) -> MembershipScores:
    """Scores every example by a logistic regression on losses that did not see it.

    The regression is fitted on nine folds of ten, and gives the examples of the tenth their log
    odds of being a member. It learns from the data whether members have the lower losses or, after
    an unlearning that overshoots, the higher ones.

    Args:
        member_losses: Cross-entropy in nats of examples that may have been trained on, shape (M,);
            in an audit, the forget role.
        nonmember_losses: The same for examples never trained on, shape (N,); in an audit, test
            examples of the classes that occur in the forget set.
        seed: Seed of the folds.

    Returns:
        Log odds per example; from 0 on the regression says "member". Where nothing tells the
        sides apart the pooled scores lie a little below chance, as those of any cross-validation:
        what a fold holds more of, the others hold less of.

    Raises:
        ValueError: If a side is not a flat list of at least 10 finite numbers, or the seed is no
            whole number.

    Example:
        >>> import numpy as np
        >>> found = logistic_regression(np.linspace(0, 1, 50), np.linspace(5, 6, 80))
        >>> bool(found.members.min() > 0 > found.nonmembers.max())
        True

    Reference:
        NeurIPS 2023 Machine Unlearning Challenge, starting kit (its `simple_mia`).
    Deviation:
        Scores instead of an accuracy; losses are standardised by the fitted part, so that the
        penalty does not depend on their size; both sides are kept whole and weigh the same.
    """
    members = numbers("member_losses", member_losses, least=FOLDS)
    others = numbers("nonmember_losses", nonmember_losses, least=FOLDS)
    check_seed(seed)
    losses = np.concatenate([members, others])
    is_member = np.arange(len(losses)) < len(members)
    order = np.lexsort((losses, is_member))  # sums do not depend on the order of the examples
    scores = np.empty(len(losses))
    scores[order] = _out_of_fold(losses[order], is_member[order], seed)
    return MembershipScores(
        "logistic_regression", scores[: len(members)], scores[len(members) :], threshold=0.0
    )


def _out_of_fold(losses: np.ndarray, is_member: np.ndarray, seed: int) -> np.ndarray:
    """Returns every example's log odds from a regression fitted on the other folds."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    folds = assign_folds(is_member.astype(np.int64), losses, FOLDS, seed)
    scores = np.empty(len(losses))
    with threadpool_limits(1):
        for fold in range(FOLDS):
            fit, held = folds != fold, folds == fold
            middle, spread = losses[fit].mean(), losses[fit].std()
            features = (losses[:, None] - middle) / (spread if spread > 0 else 1.0)
            model = LogisticRegression(class_weight="balanced")
            model.fit(features[fit], is_member[fit])
            scores[held] = model.decision_function(features[held])
    return scores
