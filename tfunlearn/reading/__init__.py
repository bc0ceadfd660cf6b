"""What comes from outside, read at one border each: every fault is a `ValueError` or `OSError`.

The error names the argument, the file and the rule.
"""

from tfunlearn.reading.paths import existing_file, existing_folder, expanded

__all__ = ["existing_file", "existing_folder", "expanded"]
