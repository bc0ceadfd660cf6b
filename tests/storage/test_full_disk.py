"""A disk that is full names the file that could not be written, and the old one stays."""

import resource

import keras
import numpy as np
import pytest

from tfunlearn.data import ForgetSplit
from tfunlearn.data.spool import write_split
from tfunlearn.experiments.stages import save_model
from tfunlearn.storage import write_atomically


@pytest.fixture
def full():
    """Files of this process may have ten thousand bytes, as on a disk with no more room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def net(path):
    save_model(keras.Sequential([keras.Input((50,)), keras.layers.Dense(200)]), path)


def report(path):
    write_atomically(path, b"0" * 20_000)


def spool(path):
    x = np.zeros((2000, 2))
    split = ForgetSplit.by_index(x, np.zeros(2000, int), forget=[1], test=(x, x[:, 0].astype(int)))
    write_split(split, path.parent)


@pytest.mark.parametrize(
    ("write", "name"), [(net, "m.keras"), (report, "report.json"), (spool, "x-0.npy")]
)
def test_the_file_is_named(write, name, tmp_path, full):
    path = tmp_path / name
    with pytest.raises(OSError, match=rf"{name}' cannot be written: ") as caught:
        write(path)
    assert caught.value.__cause__ is not None
    if write is not spool:
        assert list(tmp_path.iterdir()) == []
