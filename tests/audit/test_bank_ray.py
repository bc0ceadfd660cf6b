"""The bank's models made on Ray: the same bytes, also where an actor is killed."""

import keras
import numpy as np
import pytest

from tfunlearn.audit import ReferenceBank

from . import bank_parts as parts


def make_bank(folder, **options):
    """Returns a bank whose bytes do not depend on threads."""
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3)]
    net = parts.make_net(*layers, optimizer="adam", loss=parts.deadly())
    own = {"epochs": 2, "batch_size": 16, "say": None, **options}
    return ReferenceBank(folder, net, parts.make_split(), **own)


def test_without_ray_the_error_names_the_extra(tmp_path, no_ray):
    bank = make_bank(tmp_path)
    with pytest.raises(ImportError, match=r"pip install 'tfunlearn\[distributed\]'"):
        bank.fill(2, ray_address="local")
    assert bank.missing(2) == [0, 1]


@pytest.fixture
def settled(tmp_path, monkeypatch):
    """Ray's surroundings, in which the first process that traces kills itself; Ray itself."""
    ray = pytest.importorskip("ray", reason="Ray is not installed (tfunlearn[distributed])")
    monkeypatch.setenv("TFUNLEARN_TEST_DEATH", str(tmp_path / "died"))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # no token in the home folder
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    return ray


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_two_actors_of_which_one_is_killed_give_the_bytes_of_this_process(tmp_path, settled):
    said, told = [], []
    there = make_bank(tmp_path, say=said.append)
    made = there.fill(5, workers=2, ray_address="local", progress=lambda *row: told.append(row[:2]))
    assert not settled.is_initialized()  # what was started here has ended
    assert made == 5
    assert told == [(number, 5) for number in range(1, 6)]
    assert len(said) == 1
    assert "died on Ray" in said[0]
    here = make_bank(tmp_path, threads=None)
    here.fill(5)
    assert there.seeds == here.seeds == list(range(5))
    for role in here.roles:
        np.testing.assert_array_equal(there.logits(role), here.logits(role))
    assert [path.name for path in there.folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_deaths_and_failures_on_a_cluster_that_runs(tmp_path, settled):
    settled.init(address="local", num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        bank = make_bank(tmp_path)
        with pytest.raises(RuntimeError, match=r"seed 0, .* its process died 1 times"):
            bank.fill(1, ray_address="auto", retries=0)
        large = make_bank(tmp_path, dtype="float16", optimizer=keras.optimizers.SGD(1e6))
        with pytest.raises(RuntimeError, match="seed 0, without the forget set: "):
            large.fill(1, ray_address="auto")
        assert bank.fill(1, ray_address="auto") == 1
        assert settled.is_initialized()  # it was not ours to end
    finally:
        settled.shutdown()
