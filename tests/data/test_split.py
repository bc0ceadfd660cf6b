import dataclasses
import hashlib

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfunlearn import data
from tfunlearn.data.split import ForgetSplit

COUNT, CLASSES = 60, 3


def arrays(count=COUNT, dtype="float32", start=0):
    """Inputs whose first value is their position, so that each example is recognisable."""
    x = np.zeros((count, 2, 1), dtype)
    x[:, 0, 0] = np.arange(start, start + count)
    return x, np.arange(count) % CLASSES


def split_at(forget, **kwargs):
    x, y = arrays()
    return ForgetSplit.by_index(x, y, forget=forget, test=arrays(9, start=500), **kwargs)


def positions(x):
    return np.asarray(x)[:, 0, 0].astype(int)


id_sets = st.sets(st.integers(0, COUNT - 1), min_size=1, max_size=COUNT - 1)


@settings(deadline=None)
@given(id_sets.flatmap(lambda ids: st.permutations(sorted(ids))))
def test_a_split_is_a_partition_for_any_ids(ids):
    split = split_at(ids)
    forget, retain = split.ids["forget"], split.ids["retain"]
    assert forget.tolist() == sorted(ids)
    assert sorted([*forget, *retain]) == list(range(COUNT))
    assert (np.diff(retain) > 0).all()
    assert forget.dtype == retain.dtype == np.int64
    assert positions(split.forget[0]).tolist() == forget.tolist()
    assert positions(split.retain[0]).tolist() == retain.tolist()
    assert split.forget[1].tolist() == (forget % CLASSES).tolist()
    counts = split.class_counts("forget") + split.class_counts("retain")
    assert counts.tolist() == [20, 20, 20]


@settings(deadline=None)
@given(id_sets, id_sets)
def test_fingerprints_are_equal_exactly_when_the_ids_are(one, other):
    same = split_at(sorted(one)).fingerprint() == split_at(sorted(other)).fingerprint()
    assert same == (one == other)


@settings(deadline=None)
@given(
    st.floats(0.02, 0.98),
    st.booleans(),
    st.integers(0, 2**31),
    st.lists(st.integers(0, 4), min_size=30, max_size=80),
)
def test_random_is_a_partition_of_the_asked_for_size(fraction, stratify, seed, labels):
    x = np.zeros((len(labels), 1))
    members = np.bincount(labels)
    shares = [round(fraction * count) for count in members]
    asked = sum(shares) if stratify else round(fraction * len(labels))
    if asked in (0, len(labels)):
        return
    split = data.random(
        x, labels, fraction=fraction, seed=seed, stratify=stratify, test=(x, labels)
    )
    assert split.size("forget") == asked
    assert len(set(split.ids["forget"]) | set(split.ids["retain"])) == len(labels)
    assert split.size("forget") + split.size("retain") == len(labels)
    if stratify:
        assert split.class_counts("forget")[: len(shares)].tolist() == shares


def test_fingerprint_is_sha256_of_role_names_ids_and_labels():
    split = split_at([5, 1])
    digest = hashlib.sha256()
    for role in ("forget", "retain", "test"):
        ids = split.ids[role]
        digest.update(role.encode() + ids.tobytes() + (ids % CLASSES).astype("int64").tobytes())
    assert split.fingerprint() == digest.hexdigest()


def test_fingerprint_changes_with_labels_and_validation_not_with_images():
    x, y = arrays()
    kept = {"forget": [1, 2], "test": arrays(9)}
    first = data.by_index(x, y, **kept).fingerprint()
    assert data.by_index(x + 1, y.reshape(-1, 1), **kept).fingerprint() == first
    assert data.by_index(x, (y + 1) % 3, **kept).fingerprint() != first
    assert data.by_index(x, y, validation=arrays(9), **kept).fingerprint() != first


def test_roles_and_sizes():
    split = split_at([4, 2], validation=arrays(5, start=700))
    assert split.roles == ("forget", "retain", "validation", "test")
    assert [split.size(role) for role in split.roles] == [2, 58, 5, 9]
    assert split.ids["validation"].tolist() == [0, 1, 2, 3, 4]
    assert positions(split.validation[0]).tolist() == [700, 701, 702, 703, 704]
    assert positions(split.test[0]).tolist() == list(range(500, 509))
    assert split.labels("forget").tolist() == [2, 1]
    assert split.class_counts("forget").tolist() == [0, 1, 1]
    assert (split.kind, split.is_stream, split.num_classes) == ("index", False, 3)
    assert (split.input_shape, split.input_dtype) == ((2, 1), "float32")
    assert split_at([4, 2]).roles == ("forget", "retain", "test")


def test_module_functions_are_the_constructors():
    for name in ("by_index", "random", "by_class", "by_group", "from_dataset"):
        assert getattr(data, name) == getattr(ForgetSplit, name)


def test_retain_unpacks_into_fit():
    split = split_at([0, 1, 2])
    model = keras.Sequential(
        [keras.Input((2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)], name="fit"
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(*split.retain, batch_size=19, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert int(model.optimizer.iterations) == 2 * 3  # 57 examples in batches of 19


def test_frozen():
    split = split_at([3])
    for name in ("kind", "ids", "num_classes", "forget", "invented"):
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
            setattr(split, name, None)
    with pytest.raises(TypeError):
        split.ids["forget"] = np.array([1])
    for role in split.roles:
        with pytest.raises(ValueError, match="read-only"):
            split.ids[role][0] = 0
    assert split.ids["forget"].tolist() == [3]


def test_arrays_are_not_copied_until_a_part_is_read():
    x, y = arrays()
    test = arrays(9)
    split = data.by_index(x, y, forget=[3], test=test)
    assert np.shares_memory(split.source("retain").x, x)
    assert np.shares_memory(split.test[0], test[0])
    assert np.shares_memory(split.test[1], test[1])
    assert not np.shares_memory(split.retain[0], x)
    split.retain[0][:] = -1  # a gathered part is the reader's own
    assert x[:, 0, 0].tolist() == list(range(COUNT))


class Untouchable(np.ndarray):
    """An array that counts how often its values are gathered."""

    reads = 0

    def __getitem__(self, key):
        type(self).reads += 1
        return np.asarray(super().__getitem__(key))


def test_construction_gathers_no_image():
    x, y = arrays()
    watched = x.view(Untouchable)
    split = data.random(watched, y, test=arrays(9))
    split.fingerprint(), str(split), repr(split), split.class_counts("retain")
    assert Untouchable.reads == 0
    _ = split.forget
    assert Untouchable.reads > 0


def test_memory_mapped_arrays_stay_on_disk(tmp_path):
    x, y = arrays()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    split = data.by_index(mapped, y, forget=[3, 9], test=arrays(9))
    assert isinstance(split.source("forget").x, np.memmap)
    assert positions(split.forget[0]).tolist() == [3, 9]


# random


def test_random_draws_by_seed():
    x, y = arrays()
    draw = lambda **kwargs: data.random(x, y, test=arrays(9), **kwargs).ids["forget"].tolist()  # noqa: E731
    first = draw(fraction=0.2, seed=0)
    assert len(first) == 12
    assert draw(fraction=0.2, seed=0) == first
    assert draw(fraction=0.2) == first
    assert draw(fraction=0.2, seed=1) != first
    assert first == sorted(np.random.default_rng(0).permutation(COUNT)[:12].tolist())
    assert len(draw()) == 6


def test_random_does_not_depend_on_global_state():
    x, y = arrays()
    np.random.seed(1)
    first = data.random(x, y, seed=4, test=arrays(9)).fingerprint()
    np.random.seed(2)
    before = np.random.get_state()[1].tobytes()
    assert data.random(x, y, seed=4, test=arrays(9)).fingerprint() == first
    assert np.random.get_state()[1].tobytes() == before


def test_stratified_takes_the_same_share_of_unequal_classes():
    y = np.repeat([0, 1, 2], [100, 40, 10])
    x = np.zeros((150, 1))
    split = data.random(x, y, fraction=0.2, stratify=True, seed=3, test=(x, y))
    assert split.class_counts("forget").tolist() == [20, 8, 2]
    assert split.kind == "random"
    plain = [
        data.random(x, y, fraction=0.2, seed=seed, test=(x, y)).class_counts("forget").tolist()
        for seed in range(5)
    ]
    assert any(counts != [20, 8, 2] for counts in plain)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_random_refuses_shares_outside(fraction):
    x, y = arrays()
    with pytest.raises(ValueError, match=r"fraction: expected a share inside \(0, 1\)"):
        data.random(x, y, fraction=fraction, test=arrays(9))


def test_random_refuses_a_share_of_no_example():
    x, y = arrays()
    with pytest.raises(ValueError, match="at least one id"):
        data.random(x, y, fraction=0.001, test=arrays(9))


# by_class


def test_by_class_takes_whole_classes():
    x, y = arrays()
    split = data.by_class(x, y, classes=[2, 0], test=arrays(9))
    assert split.ids["forget"].tolist() == [i for i in range(COUNT) if i % 3 in (0, 2)]
    assert split.class_counts("retain").tolist() == [0, 20, 0]
    assert split.num_classes == 3
    assert split.kind == "class"


def test_by_class_takes_a_share():
    x, y = arrays()
    draw = lambda seed: data.by_class(  # noqa: E731
        x, y, classes=[1], fraction=0.25, seed=seed, test=arrays(9)
    )
    split = draw(0)
    assert split.class_counts("forget").tolist() == [0, 5, 0]
    assert split.class_counts("retain").tolist() == [20, 15, 20]
    assert draw(0).fingerprint() == split.fingerprint()
    assert draw(1).fingerprint() != split.fingerprint()


@pytest.mark.parametrize("classes", [[7], [0, 7], [], [0.5]])
def test_by_class_refuses_absent_classes(classes):
    x, y = arrays()
    with pytest.raises(ValueError, match=r"classes: .*Expected: some of \[0, 1, 2\]"):
        data.by_class(x, y, classes=classes, test=arrays(9))


@pytest.mark.parametrize("fraction", [0, 1.01, -1])
def test_by_class_refuses_shares_outside(fraction):
    x, y = arrays()
    with pytest.raises(ValueError, match=r"fraction: expected a share inside \(0, 1\]"):
        data.by_class(x, y, classes=[0], fraction=fraction, test=arrays(9))


def test_by_class_refuses_everything():
    x, y = arrays()
    with pytest.raises(ValueError, match="must stay"):
        data.by_class(x, y, classes=[0, 1, 2], test=arrays(9))


# by_group


def test_by_group_with_text():
    x, y = arrays(6)
    people = ["ann", "bob", "ann", "cleo", "bob", "ann"]
    split = data.by_group(x, y, people, forget=["bob", "ann"], test=arrays(9))
    assert split.ids["forget"].tolist() == [0, 1, 2, 4, 5]
    assert split.ids["retain"].tolist() == [3]
    assert split.kind == "group"
    one = data.by_group(x, y, people, forget="bob", test=arrays(9))
    assert one.ids["forget"].tolist() == [1, 4]


def test_by_group_with_numbers():
    x, y = arrays(6)
    split = data.by_group(x, y, np.array([9, 9, -4, 2, 2, -4]), forget=[-4], test=arrays(9))
    assert split.ids["forget"].tolist() == [2, 5]


@pytest.mark.parametrize(
    ("groups", "forget", "words"),
    [
        (list("aabbcc"), ["b", "z"], ["forget", "occur in groups", "1 that do not", "'z'"]),
        ([1, 1, 2, 2, 3, 3], ["1"], ["forget", "occur in groups"]),
        (list("aabbcc"), [], ["at least one id"]),
        (list("aab"), ["b"], ["groups", "(6,)", "(3,)"]),
        (list("aabbcc"), ["a", "b", "c"], ["must stay"]),
    ],
)
def test_by_group_refuses(groups, forget, words):
    x, y = arrays(6)
    with pytest.raises(ValueError, match=r"groups|forget") as caught:
        data.by_group(x, y, groups, forget=forget, test=arrays(9))
    for word in words:
        assert word in str(caught.value)


# num_classes, shapes, values


def test_number_of_classes():
    x, y = arrays()
    assert split_at([1], num_classes=10).num_classes == 10
    assert split_at([1], num_classes=10).class_counts("forget").shape == (10,)
    unseen = data.by_index(x, y, forget=[1], test=(x[:2], [0, 6]))
    assert unseen.num_classes == 7
    assert data.by_index(x, y * 0, forget=[1], test=(x, y * 0)).num_classes == 2
    with pytest.raises(ValueError, match=r"below num_classes.*at most 1.*Received: 2"):
        split_at([1], num_classes=2)
    with pytest.raises(ValueError, match=r"below num_classes.*at most 2.*Received: 6"):
        data.by_index(x, y, forget=[1], test=(x[:2], [0, 6]), num_classes=3)


GOOD_X, GOOD_Y = arrays(6)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"forget": [6]}, ValueError, ["forget", "0 to 5"]),
        ({"forget": []}, ValueError, ["forget", "at least one"]),
        ({"forget": [1, 1]}, ValueError, ["forget", "more than once"]),
        ({"forget": range(6)}, ValueError, ["forget", "must stay"]),
        ({"y": np.eye(6, dtype=int)}, ValueError, ["y:", "one-hot"]),
        ({"y": GOOD_Y[:5]}, ValueError, ["y:", "Expected: 6", "Received: 5"]),
        ({"y": GOOD_Y * 1.0}, TypeError, ["y:", "float64"]),
        ({"y": GOOD_Y - 1}, ValueError, ["y:", "-1"]),
        ({"x": np.arange(6)}, ValueError, ["x:", "(N, ...)", "(6,)"]),
        ({"x": np.array([{}] * 6, object).reshape(6, 1)}, TypeError, ["x:", "object"]),
        ({"test": GOOD_X}, TypeError, ["test:", "(x, y)", "ndarray"]),
        ({"test": [GOOD_X, GOOD_Y]}, TypeError, ["test:", "list"]),
        ({"test": None}, TypeError, ["test:", "NoneType"]),
        ({"test": (GOOD_X[:, :1], GOOD_Y)}, ValueError, ["test:", "(2, 1)", "(1, 1)"]),
        ({"test": (GOOD_X[..., 0], GOOD_Y)}, ValueError, ["test:", "(2, 1)", "(2,)"]),
        ({"test": (GOOD_X, GOOD_Y[:2])}, ValueError, ["test labels", "Expected: 6"]),
        ({"validation": (GOOD_X, GOOD_Y * 0.5)}, TypeError, ["validation labels", "float"]),
    ],
)
def test_bad_input(change, error, words):
    arguments = {"x": GOOD_X, "y": GOOD_Y, "forget": [1], "test": (GOOD_X, GOOD_Y)} | change
    x, y = arguments.pop("x"), arguments.pop("y")
    with pytest.raises(error) as caught:
        data.by_index(x, y, **arguments)
    for word in words:
        assert word in str(caught.value)


def test_unknown_and_absent_roles():
    split = split_at([1])
    for ask in (split.size, split.labels, split.class_counts, split.dataset, split.source):
        with pytest.raises(ValueError, match=r"role: expected one of forget, retain, test\."):
            ask("train")
    with pytest.raises(ValueError, match=r"pass validation=\(x, y\)"):
        _ = split.validation


ROLES = ("forget", "retain", "validation", "test")


@pytest.mark.parametrize("bad", ROLES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_matter_only_to_the_role_that_holds_them(bad, value):
    parts = {"train": arrays(), "validation": arrays(5), "test": arrays(9)}
    owner, row = {"forget": ("train", 7), "retain": ("train", 0)}.get(bad, (bad, 4))
    parts[owner][0][row, 1, 0] = value
    split = data.by_index(
        *parts["train"], forget=[7, 3], validation=parts["validation"], test=parts["test"]
    )
    str(split), split.fingerprint()
    for role in ROLES:
        if role != bad:
            assert len(getattr(split, role)[0]) == split.size(role)
            split.dataset(role)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"x: the {bad} set holds NaN or infinite"):
            getattr(split, bad)
        with pytest.raises(ValueError, match=f"x: the {bad} set holds NaN or infinite"):
            split.dataset(bad)


def test_nan_is_found_in_any_block():
    x, y = arrays(9000)
    x[8999, 1] = np.nan
    with pytest.raises(ValueError, match="retain set holds NaN"):
        _ = data.by_index(x, y, forget=[0], test=arrays(9)).retain


# text


def test_print_shows_sizes_fractions_and_class_balance():
    split = split_at([0, 1, 3, 6, 9, 12], validation=arrays(5))
    assert str(split).splitlines() == [
        "Total training samples: 60",
        "Forget set size: 6 (10.0%)",
        "Retain set size: 54 (90.0%)",
        "Validation set size: 5",
        "Test set size: 9",
        "Forgotten share of each class: 0 25.0%, 1 5.0%, 2 0.0%",
    ]


def test_print_shows_twenty_classes_at_most():
    x, y = np.zeros((50, 1)), np.arange(50) % 25
    split = data.by_index(x, y, forget=[0], test=(x, y))
    assert str(split).endswith("19 0.0%, and 5 more classes")


def test_repr():
    assert repr(split_at([0, 1, 3, 6, 9, 12])) == (
        "ForgetSplit(index: forget=6, retain=54, test=9, forget fraction 10.0%, "
        "classes=3, forget per class 0-5)"
    )


def test_held_out_pixels_beside_normalised_training_data_are_refused():
    pixels = np.arange(40, dtype="uint8").reshape(10, 4)
    y = np.arange(10) % 2
    with pytest.raises(ValueError, match=r"test: its inputs must be on the scale .* float32"):
        ForgetSplit.by_index(pixels.astype("float32"), y, forget=[0], test=(pixels, y))


@pytest.mark.parametrize(
    ("forget", "whole"), [([1, 3], True), ([1], False), ([0, 1, 2, 3], True), ([0, 1, 3], False)]
)
def test_whole_classes_are_told_by_counts_and_not_by_how_they_were_chosen(forget, whole):
    x, y = np.zeros((6, 2)), np.array([0, 1, 0, 1, 2, 2])
    split = data.by_index(x, y, forget=forget, test=(x, y))
    assert split.forgets_classes is whole
