"""Reports: what an audit measured, as text, JSON, HTML and plots."""

from tfunlearn.report.parts import Column, Row, Spread
from tfunlearn.report.result import AuditReport

__all__ = ["AuditReport", "Column", "Row", "Spread"]
