"""Workers for pieces of work that may be made anywhere: processes here, or actors on Ray."""

from tfunlearn.pool.events import BUSY, DIED, ERROR, LOST, MADE, THERE, Event
from tfunlearn.pool.line import Line, here, until_done
from tfunlearn.pool.processes import with_processes
from tfunlearn.pool.work import Work, check_counts
from tfunlearn.storage.lock import claimed
from tfunlearn.storage.scratch import clear_scratch, scratch

__all__ = [
    "BUSY",
    "DIED",
    "ERROR",
    "LOST",
    "MADE",
    "THERE",
    "Event",
    "Line",
    "Work",
    "check_counts",
    "claimed",
    "clear_scratch",
    "here",
    "scratch",
    "until_done",
    "with_processes",
]
