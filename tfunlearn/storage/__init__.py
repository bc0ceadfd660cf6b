"""What is written to disk: files, locks, and output folders that are whole at every moment."""

from tfunlearn.storage.atomic import write_atomically
from tfunlearn.storage.folder import writable_folder
from tfunlearn.storage.lock import claimed
from tfunlearn.storage.output import Output, check_output, output
from tfunlearn.storage.refused import Refused
from tfunlearn.storage.scratch import clear_scratch, scratch

__all__ = [
    "Output",
    "Refused",
    "check_output",
    "claimed",
    "clear_scratch",
    "output",
    "scratch",
    "writable_folder",
    "write_atomically",
]
