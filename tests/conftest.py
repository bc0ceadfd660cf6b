"""Fixtures shared by the whole test suite."""

import builtins
import os
import pathlib
import signal

import keras
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Every test starts from the same random numbers, whatever ran before it in its process."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def data_file():
    """A function: file name -> its path in TFUNLEARN_DATA_DIR, or a skip with the reason."""

    def find(name):
        folder = os.environ.get("TFUNLEARN_DATA_DIR")
        if not folder:
            pytest.skip("real data: TFUNLEARN_DATA_DIR is not set")
        path = pathlib.Path(folder).expanduser() / name
        if not path.is_file():
            pytest.skip(f"real data: {name} is not in TFUNLEARN_DATA_DIR ({folder})")
        return path

    return find


@pytest.fixture
def press_ctrl_c():
    """A function: process -> what it writes to stderr from Ctrl-C, pressed once, to its end."""
    pressed = []

    def press(process):
        pressed.append(process)
        process.send_signal(signal.SIGINT)
        return process.communicate(timeout=120)[1]

    yield press
    for process in pressed:
        process.kill()
        process.wait()


@pytest.fixture
def no_ray(monkeypatch):
    """Makes Ray look as if it were not installed."""
    importing = builtins.__import__

    def refuse(name, *args, **options):
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return importing(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
