"""Sample and class weights of a split: where they come from, and what batches carry."""

import numpy as np
import pytest

from tests import elsewhere
from tfunlearn import data, gradients, losses, models
from tfunlearn.data.spool import read_split, write_split
from tfunlearn.data.streams import batches, batches_to_read, pairs

COUNT, FORGET = 40, [3, 8, 9, 31]


def examples():
    """Images that hold their position, three classes, and a weight that only one of them has."""
    x = np.repeat(np.arange(COUNT, dtype="float32")[:, None], 2, axis=1)
    return x, np.arange(COUNT) % 3, np.arange(COUNT) / 8


def sliced(*parts):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(parts)


def make(kind="arrays", **options):
    x, y, w = examples()
    test = (x[:4], y[:4])
    if kind == "arrays":
        return data.by_index(x, y, forget=FORGET, test=test, sample_weight=w, **options)
    stream = sliced(x, y, w)
    stream = stream.batch(7) if kind == "batched" else stream
    return data.from_dataset(stream, forget=FORGET, test=test, **options)


def plain(**options):
    x, y, _ = examples()
    return data.by_index(x, y, forget=FORGET, test=(x[:4], y[:4]), **options)


@pytest.mark.parametrize("kind", ["arrays", "single", "batched"])
@pytest.mark.parametrize("role", ["forget", "retain"])
def test_batches_hold_each_examples_weight(kind, role):
    split, seen = make(kind), []
    for _ in range(2):
        for x, y, w in batches(split, role, batch_size=6, shuffle=True, seed=3):
            ids = np.asarray(x)[:, 0].astype(int)
            np.testing.assert_array_equal(np.asarray(w), (ids / 8).astype("float32"))
            np.testing.assert_array_equal(np.asarray(y), ids % 3)
            seen += ids.tolist()
    assert sorted(seen) == sorted(2 * split.ids[role].tolist())


@pytest.mark.parametrize("kind", ["arrays", "single", "batched"])
def test_pairs_hold_the_weights_of_both_roles(kind):
    for x, _, w in pairs(make(kind), 5, seed=1):
        for role in ("forget", "retain"):
            np.testing.assert_array_equal(w[role], np.asarray(x[role])[:, 0] / 8)


def batches_elsewhere():
    split, found = make(), []
    for x, _, w in training_batches(split):
        found += [[float(a), float(b)] for a, b in zip(x["retain"][:, 0], w["retain"], strict=True)]
    return found


def training_batches(split):
    from tfunlearn.training import iterate

    return iterate(batches(split, "retain", batch_size=6, shuffle=True, seed=3, named=True))


@pytest.mark.slow
@pytest.mark.parametrize("backend", elsewhere.BACKENDS)
def test_other_backends_give_the_same_weights(backend):
    here = [
        [float(a), float(a) / 8]
        for batch in training_batches(make())
        for a in np.asarray(batch[0]["retain"])[:, 0]
    ]
    assert elsewhere.on(backend, batches_elsewhere) == here


def test_without_weights_there_is_no_third_part():
    split = plain()
    assert len(batches(split, "retain").element_spec) == 2
    assert len(pairs(split).element_spec) == 2
    assert not split.is_weighted
    assert split.sample_weights("retain") is None
    assert split.unweighted() is split
    assert split.weighted() is split


def test_held_out_roles_and_readers_have_none():
    split = make("batched")
    assert len(split.dataset("test").element_spec) == 2
    assert len(batches_to_read(split, "forget", 3).element_spec) == 2
    assert len(split.unweighted().dataset("retain").element_spec) == 2
    [(x, _)] = batches_to_read(make(), "forget", 8)
    assert x[:, 0].tolist() == FORGET


def test_a_transform_leaves_weights_alone():
    [(x, _, w)] = make().dataset("forget", transform=lambda x, y: (x + 1, y))
    np.testing.assert_array_equal(w, (np.asarray(x)[:, 0] - 1) / 8)


@pytest.mark.parametrize("kind", ["arrays", "batched"])
def test_class_and_sample_weights_multiply(kind):
    split = make(kind).weighted(class_weight={np.int64(2): 4, 0: 0.5})
    factor = np.array([0.5, 1.0, 4.0])
    for role in ("forget", "retain"):
        ids = split.ids[role]
        np.testing.assert_allclose(split.sample_weights(role), factor[ids % 3] * ids / 8)
    given = plain().weighted(class_weight={2.0: 4, np.float64(0): 0.5}, sample_weight=examples()[2])
    np.testing.assert_array_equal(given.sample_weights("retain"), split.sample_weights("retain"))
    assert given.fingerprint() == split.fingerprint()


def test_one_role_can_have_none():
    split = make().unweighted("forget")
    assert split.sample_weights("forget").tolist() == [1.0] * 4
    np.testing.assert_array_equal(split.sample_weights("retain"), split.ids["retain"] / 8)


def test_replaced_examples_have_none():
    split = make().replaced("forget", np.zeros((2, 2)), np.array([0, 1]))
    assert split.sample_weights("forget") is None
    x, _, w = next(iter(pairs(split, 8)))
    assert set(w) == {"retain"}
    assert set(x) == {"forget", "retain"}


def test_other_labels_keep_their_weights():
    split = make().relabelled("retain", np.zeros(COUNT - len(FORGET), int))
    np.testing.assert_array_equal(split.sample_weights("retain"), split.ids["retain"] / 8)


def test_the_fingerprint_holds_weights():
    prints = {split.fingerprint() for split in (plain(), make(), make().unweighted("forget"))}
    assert len(prints) == 3
    assert make().unweighted().fingerprint() == plain().fingerprint()
    assert make("batched").fingerprint() == make().fingerprint()


def test_other_processes_are_given_them(tmp_path):
    split = make()
    again = read_split(tmp_path, write_split(split, tmp_path))
    np.testing.assert_array_equal(again.sample_weights("retain"), split.sample_weights("retain"))
    assert again.fingerprint() == split.fingerprint()
    assert again.source("forget") is again.source("retain")
    changed = again.weighted(class_weight={0: 2.0})
    assert changed.source("forget") is changed.source("retain")
    assert len(changed.dataset("test").element_spec) == 2


@pytest.mark.parametrize("kind", ["random", "by_class", "by_group"])
def test_every_constructor_takes_them(kind):
    x, y, w = examples()
    options = {
        "random": {"seed": 1},
        "by_class": {"classes": [1]},
        "by_group": {"groups": np.arange(COUNT) // 5, "forget": [2]},
    }
    split = getattr(data, kind)(x, y, test=(x, y), sample_weight=w[:, None], **options[kind])
    np.testing.assert_array_equal(split.sample_weights("forget"), w[split.ids["forget"]])


BAD_SAMPLES = {
    "short": (np.ones(39), ValueError, r"sample_weight: .*\(40,\).*\(39,\)"),
    "a number": (1.0, ValueError, r"sample_weight: .*Received: shape \(\)"),
    "negative": (np.r_[-1.0, np.ones(39)], ValueError, r"sample_weight: .*-1.0 \(example 0\)"),
    "nan": (np.r_[np.ones(39), np.nan], ValueError, r"sample_weight: .*nan \(example 39\)"),
    "too large": (np.full(40, 1e300), ValueError, "sample_weight: .*inf"),
    "none stays": (np.isin(np.arange(40), FORGET), ValueError, "sample_weight: .*retain"),
    "text": (["a"] * 40, TypeError, "sample_weight: .*numbers"),
    "a dict": ({0: 1.0}, TypeError, "sample_weight: .*numbers"),
}


@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_bad_sample_weights(case):
    weights, error, words = BAD_SAMPLES[case]
    with pytest.raises(error, match=words):
        plain().weighted(sample_weight=weights)
    with pytest.raises(error, match=words):
        plain(sample_weight=weights)


BAD_CLASSES = {
    "a list": ([1.0, 20.0], TypeError, "class_weight: expected a dict"),
    "text key": ({"0": 1.0}, TypeError, "class_weight: expected class ids.*'0'"),
    "half a class": ({0.5: 1.0}, TypeError, "class_weight: expected class ids.*0.5"),
    "not a class": ({float("nan"): 1.0}, TypeError, "class_weight: expected class ids.*nan"),
    "unknown": ({3: 1.0}, ValueError, "class_weight: .*0 to 2.*Received: 3"),
    "negative": ({0: -2.0}, ValueError, "class_weight: .*at least 0.*-2.0"),
    "nan": ({0: float("nan")}, ValueError, "class_weight: .*nan"),
    "text": ({0: "1"}, TypeError, "class_weight: expected numbers.*'1'"),
    "all zero": ({0: 0, 1: 0, 2: 0}, ValueError, "class_weight: .*retain set"),
}


@pytest.mark.parametrize("case", BAD_CLASSES)
def test_bad_class_weights(case):
    weights, error, words = BAD_CLASSES[case]
    with pytest.raises(error, match=words):
        plain().weighted(class_weight=weights)


def test_weights_are_given_once():
    with pytest.raises(ValueError, match="sample_weight: the split carries"):
        make().weighted(sample_weight=np.ones(COUNT))


def test_weights_by_position_need_the_positions():
    split = plain().replaced("retain", np.zeros((2, 2)), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"sample_weight: .*replaced"):
        split.weighted(sample_weight=np.ones(COUNT))
    assert split.weighted(class_weight={1: 3}).sample_weights("retain").tolist() == [1.0, 3.0]


def test_bad_weights_of_a_dataset():
    x, y, w = examples()
    for part, words in ((np.stack([w, w], 1), "sample weight for each"), (-w, "sample weights")):
        with pytest.raises(ValueError, match=f"dataset.*{words}"):
            data.from_dataset(sliced(x, y, part), forget=FORGET, test=(x, y))
    with pytest.raises(ValueError, match=r"test: sample weights are of training.*dataset.map"):
        data.from_dataset(sliced(x, y, w), forget=FORGET, test=sliced(x, y, w).batch(4))


@pytest.mark.parametrize("kind", ["arrays", "batched", "list"])
def test_gradients_are_not_weighted(kind):
    stream = batches(make("arrays" if kind == "list" else kind), "forget")
    stream = list(stream) if kind == "list" else stream
    net = models.mnist_dense(2, 3, seed=0)
    with pytest.raises(ValueError, match=r"batches: .*split.unweighted\(\)"):
        gradients.gradient_sum(net, stream, losses.cross_entropy)
