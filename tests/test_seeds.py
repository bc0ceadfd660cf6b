import numpy as np
import pytest

from tfunlearn import audit, data, models
from tfunlearn.seeds import check_seed


@pytest.mark.parametrize("seed", [0, 3, np.int64(5)])
def test_good_seeds(seed):
    check_seed(seed)


@pytest.mark.parametrize("seed", [-1, None, 0.5, "0"])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match=r"seed: .* at least 0"):
        check_seed(seed)


def test_seeds_are_checked_before_anything_is_made():
    x, y = np.zeros((10, 2), "float32"), np.arange(10) % 2
    net = models.mnist_dense(2, 2)
    calls = [
        lambda: data.random(x, y, seed=-1, test=(x, y)),
        lambda: data.by_class(x, y, classes=[0], fraction=0.5, seed=-1, test=(x, y)),
        lambda: models.reinitialized(net, seed=-1),
        lambda: models.copy(net, seed=-1),
        lambda: audit.compare({}, None, seed=-1),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="seed: expected a whole number of at least 0"):
            call()
