"""Methods for the tests of a comparison's workers, which import them from here."""

import os
import pathlib
import signal

from tfunlearn import methods, models

DEATH = "TFUNLEARN_TEST_DEATH"  # a file whose absence ends the process, once it has been made
OPTIONS = {"dying": {"factors": (0.9, 0.8), "share": {0: 0.5}}}  # no JSON brings these back
NAMES = ["finetune", "dying", "failing"]
SETTINGS = {"limit": 100, "epochs": 2, "seeds": 2, "references": 1, "names": NAMES}
_OF_TIME = ("seconds", "share_of_retraining", "workers")


def dying(model, split, *, seed=0, factors=(1.0, 1.0), share=None):
    """Kills its process when it is called for the first time of all, then makes weights smaller."""
    mark = pathlib.Path(os.environ[DEATH])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    factor = factors[0] * (1 - factors[1] * share[0])
    twin = models.copy(model, seed=seed)
    twin.set_weights([factor * weight for weight in twin.get_weights()])
    return twin


def failing(model, split, *, seed=0):
    """Fails."""
    raise RuntimeError(f"no model under\nseed {seed}")


def register(patch):
    """Puts the methods into the table for a test.

    Args:
        patch: pytest's monkeypatch.
    """
    patch.setattr(methods, "_TABLE", dict(methods._TABLE))
    for function in (dying, failing):
        methods.register(methods.Method(function, frozenset(), "both", "nothing"))


def figures(result):
    """Returns all figures of a comparison but seconds and what follows from them."""
    rows = {row["name"]: row for row in result["rows"]}
    runs = {
        f"{seed} {name}": row for seed, run in result["runs"].items() for name, row in run.items()
    }
    return {
        name: {key: value for key, value in row.items() if key not in _OF_TIME}
        for name, row in {**rows, **runs}.items()
    }
