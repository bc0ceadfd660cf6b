"""Audits: models side by side, each number beside the retrained reference's."""

from tfunlearn.audit.compare import compare

__all__ = ["compare"]
