"""What comes from outside, read at one border each: every fault is a `ValueError` or `OSError`.

The error names the argument, the file and the rule.
"""

from tfunlearn.reading.json_values import check_values, parse_json, read_json_file
from tfunlearn.reading.paths import existing_file, existing_folder, expanded

__all__ = [
    "check_values",
    "existing_file",
    "existing_folder",
    "expanded",
    "parse_json",
    "read_json_file",
]
