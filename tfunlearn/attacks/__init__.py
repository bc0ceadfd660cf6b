"""Membership attacks: arrays in, evidence with intervals out."""

from tfunlearn.attacks.competition import (
    CompetitionScore,
    ForgettingQuality,
    competition_score,
    forgetting_quality,
)
from tfunlearn.attacks.epsilon import EpsilonBound, epsilon_from_counts
from tfunlearn.attacks.epsilon_halves import (
    EpsilonBounds,
    epsilon_lower_bound,
    epsilon_lower_bounds,
)
from tfunlearn.attacks.evidence import MembershipEvidence, MembershipScores, membership_evidence
from tfunlearn.attacks.intervals import (
    Estimate,
    ReferencePercentile,
    bootstrap,
    clopper_pearson,
    reference_percentile,
)
from tfunlearn.attacks.klom import Klom, klom
from tfunlearn.attacks.lira import Lira, lira
from tfunlearn.attacks.membership import MembershipAttack, logistic_regression, membership_attack
from tfunlearn.attacks.rmia import Rmia, rmia
from tfunlearn.attacks.roc import Roc, roc
from tfunlearn.attacks.roc_intervals import (
    auc_interval,
    confidence_band,
    decision_interval,
    tpr_interval,
)
from tfunlearn.attacks.slices import Slice, slices_by_class, slices_by_loss
from tfunlearn.attacks.svc import SvcAttack, svc_confidence
from tfunlearn.attacks.thresholds import (
    class_thresholds,
    correctness,
    entropy_threshold,
    loss_threshold,
    modified_entropy_threshold,
)

__all__ = [
    "CompetitionScore",
    "EpsilonBound",
    "EpsilonBounds",
    "Estimate",
    "ForgettingQuality",
    "Klom",
    "Lira",
    "MembershipAttack",
    "MembershipEvidence",
    "MembershipScores",
    "ReferencePercentile",
    "Rmia",
    "Roc",
    "Slice",
    "SvcAttack",
    "auc_interval",
    "bootstrap",
    "class_thresholds",
    "clopper_pearson",
    "competition_score",
    "confidence_band",
    "correctness",
    "decision_interval",
    "entropy_threshold",
    "epsilon_from_counts",
    "epsilon_lower_bound",
    "epsilon_lower_bounds",
    "forgetting_quality",
    "klom",
    "lira",
    "logistic_regression",
    "loss_threshold",
    "membership_attack",
    "membership_evidence",
    "modified_entropy_threshold",
    "reference_percentile",
    "rmia",
    "roc",
    "slices_by_class",
    "slices_by_loss",
    "svc_confidence",
    "tpr_interval",
]
