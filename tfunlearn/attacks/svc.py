"""The support vector attack on confidences that the unlearning literature reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfunlearn.attacks.checks import check_whole, numbers
from tfunlearn.attacks.evidence import MembershipScores
from tfunlearn.attacks.folds import assign_folds
from tfunlearn.attacks.intervals import Estimate, clopper_pearson
from tfunlearn.seeds import check_seed

__all__ = ["SvcAttack", "svc_confidence"]


@dataclass(frozen=True, eq=False)
class SvcAttack:
    """What the support vector attack found.

    Attributes:
        efficacy: MIA-efficacy, the share of forget examples taken for non-members, a fraction,
            with its Clopper-Pearson interval.
        fitted: Examples a side that the classifier was fitted on.
        scores: The same attack's scores of forget (members) and test examples (non-members), each
            from a classifier that was fitted without the example.
    """

    efficacy: Estimate
    fitted: int
    scores: MembershipScores


def svc_confidence(
    retain_confidences: ArrayLike,
    forget_confidences: ArrayLike,
    test_confidences: ArrayLike,
    *,
    limit: int | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> SvcAttack:
    """Learns retain from test by the true class's probability, and judges the forget set by it.

    MIA-efficacy is not better for being higher: near the retrained model's is the target.

    Args:
        retain_confidences: Probability of the true class, exp(-cross-entropy), in [0, 1], shape
            (R,), R >= 4; the known members.
        forget_confidences: The same of the forget role, shape (F,), F >= 2.
        test_confidences: The same of the test role, shape (T,), T >= 4; the known non-members.
        limit: The largest number of examples a side to fit on, at least 4. None: all that the
            smaller side has. The time grows with its square: seconds at 5,000, minutes at 20,000.
        level: Fraction in (0, 1), of the efficacy's interval.
        seed: Seed of the sub-sampling and of the halves.

    Returns:
        The efficacy by a classifier fitted on as many retain as test examples. For the scores two
        more are fitted, each on half of those, and judge the other half of test and of forget;
        test examples beyond the limit are judged by one of them as well. The order of the
        examples changes nothing.

    Raises:
        TypeError: If the limit is no whole number.
        ValueError: If a side is too small, a confidence lies outside [0, 1], or an option outside
            its range.

    Example:
        >>> import numpy as np
        >>> high, low = np.linspace(0.9, 1, 50), np.linspace(0.3, 0.6, 50)
        >>> found = svc_confidence(high, low, low)
        >>> print(found.efficacy, found.fitted)
        1 [0.9289, 1] 50

    Reference:
        Jia et al. (2023), Model Sparsity Can Simplify Machine Unlearning, arXiv 2304.04934,
        appendix C.3, and the official code of SalUn, Fan et al. (2024), arXiv 2310.12508: C = 3,
        RBF kernel, gamma = 1 (what "auto" is for one feature).
    Deviation:
        The code takes the first retain examples, as many as there are test examples; here they
        are drawn under the seed. The cross-fitted scores are an addition.
    """
    retain = _confidences("retain_confidences", retain_confidences, 4)
    forget = _confidences("forget_confidences", forget_confidences, 2)
    test = _confidences("test_confidences", test_confidences, 4)
    check_seed(seed)
    size = min(len(retain), len(test))
    if limit is not None:
        size = min(size, check_whole("limit", limit, 4))
    rng = np.random.default_rng(seed)
    retain_fit, test_fit = _drawn(retain, size, rng), _drawn(test, size, rng)
    called = _fit(retain[retain_fit], test[test_fit]).predict(forget[:, None])
    return SvcAttack(
        clopper_pearson(int(np.sum(called == 0)), len(forget), level=level),
        size,
        _cross_fitted(retain[retain_fit], forget, test, test_fit, seed),
    )


def _cross_fitted(
    retain: np.ndarray, forget: np.ndarray, test: np.ndarray, test_fit: np.ndarray, seed: int
) -> MembershipScores:
    """Returns scores by two classifiers, each fitted on one half and judging the other."""
    retain_half, forget_half = _halves(retain, seed), _halves(forget, seed)
    fitted = np.zeros(len(test), np.int64)
    fitted[test_fit] = 1
    test_half = assign_folds(fitted, test, 2, seed)
    members, others = np.empty(len(forget)), np.empty(len(test))
    for half in (0, 1):
        known = test[test_fit][test_half[test_fit] != half]
        model = _fit(retain[retain_half != half], known)
        for scores, values, halves in ((members, forget, forget_half), (others, test, test_half)):
            scores[halves == half] = model.decision_function(values[halves == half, None])
    return MembershipScores("svc_confidence", members, others, threshold=0.0)


def _halves(values: np.ndarray, seed: int) -> np.ndarray:
    return assign_folds(np.zeros(len(values), np.int64), values, 2, seed)


def _fit(members: np.ndarray, others: np.ndarray) -> Any:
    """Returns a classifier that says 1 for members."""
    from sklearn.svm import SVC

    features = np.concatenate([members, others])[:, None]
    is_member = np.repeat([1, 0], [len(members), len(others)])
    return SVC(C=3, kernel="rbf", gamma="auto").fit(features, is_member)


def _drawn(values: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns which examples to fit on; by value, so that their order does not matter."""
    order = np.argsort(values, kind="stable")
    return order if len(values) == size else order[rng.choice(len(values), size, replace=False)]


def _confidences(name: str, values: ArrayLike, least: int) -> np.ndarray:
    values = numbers(name, values, least=least)
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"{name} must be probabilities of the true class. Expected [0, 1]. "
            f"Received values from {values.min():g} to {values.max():g}."
        )
    return values
