"""Commands of ``tfunlearn`` that are too long for ``cli.py``, and the kinds of their arguments."""
