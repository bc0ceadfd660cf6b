"""Keras without the packages that it takes only because they are there."""

import subprocess
import sys

LINES = """
import os
import sys
from tfunlearn.lean import UNUSED, import_keras
import_keras()
assert "keras" in sys.modules
backend = os.environ.get("KERAS_BACKEND", "")
assert not [name for name in UNUSED if name in sys.modules and name != backend]
import sklearn.base
import keras
keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])(keras.ops.ones((1, 2)))
"""


def test_other_packages_are_imported_later_if_at_all():
    run = subprocess.run([sys.executable, "-c", LINES], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
