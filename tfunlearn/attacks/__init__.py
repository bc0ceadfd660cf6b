"""Membership attacks: arrays in, evidence with intervals out."""

__all__: list[str] = []
