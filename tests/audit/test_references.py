"""Figures of many models, each against the others, held against loops in plain NumPy."""

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.metrics import roc_auc_score

from tfunlearn.attacks.lira import lira
from tfunlearn.audit.held import LIRA, RELATIVE, mean_divergences
from tfunlearn.audit.references import References
from tfunlearn.audit.spread_by_example import deviations, others

from .many import make_labels, make_logits, parted

COUNT = 6


@pytest.fixture(scope="module")
def labels():
    return make_labels()


@pytest.fixture(scope="module")
def logits(labels):
    return make_logits(labels, COUNT + 1)


@pytest.fixture(scope="module")
def many(labels, logits):
    return References(labels, parted(logits, COUNT)[1])


def margins_by_hand(labels, scores):
    return np.array(
        [row[k] - logsumexp(np.delete(row, k)) for row, k in zip(scores, labels, strict=True)]
    )


def _sides(labels, one, others):
    """Returns the margins on forget and test, of a model and of the others."""
    roles = ("forget", "test")
    return [margins_by_hand(labels[role], one[role]) for role in roles], [
        np.array([margins_by_hand(labels[role], scores) for scores in others[role]])
        for role in roles
    ]


def figures_by_hand(labels, one, others):
    """Returns one model's figures, held against other models, without closed forms."""
    found, margins, far, tables = {}, {}, {}, {}
    one = {role: own.astype("float64") for role, own in one.items()}
    for role, own in labels.items():
        found[f"{role}_accuracy"] = np.mean(one[role].argmax(axis=1) == own)
        losses = -log_softmax(one[role], axis=1)[np.arange(len(own)), own]
        found[f"{role}_loss"] = losses.mean()
        table = tables[role] = np.array(
            [margins_by_hand(own, scores.astype("float64")) for scores in others[role]]
        )
        margins[role] = margins_by_hand(own, one[role])
        spread = table.std(axis=0, ddof=1)
        spread = np.maximum(spread, 0.01 * np.sqrt(np.mean(spread**2)))
        far[role] = (margins[role] - table.mean(axis=0)) / spread
    mask = np.isin(labels["test"], labels["forget"])
    truth = np.repeat([1, 0], [len(labels["forget"]), mask.sum()])
    right = one["test"][mask].argmax(axis=1) == labels["test"][mask]
    found["label_only_gap"] = found["forget_accuracy"] - right.mean()
    # the loss is a falling function of the margin
    sides = margins["forget"], margins["test"][mask]
    tables = tables["forget"], tables["test"][:, mask]
    found["loss_auc"] = roc_auc_score(truth, np.concatenate(sides))
    cut = np.sort(sides[1])[::-1][int(0.01 * mask.sum())]
    found["loss_tpr_at_fpr_0_01"] = np.mean(sides[0] > cut)
    scores = lira(np.concatenate(sides), np.concatenate(tables, axis=1)).scores
    found["lira_auc"] = roc_auc_score(truth, scores)
    found["forget_deviation_p95"] = np.percentile(np.abs(far["forget"]), 95)
    found["retain_deviation"] = np.abs(far["retain"]).mean()
    found["test_deviation"] = np.abs(far["test"]).mean()
    mean = softmax(others["forget"].astype("float64"), axis=2).mean(axis=0)
    own = softmax(one["forget"], axis=1)
    found["forget_js"] = np.mean([jensenshannon(p, q) ** 2 for p, q in zip(own, mean, strict=True)])
    return found


@pytest.fixture(scope="module")
def held(labels, logits, many):
    return many.hold(many.read(parted(logits, COUNT)[0]))


def test_a_candidate_against_all_references(labels, logits, many, held):
    expected = figures_by_hand(labels, *parted(logits, COUNT))
    assert held.values == pytest.approx(expected, rel=1e-9)
    assert list(held.values) == [figure.name for figure in many.listed]
    assert held.absent == {}


@pytest.mark.parametrize("place", range(COUNT))
def test_a_reference_against_the_others_and_the_candidate(labels, logits, held, place):
    found = {name: values[place] for name, values in held.references.items()}
    assert found == pytest.approx(figures_by_hand(labels, *parted(logits, place)), rel=1e-9)


def test_a_candidate_far_off_changes_the_references_figures_as_the_loop_says(labels, logits):
    """One model's margins are 1e6 times the others': no digit of theirs is lost."""
    far = {role: own.copy() for role, own in logits.items()}
    for own in far.values():
        own[0] *= 1e6
    for odd in (0, COUNT):  # a reference, or the candidate
        turned = {role: np.roll(own, odd, axis=0) for role, own in far.items()}
        one, rest = parted(turned, COUNT)
        many = References(labels, rest)
        held = many.hold(many.read(one))
        for row in range(COUNT + 1):
            expected = figures_by_hand(labels, *parted(turned, row))
            found = {name: [*held.references[name], held.values[name]][row] for name in RELATIVE}
            # so far off, attack scores by hand end at 0, which makes ties
            names = [name for name in RELATIVE if row != odd or name != "lira_auc"]
            for name in names:
                assert found[name] == pytest.approx(expected[name], rel=1e-9), (row, name)


def test_which_of_the_models_is_the_candidate_changes_no_row(labels, logits, held):
    """So that a candidate made as the references were is one of N + 1 that nothing sets apart."""
    turned = {role: np.roll(own, 3, axis=0) for role, own in logits.items()}
    one, rest = parted(turned, COUNT)
    many = References(labels, rest)
    again = many.hold(many.read(one))
    for name, value in held.values.items():
        rows = np.roll([*held.references[name], value], 3)
        np.testing.assert_allclose(rows[-1], again.values[name], rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(rows[:-1], again.references[name], rtol=1e-9, err_msg=name)


def test_the_attacks_areas_are_those_of_each_reference(many, held):
    assert set(held.aucs) == {
        "loss_threshold",
        "modified_entropy_threshold",
        "correctness",
        LIRA,
    }
    assert set(many.aucs) == set(held.aucs) - {LIRA}
    assert held.aucs["loss_threshold"] == held.references["loss_auc"]
    assert held.aucs[LIRA] == held.references["lira_auc"]
    gaps = np.array(held.references["label_only_gap"])
    np.testing.assert_allclose(held.aucs["correctness"], 0.5 + gaps / 2)


@pytest.mark.parametrize("count", [63, 64])
def test_many_references_give_each_example_a_variance_of_its_own(count):
    """From 64 others on, and those of a reference are as many as those of the candidate."""
    labels = make_labels({"forget": 10, "retain": 5, "test": 12})
    logits = make_logits(labels, count + 1)
    # some vary more than others
    logits["forget"] *= np.linspace(0.1, 3, 10)[:, None].astype("float32")
    one, rest = parted(logits, count)
    many = References(labels, rest)
    held = many.hold(many.read(one))
    expected = figures_by_hand(labels, one, rest)["lira_auc"]
    assert held.values["lira_auc"] == pytest.approx(expected)
    for place in (0, count - 1):
        expected = figures_by_hand(labels, *parted(logits, place))["lira_auc"]
        assert held.references["lira_auc"][place] == pytest.approx(expected)
    gaps = [m - t.mean(axis=0) for m, t in zip(*_sides(labels, one, rest), strict=True)]
    shared = roc_auc_score(np.repeat([1, 0], [10, 12]), np.concatenate(gaps))
    assert (held.values["lira_auc"] == pytest.approx(shared)) is (count < 64)


def test_margins_and_answers_are_kept(labels, logits, many):
    for role, own in labels.items():
        for place in range(COUNT):
            expected = margins_by_hand(own, logits[role][place].astype("float64"))
            np.testing.assert_allclose(many.margins[role][place], expected, rtol=1e-9)
    expected = logits["forget"][:COUNT].argmax(axis=2) == labels["forget"]
    assert (many.right == expected).all()


def test_half_precision_and_a_file_give_the_same(labels, logits, tmp_path):
    """Logits may lie in a file; half precision moves figures by its own rounding only."""
    half = {role: own.astype("float16") for role, own in logits.items()}
    one, rest = parted(half, COUNT)
    kept = {}
    for role, own in rest.items():
        np.save(tmp_path / f"{role}.npy", own)
        kept[role] = np.load(tmp_path / f"{role}.npy", mmap_mode="r")
    found, exact = (
        many.hold(many.read(one))
        for many in (References(labels, kept), References(labels, parted(logits, COUNT)[1]))
    )
    many = References(labels, rest)
    assert found.references == many.hold(many.read(one)).references
    for name, values in exact.references.items():
        np.testing.assert_allclose(
            found.references[name], values, rtol=2e-3, atol=2e-3, err_msg=name
        )


def test_a_candidate_is_rounded_as_the_references_are(labels, logits):
    """Else it alone would have digits that they have lost, which tells it from all of them."""
    half = {role: own.astype("float16") for role, own in logits.items()}
    many = References(labels, parted(half, COUNT)[1])
    found = many.hold(many.read(parted(logits, COUNT)[0]))
    assert found.values == many.hold(many.read(parted(half, COUNT)[0])).values
    huge = parted(logits, COUNT)[0] | {"forget": 1e6 * logits["forget"][COUNT]}
    assert (
        np.abs(many.read(huge).margins["forget"]).max() <= 2 * 65504 + 1
    )  # 2 clipped to one end share it


@pytest.mark.parametrize("classes", [3, 400_000])
def test_divergences_by_hand_also_in_blocks(classes):
    scores = np.random.default_rng(0).normal(size=(3, 4, classes))
    p = softmax(scores, axis=2)
    expected = [
        np.mean(
            [
                jensenshannon(*pair) ** 2
                for pair in zip(p[i], np.delete(p, i, axis=0).mean(axis=0), strict=True)
            ]
        )
        for i in range(3)
    ]
    np.testing.assert_allclose(mean_divergences(scores[:2], scores[2]), expected, rtol=1e-9)


def test_only_test_examples_of_the_forget_sets_classes_are_attacked():
    labels = make_labels({"forget": 110, "retain": 50, "test": 300})
    labels["forget"] = np.where(labels["forget"] == 2, 0, labels["forget"])
    logits = make_logits(labels, 5)
    logits["test"][:, labels["test"] == 2] += 50 * np.eye(3, dtype="float32")[2]  # easy outsiders
    one, rest = parted(logits, 4)
    many = References(labels, rest)
    found = many.hold(many.read(one)).values
    assert found == pytest.approx(figures_by_hand(labels, one, rest), rel=1e-9)


def test_a_spread_by_hand():
    table = np.array([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0], [7.0, 9.0]])
    *_, last = others(table)
    assert last.count == 3
    np.testing.assert_allclose(last.mean, [3, 5])
    np.testing.assert_allclose(last.deviation, [2, 0])
    far = deviations(np.array([7.0, 9.0]), last.mean, last.deviation)
    np.testing.assert_allclose(far, [2, 4 / (0.01 * np.sqrt(2))])


def test_the_spread_of_the_others_keeps_its_digits():
    table = np.random.default_rng(0).normal(size=(7, 5))
    table[2] += 1e7
    for place, found in enumerate(others(table)):
        rest = np.delete(table, place, axis=0)
        np.testing.assert_allclose(found.mean, rest.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found.deviation, rest.std(axis=0, ddof=1), rtol=1e-12)


def test_one_model_is_read_at_a_time():
    """What is held at once is a number per model and example, and one model's tables."""
    labels = make_labels({"forget": 300, "retain": 2000, "test": 700}, classes=10)
    logits = make_logits(labels, 40, classes=10)
    References(labels, {role: own[:3] for role, own in logits.items()})  # imports
    tracemalloc.start()
    try:
        many = References(labels, logits)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    margins = sum(own.nbytes for own in many.margins.values())
    table = 8 * 3000 * 10
    assert peak < 1.5 * margins + 8 * table
    assert peak < sum(own.nbytes for own in logits.values()) * 2  # all of it in float64


def test_two_references_and_a_candidate_have_two_others_each(labels, logits):
    two = References(labels, {role: own[:2] for role, own in logits.items()})
    assert two.hold(two.read(parted(logits, COUNT)[0])).absent == {}


def test_references_that_do_not_differ_give_no_unit(labels, logits):
    same = References(labels, {role: np.repeat(own[:1], 4, axis=0) for role, own in logits.items()})
    held = same.hold(same.read(parted(logits, COUNT)[0]))
    assert set(held.absent) == set(RELATIVE)
    assert "do not differ" in held.absent["lira_auc"]
    assert not set(RELATIVE) & (set(held.values) | set(held.references))
    assert held.relative is None
    assert LIRA not in held.aucs


@pytest.mark.parametrize(
    "change",
    [lambda own: own[:-1], lambda own: own[:, :2], lambda own: own[None]],
)
def test_a_candidate_must_be_of_the_same_examples(many, logits, change):
    one = parted(logits, COUNT)[0]
    with pytest.raises(ValueError, match="must be of the references' roles, examples and classes"):
        many.read(one | {"test": change(one["test"])})
    with pytest.raises(ValueError, match="must be of the references' roles"):
        many.read({role: one[role] for role in ("forget", "test")})


def test_too_few_examples_for_an_attack():
    labels = make_labels({"forget": 1, "retain": 20, "test": 30})
    many = References(labels, make_logits(labels, 4))
    assert set(many.absent) == {"loss_auc", "loss_tpr_at_fpr_0_01", "label_only_gap", "lira_auc"}
    assert "there are 1 forget examples" in many.absent["loss_auc"]
    assert many.aucs == {}


@pytest.mark.parametrize(("forget", "test"), [(99, 100), (100, 99)])
def test_a_low_rate_takes_a_hundred_examples_a_side(forget, test):
    labels = make_labels({"forget": forget, "retain": 20, "test": test}, classes=2)
    many = References(labels, make_logits(labels, 4))
    assert set(many.absent) == {"loss_tpr_at_fpr_0_01"}
    words = f"takes 100 examples a side, and there are {forget} forget and {test} test examples"
    assert words in many.absent["loss_tpr_at_fpr_0_01"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda own: own[:1], "N >= 2"),
        (lambda own: own[:, :5], "n as of the labels"),
        (lambda own: own[0], r"shape \(N, n, C\)"),
        (lambda own: np.where(own > 0, np.nan, own), "must be finite"),
        (lambda own: softmax(own, axis=2), "looks like probabilities"),
    ],
)
def test_bad_logits_are_refused(labels, logits, change, words):
    with pytest.raises(ValueError, match=words):
        References(labels, {role: change(own) for role, own in logits.items()})


def test_roles_must_fit(labels, logits):
    with pytest.raises(ValueError, match="same roles"):
        References(labels, {role: logits[role] for role in ("forget", "test")})
    with pytest.raises(ValueError, match="forget, retain and test among"):
        References({"forget": labels["forget"]}, {"forget": logits["forget"]})
    uneven = {**logits, "test": logits["test"][:3]}
    with pytest.raises(ValueError, match="equal N and C"):
        References(labels, uneven)
