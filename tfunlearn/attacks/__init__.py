"""Membership attacks: arrays in, evidence with intervals out."""

from tfunlearn.attacks.evidence import MembershipEvidence, MembershipScores, membership_evidence
from tfunlearn.attacks.intervals import (
    Estimate,
    ReferencePercentile,
    bootstrap,
    clopper_pearson,
    reference_percentile,
)
from tfunlearn.attacks.membership import MembershipAttack, logistic_regression, membership_attack
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
    "Estimate",
    "MembershipAttack",
    "MembershipEvidence",
    "MembershipScores",
    "ReferencePercentile",
    "Roc",
    "Slice",
    "SvcAttack",
    "auc_interval",
    "bootstrap",
    "class_thresholds",
    "clopper_pearson",
    "confidence_band",
    "correctness",
    "decision_interval",
    "entropy_threshold",
    "logistic_regression",
    "loss_threshold",
    "membership_attack",
    "membership_evidence",
    "modified_entropy_threshold",
    "reference_percentile",
    "roc",
    "slices_by_class",
    "slices_by_loss",
    "svc_confidence",
    "tpr_interval",
]
