"""Audits: models side by side, each number beside the retrained reference's."""

from tfunlearn.audit.attacks import MembershipAttack, membership_attack
from tfunlearn.audit.compare import compare

__all__ = ["MembershipAttack", "compare", "membership_attack"]
