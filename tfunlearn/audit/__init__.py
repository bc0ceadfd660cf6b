"""Audits: models side by side, each number beside the retrained reference's."""

from tfunlearn.audit.bank import ReferenceBank
from tfunlearn.audit.bank_find import find_bank
from tfunlearn.audit.compare import compare

__all__ = ["ReferenceBank", "compare", "find_bank"]
