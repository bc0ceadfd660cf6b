"""Audits beside a bank of references, or several rows of them, or none."""

import dataclasses

import keras
import numpy as np
import pytest

from tfunlearn import attacks, audit, metrics, models
from tfunlearn.audit.evidence import evidence
from tfunlearn.audit.references import References
from tfunlearn.data import ForgetSplit
from tfunlearn.report import AuditReport, wording

from .conftest import make_model
from .many import FakeBank

SEEDS = range(100, 122)
ROLES = ("forget", "retain", "test")


def logits_of(model, split, role):
    """Returns the logits of a linear model, without running it."""
    features, _ = getattr(split, role)
    kernel, bias = model.get_weights()
    return (features @ kernel + bias).astype("float32")


@pytest.fixture(scope="module")
def bank(split):
    nets = [make_model(seed) for seed in SEEDS]
    logits = {role: np.stack([logits_of(net, split, role) for net in nets]) for role in ROLES}
    return FakeBank(logits, SEEDS)


@pytest.fixture(scope="module")
def rows():
    """An original that knows more than it should, a copy, one like the bank's, a broken one."""
    strange = make_model(7, scale=-1.0)
    flat = make_model(1, scale=3.0)
    return {"original": flat, "copy": models.copy(flat), "alike": make_model(3), "odd": strange}


@pytest.fixture(scope="module")
def report(rows, split, bank):
    return audit.compare(
        rows, split, bank=bank, title="T", command="make it", seconds={"alike": 2.0}
    )


def test_the_references_are_the_banks_models_but_the_last(report, bank):
    assert report.references == ()
    assert report.reference_count == 21
    assert report.reference_seeds == tuple(SEEDS)[:21]
    names = ["original", "copy", "alike", "odd", "held-out retrain"]
    assert [row.name for row in report.rows] == names
    note = next(note for note in report.notes if "The references are" in note)
    assert "21 models" in note
    assert "seeds 100 to 120" in note
    assert "seed 121, is the row 'held-out retrain'" in note
    assert not any("one reference" in note for note in report.notes)


def test_values_of_the_references_by_hand(report, rows, split):
    nets = [make_model(seed) for seed in SEEDS][:21]
    labels = {role: split.labels(role) for role in ROLES}
    for role in ROLES:
        scores = [logits_of(net, split, role) for net in nets]
        accuracy = [metrics.accuracy(labels[role], own) for own in scores]
        losses = [metrics.cross_entropy(labels[role], own).mean() for own in scores]
        np.testing.assert_allclose(report.reference_values[f"{role}_accuracy"], accuracy)
        np.testing.assert_allclose(report.reference_values[f"{role}_loss"], losses)
        recalls = [metrics.class_recalls(labels[role], own) for own in scores]
        balanced = report.reference_values[f"{role}_balanced_accuracy"]
        np.testing.assert_allclose(balanced, np.mean(recalls, axis=1))
        worst = report.reference_values[f"{role}_worst_recall"]
        np.testing.assert_allclose(worst, np.min(recalls, axis=1))
    tested = report.value("original", "test_accuracy")
    own = np.array(report.reference_values["test_accuracy"])
    np.testing.assert_allclose(report.reference_values["utility_preservation"], own / tested)
    np.testing.assert_allclose(report.reference_values["performance_drop"], tested - own)
    assert report.reference_values["seconds"] == tuple(1.0 + place for place in range(21))
    losses = [
        metrics.cross_entropy(labels[role], logits_of(nets[4], split, role))
        for role in ("forget", "test")
    ]
    attack = attacks.membership_attack(*losses)
    assert report.reference_values["membership_accuracy"][4] == pytest.approx(attack.accuracy)
    assert report.reference_values["membership_deviation"][4] == pytest.approx(attack.deviation)
    assert "weight_distance" not in report.reference_values
    assert report.reference("weight_distance") is None


def test_gaps_are_to_the_banks_mean(report):
    values = report.reference_values["forget_accuracy"]
    spread = report.reference("forget_accuracy")
    assert (spread.mean, spread.count) == (pytest.approx(np.mean(values)), 21)
    assert spread.std == pytest.approx(np.std(values, ddof=1))
    for name in ("alike", "odd", "held-out retrain"):
        value = report.value(name, "forget_accuracy")
        assert report.gap(name, "forget_accuracy") == pytest.approx(value - np.mean(values))
        inside = min(values) <= value <= max(values)
        assert report.within(name, "forget_accuracy") is inside
        gaps = [abs(report.gap(name, f"{role}_accuracy")) for role in ROLES]
        assert report.average_gap(name) == pytest.approx(np.mean(gaps))
    assert report.gap("alike", "weight_distance") is None


def test_the_held_out_model_goes_through_the_same_audit(report, split):
    scores = logits_of(make_model(SEEDS[-1]), split, "retain")
    value = report.value("held-out retrain", "retain_accuracy")
    assert value == pytest.approx(metrics.accuracy(split.labels("retain"), scores))
    assert report.value("held-out retrain", "seconds") == 22.0
    assert report.value("held-out retrain", "weight_distance") is None
    assert report.evidence["held-out retrain"].verdict.inside is True
    reason = "held-out retrain: weight distance. Reason: its logits are kept, not its weights."
    assert any(reason in note for note in report.notes)


def test_evidence_is_that_of_the_models_logits(report, rows, split, bank):
    labels = {role: split.labels(role) for role in ROLES}
    many = References(labels, {role: bank.logits(role)[:21] for role in ROLES})
    found = report.evidence["alike"]
    own = {role: logits_of(rows["alike"], split, role) for role in ROLES}
    original = logits_of(rows["original"], split, "forget")
    expected = evidence(many, own, ids=split.ids["forget"], original=original)
    assert [placed.name for placed in found.figures if placed.value is None] == [
        "loss_tpr_at_fpr_0_01"  # there are 40 forget examples
    ]
    for left, right in zip(found.figures, expected.figures, strict=True):
        assert (left.name, left.absent) == (right.name, right.absent)
        assert left.references == pytest.approx(right.references, rel=1e-4)
        if right.value is not None:
            assert left.value == pytest.approx(right.value, rel=1e-4)
    assert found.margins.original == expected.margins.original
    assert [own.id for own in found.worst] == [own.id for own in expected.worst]
    assert set(report.evidence) == set(rows) | {"held-out retrain"}


def test_verdicts(report):
    inside = {name: own.verdict.inside for name, own in report.evidence.items()}
    assert inside == {
        "original": False,
        "copy": False,
        "alike": True,
        "odd": False,
        "held-out retrain": True,
    }
    texts = {name: own.verdict.text for name, own in report.evidence.items()}
    assert texts["copy"].startswith(
        "Unchanged: its weights equal those of original byte for byte. Outside the spread of 21 "
    )
    assert texts["odd"].startswith("Collapsed: its retain accuracy")
    assert texts["original"].startswith("Outside the spread")


def test_weights_have_fingerprints(report, rows):
    assert report.fingerprints == {name: models.fingerprint(net) for name, net in rows.items()}
    assert report.fingerprints["copy"] == report.fingerprints["original"]
    assert report.command == "make it"


def test_round_trip_through_a_file(report, tmp_path):
    assert AuditReport.load(report.save(tmp_path / "report.json")) == report


def test_every_rendering_works(report):
    text = str(report)
    assert "copy: Unchanged" in text
    assert "references, mean" in text
    assert "held-out retrain" in report.to_html()
    assert report.plot() is not None


def test_without_a_held_out_model(rows, split, bank):
    report = audit.compare(rows, split, bank=bank, held_out=False)
    assert report.reference_count == 22
    assert list(report.evidence) == list(rows)
    note = next(note for note in report.notes if "The references are" in note)
    assert "held" not in note


def test_too_few_references_are_said_to_be(rows, split, bank):
    few = FakeBank({role: bank.logits(role)[:8] for role in ROLES})
    report = audit.compare({"original": rows["original"]}, split, bank=few)
    texts = {own.verdict.text for own in report.evidence.values()}
    assert texts == {"7 references are too few to tell: it takes 19."}
    report = audit.compare({"original": rows["original"]}, split, bank=few, level=0.8)
    verdict = report.evidence["original"].verdict
    assert (verdict.inside, verdict.level) == (False, 0.8)


def test_several_rows_are_references_too(rows, split):
    others = {f"r{seed}": make_model(seed) for seed in SEEDS[:4]}
    report = audit.compare({**rows, **others}, split, reference=list(others), original=None)
    assert set(report.evidence) == set(rows)
    found = report.evidence["alike"]
    assert found.verdict.text == "4 references are too few to tell: it takes 19."
    labels = {role: split.labels(role) for role in ROLES}
    many = References(
        labels,
        {r: np.stack([logits_of(net, split, r) for net in others.values()]) for r in ROLES},
    )
    held = many.hold(many.read({r: logits_of(rows["alike"], split, r) for r in ROLES}))
    for placed in found.figures:
        expected = held.references.get(placed.name, ())
        np.testing.assert_allclose(placed.references, expected, rtol=1e-4)
    assert report.reference_values == {}
    assert report.reference_count == 4


def test_one_reference_gives_no_evidence(rows, split):
    report = audit.compare(rows, split, reference="alike")
    assert report.evidence == {}
    assert set(report.fingerprints) == set(rows)


def test_without_references_the_report_says_what_it_cannot(rows, split, tmp_path):
    report = audit.compare(rows, split, reference=None)
    assert (report.references, report.reference_count, report.evidence) == ((), 0, {})
    assert report.value("odd", "forget_accuracy") is not None
    assert report.gap("odd", "forget_accuracy") is None
    assert report.average_gap("odd") is None
    assert any("No reference was given" in note for note in report.notes)
    assert "No reference was given" in str(report)
    assert "gap to the reference" not in str(report)
    assert "No reference was given" in report.to_html()
    assert AuditReport.load(report.save(tmp_path / "report.json")) == report


def test_a_broken_model_gets_no_evidence(rows, split, bank):
    broken = make_model(0)
    broken.set_weights([np.full((4, 3), np.nan), np.zeros(3)])
    report = audit.compare({**rows, "broken": broken}, split, bank=bank)
    assert "broken" not in report.evidence
    assert any(note.startswith("broken: not finite") for note in report.notes)


def test_the_svc_is_added_if_asked_for(rows, split, bank):
    report = audit.compare({"original": rows["original"]}, split, bank=bank, svc=True)
    names = [attack.attack for attack in report.evidence["original"].attacks]
    assert names[-1] == "svc_confidence"


def changed(bank, **own):
    found = FakeBank({role: bank.logits(role) for role in ROLES}, bank.seeds)
    for key, value in own.items():
        setattr(found, key, value)
    return found


def test_a_bank_that_does_not_fit_is_refused(rows, split, bank):
    def refused(words, other, **own):
        with pytest.raises(ValueError, match=words):
            audit.compare(rows, split, bank=other, **own)

    few = {role: bank.logits(role)[:2] for role in ROLES}
    refused("Expected at least 3. Received 2", FakeBank(few))
    refused("Expected at least 2. Received 1", FakeBank({r: few[r][:1] for r in few}), held_out=0)
    short = {role: bank.logits(role)[:, :5] for role in ROLES}
    refused("logits for every model, example and class", FakeBank(short))
    refused("logits for every model", changed(bank, seeds=tuple(SEEDS)[:-1]))
    bad = {role: np.where(bank.logits(role) > 2, np.nan, bank.logits(role)) for role in ROLES}
    refused("must be finite", FakeBank(bad))


def test_names_and_levels_are_checked(rows, split, bank):
    with pytest.raises(ValueError, match=r"held_out=False\. Received 'held-out retrain'"):
        audit.compare({**rows, "held-out retrain": rows["odd"]}, split, bank=bank)
    with pytest.raises(ValueError, match="level must be"):
        audit.compare(rows, split, bank=bank, level=1.0)
    with pytest.raises(ValueError, match="original must name"):
        audit.compare({"odd": rows["odd"]}, split, bank=bank)


@pytest.mark.parametrize(
    ("seeds", "text"),
    [([3], "3"), ([0, 1], "0, 1"), ([0, 1, 2], "0 to 2"), ([5, 7, 8, 9, 20], "5, 7 to 9, 20")],
)
def test_seeds_as_text(seeds, text):
    assert wording.shown_seeds(seeds) == text


def test_a_real_bank(tmp_path):
    """Two digits' worth of data, a linear model, a bank filled in this process."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)).astype("float32"), rng.integers(0, 2, 60)
    split = ForgetSplit.by_index(x, y, forget=range(12), test=(x[::2] + 0.1, y[::2]))
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    options = {"epochs": 1, "threads": None, "keep_weights": True, "say": None}
    real = audit.ReferenceBank(tmp_path, net, split, **options)
    real.fill(4)
    report = audit.compare({"original": net}, split, bank=real)
    assert report.reference_seeds == (0, 1, 2)
    assert report.evidence["original"].verdict.references == 3
    held = real.model(3)
    again = audit.compare({"original": net, "held": held}, split, bank=real)
    own, same = (again.row(name).values for name in ("held", "held-out retrain"))
    for key, value in same.items():
        if value is not None and key != "seconds":
            assert value == pytest.approx(own[key], rel=1e-4), key
    other = ForgetSplit.by_index(x + 1, y, forget=range(12), test=(x[::2] + 0.1, y[::2]))
    with pytest.raises(ValueError, match=r"of the same data.*other ids.*for forget, retain"):
        audit.compare({"original": net}, other, bank=real)


def test_reports_refuse_parts_that_do_not_fit(report):
    def refused(words, **own):
        with pytest.raises(ValueError, match=words):
            dataclasses.replace(report, **own)

    refused("rows or values, not both", references=("alike",))
    refused(r"evidence must be of rows.*\['gone'\]", evidence={"gone": None})
    refused("fingerprints must be of rows", fingerprints={"gone": "0"})
    refused("a number per reference", reference_seeds=(1, 2))
    values = dict(report.reference_values)
    refused(r"for \['gone'\]", reference_values={**values, "gone": values["test_loss"]})
    bad = (float("nan"),) * 21
    refused(r"for \['test_loss'\]", reference_values={**values, "test_loss": bad})
    refused("a number per reference", reference_values={**values, "test_loss": bad[:0]})
