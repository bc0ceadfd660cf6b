"""Seeds that diverge: kept as a fact, no references, counted beside them, not tried again."""

import json

import keras
import numpy as np
import pytest

from tfunlearn import audit
from tfunlearn.audit import ReferenceBank
from tfunlearn.audit.bank_training import Trainer
from tfunlearn.training import Diverged

from . import bank_parts as parts

FAST = {"epochs": 1, "batch_size": 12, "threads": None}


def make_bank(folder, said=None, **options):
    say = None if said is None else said.append
    return ReferenceBank(folder, parts.make_net(), parts.make_split(), **FAST, say=say, **options)


@pytest.fixture
def some_diverge(monkeypatch):
    """Seeds 1 and 3 end with weights, or outputs, that are not finite; yields who was trained."""
    trained, train = [], Trainer.train

    def diverging(self, item):
        trained.append(item.seed)
        model = train(self, item)
        if item.seed == 1:
            raise Diverged("training diverged: 2 of 2 weights are not finite")
        if item.seed == 3:
            model.set_weights([np.full_like(weight, 3e38) for weight in model.get_weights()])
        return model

    monkeypatch.setattr(Trainer, "train", diverging)
    return trained


def test_what_diverges_is_kept_by_its_seed_and_stops_no_other(tmp_path, some_diverge):
    said, told = [], []
    bank = make_bank(tmp_path, said)
    assert bank.fill(5, progress=lambda *row: told.append(row)) == 3
    assert bank.seeds == [0, 2, 4]
    assert len(bank) == 3
    assert list(bank.diverged) == [1, 3]
    assert bank.diverged[1] == "training diverged: 2 of 2 weights are not finite"
    assert "some logits on forget are not finite" in bank.diverged[3]
    assert bank.missing(5) == []
    assert "2 diverged" in repr(bank)
    assert [row[:2] for row in told] == [(number, 5) for number in range(1, 6)]
    assert "seed 1, without the forget set: diverged after" in told[1][2]
    [line] = said
    assert line.startswith("2 of 5 models without the forget set diverged and are not kept: 1, 3. ")
    assert "--retry-diverged" in line
    note = json.loads((bank.folder / "out-1" / "note.json").read_text())
    assert (note["seed"], note["files"], bool(note["sha256"])) == (1, {}, True)
    assert bank.logits("test").shape[0] == 3
    with pytest.raises(ValueError, match=r"Received: seed 1, .* of which: diverged"):
        bank.logits("test", seeds=[1])


def test_it_is_tried_again_only_if_asked(tmp_path, some_diverge, monkeypatch):
    make_bank(tmp_path).fill(4)
    some_diverge.clear()
    bank = make_bank(tmp_path)
    assert bank.fill(5) == 1
    assert some_diverge == [4]
    monkeypatch.undo()
    assert bank.fill(5, retry_diverged=True) == 2
    assert bank.diverged == {}
    assert bank.seeds == [0, 1, 2, 3, 4]


def test_a_note_of_divergence_that_is_altered_is_made_again(tmp_path, some_diverge):
    bank = make_bank(tmp_path)
    bank.fill(2)
    path = bank.folder / "out-1" / "note.json"
    path.write_text(path.read_text().replace("2 of 2", "1 of 2"))
    assert bank.diverged == {}
    assert bank.missing(2) == [1]


def test_the_audit_counts_them(tmp_path, some_diverge):
    bank, net, split = make_bank(tmp_path), parts.make_net(), parts.make_split()
    bank.fill(6)
    words = "2 of 6 retrained models diverged and are not among the references: seeds 1, 3."
    for held_out in (True, False):
        report = audit.compare({"original": net}, split, bank=bank, held_out=held_out)
        assert words in report.notes
        assert words in " ".join(str(report).split())
        assert report.reference_count == 4 - held_out


def test_a_bank_of_which_all_diverge_is_an_error_that_is_kept(tmp_path):
    """In a process of its own, which answers as for any other model."""
    net = parts.make_net(keras.layers.Dense(8), optimizer=keras.optimizers.SGD(1e20))
    split = parts.make_split()
    bank = ReferenceBank(tmp_path, net, split, epochs=2, batch_size=12, say=None)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"each of 2 models diverged.* lower the learning"):
            bank.fill(2)
    assert list(bank.diverged) == [0, 1]
    assert all("not finite" in reason for reason in bank.diverged.values())
