"""What becomes of a piece of work that is given to a worker."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["BUSY", "DIED", "ERROR", "LOST", "MADE", "THERE", "Event"]

MADE, THERE, BUSY, DIED, LOST, ERROR = "made", "there", "busy", "died", "lost", "error"


class Event(NamedTuple):
    """What became of a piece of work.

    Attributes:
        kind: "made", "there" (it had been made before), "busy" (a process of another driver is at
            it), "died" (the worker that was at it ended; it is tried again), "lost" (its workers
            died too often), "error" (it raised), or a word of those who gave the work.
        item: Which piece.
        text: Seconds, or how the worker ended, or what was raised.

    Example:
        >>> str(Event(MADE, "model 3", "in 1.5 s")), str(Event(BUSY, "model 4"))
        ('model 3: made in 1.5 s', 'model 4: busy')
    """

    kind: str
    item: Any
    text: str = ""

    def __str__(self) -> str:
        return f"{self.item}: {self.kind} {self.text}".strip()
