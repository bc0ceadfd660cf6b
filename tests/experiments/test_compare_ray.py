"""A comparison's rows made on Ray: the same figures, also where an actor is killed."""

import compare_parts as parts
import pytest

from tfunlearn.experiments.compare import compare


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_two_actors_of_which_one_is_killed_give_the_figures_of_this_process(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed (tfunlearn[distributed])")
    parts.register(monkeypatch)
    monkeypatch.setenv(parts.DEATH, str(tmp_path / "died"))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # no token in the home folder
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    said = []
    own = {**parts.SETTINGS, "options": parts.OPTIONS, "seeds": 1}
    there = compare(
        "backdoor", out=tmp_path / "a", workers=2, ray_address="local", say=said.append, **own
    )
    assert not ray.is_initialized()  # what was started here has ended
    died = [line for line in said if "tried again" in line]
    assert len(died) == 1
    assert "dying: its worker died on Ray" in died[0]
    here = compare("backdoor", out=tmp_path / "b", say=None, **own)
    assert parts.figures(there) == parts.figures(here)
    assert (there["workers"], here["workers"]) == (2, 1)
    # the driver has every file, so that another run makes nothing
    made = {path.name for path in (tmp_path / "a" / "stages").rglob("*.*")}
    assert {path.name for path in (tmp_path / "b" / "stages").rglob("*.*")} == made
    said.clear()
    again = compare("backdoor", out=tmp_path / "a", say=said.append, **own)
    assert again["rows"] == there["rows"]
    assert not [line for line in said if "started" in line]
