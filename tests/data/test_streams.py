import functools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfunlearn import data
from tfunlearn.data import stream_source
from tfunlearn.data.streams import (
    ArrayBatches,
    NamedBatches,
    batches,
    batches_to_read,
    pairs,
)

ROLES = ("forget", "retain", "test")


def examples(count, start=0):
    """Images that hold their own position, so that each one is recognisable."""
    x = np.repeat(np.arange(start, start + count, dtype="float32")[:, None], 3, axis=1)
    return x, np.arange(count) % 4


@functools.cache  # splits are frozen
def make(kind, count=50, forget=None):
    forget = list(range(0, count, 5)) if forget is None else forget
    x, y = examples(count)
    test = examples(7, start=900)
    if kind == "arrays":
        return data.by_index(x, y, forget=forget, test=test)
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    held_out = tf.data.Dataset.from_tensor_slices(test)
    return data.from_dataset(dataset, forget=forget, test=held_out)


@pytest.fixture(params=["arrays", "stream"])
def split(request):
    return make(request.param)


@pytest.fixture
def elsewhere(monkeypatch):
    """Makes tfunlearn believe that the backend is not TensorFlow."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")


def listed(dataset):
    """One pass, as a list of (ids, labels) batches."""
    if isinstance(dataset, keras.utils.PyDataset):
        dataset.on_epoch_begin()
        rows = [dataset[index] for index in range(len(dataset))]
    else:
        rows = list(dataset.as_numpy_iterator())
    return [(np.asarray(x)[:, 0].astype(int).tolist(), np.asarray(y).tolist()) for x, y in rows]


def listed_pairs(dataset):
    if isinstance(dataset, keras.utils.PyDataset):
        dataset.on_epoch_begin()
        rows = [dataset[index] for index in range(len(dataset))]
    else:
        rows = list(dataset.as_numpy_iterator())
    return [
        {role: (x[role][:, 0].astype(int).tolist(), y[role].tolist()) for role in sorted(x)}
        for x, y in rows
    ]


def flat(rows):
    return [position for ids, _ in rows for position in ids]


def part(rows, role):
    return [position for row in rows for position in row[role][0]]


# batches_to_read


@pytest.mark.parametrize("role", ROLES)
def test_batches_to_read_are_in_the_order_of_the_ids(split, role):
    rows = batches_to_read(split, role, 8)
    assert isinstance(rows, ArrayBatches) != split.is_stream
    ids = 900 + split.ids[role] if role == "test" else split.ids[role]
    for _ in range(2):
        seen = listed(rows)
        assert flat(seen) == ids.tolist()
        assert [len(own) for own, _ in seen][:-1] == [8] * (len(seen) - 1)
        assert [y for _, labels in seen for y in labels] == split.labels(role).tolist()


def test_batches_to_read_are_checked(split):
    with pytest.raises(ValueError, match="batch_size: "):
        batches_to_read(split, "retain", 0)


# dataset


def test_without_shuffle_the_order_is_that_of_the_ids(split):
    for _ in range(2):
        rows = listed(split.dataset("forget", batch_size=4))
        assert rows == [
            ([0, 5, 10, 15], [0, 1, 2, 3]),
            ([20, 25, 30, 35], [0, 1, 2, 3]),
            ([40, 45], [0, 1]),
        ]


def test_shuffled_batches_hold_every_example_once_with_its_label(split):
    for role in ROLES:
        rows = listed(split.dataset(role, batch_size=4, shuffle=True, seed=1))
        offset = 900 if role == "test" else 0
        assert sorted(flat(rows)) == (split.ids[role] + offset).tolist()
        for ids, labels in rows:
            assert labels == [(position - offset) % 4 for position in ids]


def test_reshuffled_at_each_pass_under_the_seed(split):
    dataset = split.dataset("retain", batch_size=8, shuffle=True, seed=3)
    passes = [listed(dataset) for _ in range(2)]
    assert passes[0] != passes[1]
    again = split.dataset("retain", batch_size=8, shuffle=True, seed=3)
    assert [listed(again) for _ in range(2)] == passes
    other = split.dataset("retain", batch_size=8, shuffle=True, seed=4)
    assert listed(other) not in passes


def test_the_orders_are_numpys(split):
    dataset = split.dataset("retain", batch_size=100, shuffle=True, seed=9)
    for epoch in range(2):
        expected = np.random.default_rng([9, epoch, 0]).permutation(split.ids["retain"])
        assert flat(listed(dataset)) == expected.tolist()


def test_independent_of_every_global_seed(split):
    seen = []
    for number in (1, 2):
        keras.utils.set_random_seed(number)
        tf.random.set_seed(number + 5)
        dataset = split.dataset("retain", batch_size=8, shuffle=True, seed=3)
        seen.append([listed(dataset), listed(dataset), listed_pairs(pairs(split, batch_size=8))])
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("count", "batch_size", "shuffle"),
    [(50, 8, False), (50, 8, True), (50, 500, True), (1280, 300, True)],
)
def test_arrays_and_streams_give_the_same_batches(shuffle, count, batch_size):
    one, other = (
        make(kind, count).dataset("retain", batch_size=batch_size, shuffle=shuffle, seed=2)
        for kind in ("arrays", "stream")
    )
    for _ in range(2):
        rows = listed(one)
        assert rows == listed(other)
        assert len(rows) == -(-count * 4 // 5 // batch_size) == one.cardinality()
    assert one.cardinality() == other.cardinality()


def test_a_long_stream_is_shuffled_within_windows(monkeypatch):
    assert stream_source.WINDOW == 1024
    monkeypatch.setattr(stream_source, "WINDOW", 16)
    order = flat(listed(make("stream", 50).dataset("retain", batch_size=7, shuffle=True)))
    stays = make("stream", 50).ids["retain"].tolist()
    windows = [slice(0, 16), slice(16, 32), slice(32, 40)]
    for window in windows:
        assert sorted(order[window]) == stays[window]
        assert order[window] != stays[window]
    places = [[stays[window].index(value) for value in order[window]] for window in windows]
    assert places[0] != places[1]


def test_transform_sees_batches(split):
    dataset = split.dataset("forget", batch_size=4, transform=lambda x, y: (x * 2, y + 1))
    assert listed(dataset)[0] == ([0, 10, 20, 30], [1, 2, 3, 4])
    assert dataset.cardinality() == 3


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "8", None])
def test_bad_batch_size(split, batch_size):
    for call in (split.dataset, lambda role, **kw: pairs(split, **kw)):
        with pytest.raises(ValueError, match="batch_size: expected a whole number"):
            call("retain", batch_size=batch_size)


@pytest.mark.parametrize("seed", [-1, None])
def test_bad_seed(split, seed):
    for call in (split.dataset, lambda role, **kw: pairs(split, **kw)):
        with pytest.raises(ValueError, match="seed: expected a whole number"):
            call("retain", seed=seed)


def test_dtype_is_kept():
    x = np.arange(6, dtype="uint8").reshape(6, 1)
    split = data.by_index(x, np.arange(6, dtype="int8"), forget=[0], test=(x, np.arange(6)))
    assert [spec.dtype for spec in split.dataset("retain").element_spec] == [tf.uint8, tf.int64]


# batches


def test_batches_are_the_dataset_on_tensorflow(split):
    made = batches(split, "retain", batch_size=8, shuffle=True, seed=5)
    assert isinstance(made, tf.data.Dataset)
    assert listed(made) == listed(split.dataset("retain", batch_size=8, shuffle=True, seed=5))


@pytest.mark.parametrize(
    ("role", "batch_size", "shuffle"),
    [
        ("retain", 1, True),
        ("retain", 7, True),
        ("retain", 7, False),
        ("forget", 100, True),
        ("test", 3, True),
        ("test", 7, False),
    ],
)
def test_elsewhere_batches_are_the_same(elsewhere, shuffle, role, batch_size):
    split = make("arrays")
    made = batches(split, role, batch_size=batch_size, shuffle=shuffle, seed=5)
    expected = split.dataset(role, batch_size=batch_size, shuffle=shuffle, seed=5)
    assert isinstance(made, ArrayBatches)
    assert len(made) == expected.cardinality()
    for _ in range(3):
        assert listed(made) == listed(expected)


def test_elsewhere_a_stream_stays_a_stream(elsewhere):
    assert isinstance(batches(make("stream"), "retain"), tf.data.Dataset)


def test_elsewhere_the_same_errors(elsewhere):
    split = make("arrays")
    with pytest.raises(ValueError, match="batch_size"):
        batches(split, "retain", batch_size=0)
    with pytest.raises(ValueError, match="seed"):
        batches(split, "retain", seed=-1)
    with pytest.raises(ValueError, match="role"):
        batches(split, "validation")
    x, y = examples(5)
    x[0] = np.nan
    bad = data.by_index(x, y, forget=[0], test=(x[1:], y[1:]))
    assert len(batches(bad, "retain")) == 1
    for call in (lambda: batches(bad, "forget"), lambda: pairs(bad)):
        with pytest.raises(ValueError, match="the forget set holds NaN"):
            call()


def test_batches_gather_without_copying_everything(elsewhere):
    x, y = examples(20)
    made = batches(data.by_index(x, y, forget=[0], test=(x, y)), "retain", batch_size=4)
    assert made._arrays[0] is x


def trained(stream):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="head")])
    model.compile(
        keras.optimizers.SGD(1e-4), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    random.seed(7)
    model.fit(stream, epochs=3, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize("batch_size", [6, 20, 100])  # Keras looks at two batches beforehand
def test_fit_learns_the_same_from_both_kinds_of_batches(monkeypatch, batch_size):
    split = make("arrays")
    ask = {"batch_size": batch_size, "shuffle": True, "seed": 1}
    on_tensorflow = trained(batches(split, "retain", **ask))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    elsewhere = batches(split, "retain", **ask)
    monkeypatch.undo()
    assert isinstance(elsewhere, ArrayBatches)
    for left, right in zip(on_tensorflow, trained(elsewhere), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5)


# pairs


@pytest.mark.parametrize(("anchor", "batch_size"), [("retain", 8), ("forget", 8), ("retain", 100)])
def test_pairs_pass_over_the_anchor_once(split, anchor, batch_size):
    dataset = pairs(split, batch_size=batch_size, anchor=anchor)
    size = split.size(anchor)
    other = "forget" if anchor == "retain" else "retain"
    for _ in range(2):
        rows = listed_pairs(dataset)
        assert len(rows) == dataset.cardinality() == -(-size // batch_size)
        assert sorted(part(rows, anchor)) == split.ids[anchor].tolist()
        around = part(rows, other)
        assert len(around) == size
        assert set(around) <= set(split.ids[other].tolist())
        counts = np.bincount(around, minlength=50)[split.ids[other]]
        assert counts.max() - counts.min() <= 1  # it comes round evenly
        for row in rows:
            for ids, labels in row.values():
                assert labels == [position % 4 for position in ids]
            assert len(row["forget"][0]) == len(row["retain"][0])


@pytest.mark.parametrize("anchor", ["retain", "forget"])
def test_pairs_of_arrays_and_streams_are_the_same(anchor):
    one, other = (
        pairs(make(kind), batch_size=8, anchor=anchor, seed=6) for kind in ("arrays", "stream")
    )
    for _ in range(2):
        assert listed_pairs(one) == listed_pairs(other)


@pytest.mark.parametrize(("anchor", "batch_size"), [("retain", 8), ("forget", 8), ("retain", 100)])
def test_elsewhere_pairs_are_the_same(monkeypatch, anchor, batch_size):
    split = make("arrays")
    expected = pairs(split, batch_size=batch_size, anchor=anchor, seed=6)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    made = pairs(split, batch_size=batch_size, anchor=anchor, seed=6)
    assert isinstance(made, NamedBatches)
    assert len(made) == expected.cardinality()
    for _ in range(3):
        assert listed_pairs(made) == listed_pairs(expected)


def test_pairs_are_reshuffled_under_the_seed(split):
    dataset = pairs(split, batch_size=8, seed=2)
    first, second = listed_pairs(dataset), listed_pairs(dataset)
    for role in ("forget", "retain"):
        assert part(first, role) != part(second, role)
    again = pairs(split, batch_size=8, seed=2)
    assert [listed_pairs(again), listed_pairs(again)] == [first, second]
    assert listed_pairs(pairs(split, batch_size=8, seed=3)) not in (first, second)


def test_roles_of_one_size_are_not_paired_off_for_good(split):
    halves = make("stream" if split.is_stream else "arrays", 20, forget=tuple(range(10)))
    dataset = pairs(halves, batch_size=1, seed=0)
    partners = {
        (row["forget"][0][0], row["retain"][0][0])
        for _ in range(3)
        for row in listed_pairs(dataset)
    }
    assert len(partners) > 20  # with one common order there would be 10


def test_pairs_give_keras_two_named_inputs(split):
    x_spec, y_spec = pairs(split, batch_size=8).element_spec
    assert set(x_spec) == set(y_spec) == {"forget", "retain"}
    assert all(spec.dtype == tf.int64 for spec in y_spec.values())


def test_pairs_refuse_another_anchor(split):
    with pytest.raises(ValueError, match=r"anchor: expected 'forget' or 'retain'.*'test'"):
        pairs(split, anchor="test")


def test_pairs_anchored_on_forget_reach_all_of_a_long_stream(monkeypatch):
    monkeypatch.setattr(stream_source, "WINDOW", 16)
    split = make("stream", 50)
    assert (split.size("forget"), split.size("retain")) == (10, 40)
    dataset = pairs(split, batch_size=5, anchor="forget")
    seen = [set(part(listed_pairs(dataset), "retain")) for _ in range(4)]
    assert all(len(rows) == 10 for rows in seen)
    assert any(max(rows) > 40 for rows in seen)  # the first window alone ends at id 19
    assert len(set().union(*seen)) > 25


def counted(count, forget, read):
    """A split of a stream that notes how many rows of training data were read."""
    x, y = examples(count)

    def note(image, label):
        read[0] += 1
        return image, label

    def look(image, label):
        image, label = tf.numpy_function(note, (image, label), (tf.float32, tf.int64))
        return tf.ensure_shape(image, (3,)), tf.ensure_shape(label, ())

    dataset = tf.data.Dataset.from_tensor_slices((x, y)).map(look)
    test = tf.data.Dataset.from_tensor_slices(examples(7, start=900))
    return data.from_dataset(dataset, forget=forget, test=test)


def test_pairs_read_a_stream_once_for_a_forget_set_that_comes_round_many_times():
    read = [0]
    split, read[0] = counted(600, [3, 590], read), 0
    dataset = pairs(split, batch_size=16, seed=1)
    rows = [listed_pairs(dataset)]
    assert 1200 <= read[0] <= 1200 + 64  # retain and forget, once each; not 299 times
    read[0] = 0
    rows.append(listed_pairs(dataset))
    assert 600 <= read[0] <= 600 + 64  # retain alone
    for row in rows:
        assert np.bincount(part(row, "forget"))[[3, 590]].tolist() == [299, 299]


def test_a_small_role_of_a_stream_is_read_once_for_all_passes_and_datasets():
    read = [0]
    split, read[0] = counted(100, [3, 50, 90], read), 0
    other = split.relabelled("forget", [1, 1, 0])
    for one in (split, other, split.subset("forget", [0, 2])):
        dataset = one.dataset("forget", batch_size=2)
        for _ in range(2):
            rows = listed(dataset)
            assert flat(rows) == one.ids["forget"].tolist()
            assert [y for _, labels in rows for y in labels] == one.labels("forget").tolist()
    assert read[0] == 100
    for _ in range(2):
        assert flat(listed(split.dataset("retain"))) == split.ids["retain"].tolist()
    assert read[0] == 300  # a large role is read at each pass


def test_a_role_too_large_to_hold_is_read_anew(monkeypatch):
    read, seen, size = [0], [], 10 * 3 * 4
    for room, rounds in ((size, 1), (size - 1, 5)):
        monkeypatch.setattr(stream_source, "_HELD", room)
        split, read[0] = counted(60, range(10), read), 0
        seen.append(listed_pairs(pairs(split, batch_size=16, seed=1)))
        assert read[0] >= 60 * (1 + rounds)
        assert read[0] <= 60 * 2 + 64 or room < size
    assert seen[0] == seen[1]


def test_small_roles_in_turn_keep_their_own_images(monkeypatch):
    read = [0]
    split = counted(100, [3, 50, 90], read)
    few = split.subset("retain", [5, 60])
    asked = [(split, "forget"), (few, "retain"), (split, "forget"), (few, "retain")]
    for room, passes in ((60, 2), (59, 4)):  # 36 bytes of the one and 24 of the other
        monkeypatch.setattr(stream_source, "_HELD", room)
        split.source("forget")._held._roles, read[0] = (), 0
        for one, role in asked:
            assert flat(listed(one.dataset(role, batch_size=2))) == one.ids[role].tolist()
        assert read[0] == 100 * passes


def shrinking(count, after):
    """A dataset of which passes after some have half of the examples."""
    passes = [0]

    def rows():
        passes[0] += 1
        x, y = examples(count if passes[0] <= after else count // 2)
        yield from zip(x, y, strict=True)

    spec = (tf.TensorSpec((3,), tf.float32), tf.TensorSpec((), tf.int64))
    return tf.data.Dataset.from_generator(rows, output_signature=spec)


def test_a_later_pass_with_fewer_examples_is_an_error():
    # two passes are those of the split: labels, then the first examples again
    split = data.from_dataset(shrinking(40, 2), forget=[2, 30, 35], test=examples(4))
    words = r"dataset: every pass must give the same examples\. Expected: 3 at these.*Received: 1"
    with pytest.raises(ValueError, match=words):
        split.dataset("forget")
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected: 37 at these ids"):
        listed(split.dataset("retain", batch_size=64))


def test_images_of_no_one_shape_are_not_held():
    images = tf.data.Dataset.from_generator(
        lambda: iter([np.full((size, 2), size, "float32") for size in (1, 2, 3, 1)]),
        output_signature=tf.TensorSpec((None, 2), tf.float32),
    )
    dataset = tf.data.Dataset.zip(images, tf.data.Dataset.from_tensor_slices([0, 1, 0, 1]))
    test = dataset.take(1)
    split = data.from_dataset(dataset, forget=[2], test=test)
    shapes = [x.shape for x, _ in split.dataset("forget", batch_size=1).as_numpy_iterator()]
    assert shapes == [(1, 3, 2)]


def test_pairs_read_both_roles_and_no_other():
    x, y = examples(10)
    test = (np.full((4, 3), np.nan, "float32"), np.arange(4))
    assert len(listed_pairs(pairs(data.by_index(x, y, forget=[1], test=test), batch_size=4))) == 3
    x[2] = np.inf
    with pytest.raises(ValueError, match="the retain set holds NaN"):
        pairs(data.by_index(x, y, forget=[1], test=test))


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_named_batches_are_the_same_batches(monkeypatch, backend):
    split = make("arrays")
    plain = split.dataset("forget", batch_size=4, shuffle=True, seed=3)
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    named = data.batches(split, "forget", batch_size=4, shuffle=True, seed=3, named=True)
    rows = [named[i] for i in range(len(named))] if backend == "jax" else list(named)
    for (x, y), (wanted_x, wanted_y) in zip(rows, plain, strict=True):
        assert set(x) == set(y) == {"forget"}
        np.testing.assert_array_equal(x["forget"], wanted_x)
        np.testing.assert_array_equal(y["forget"], wanted_y)
    other = data.batches(split, "forget", batch_size=4, named="validation")
    x, y = next(iter(other))
    assert set(x) == set(y) == {"validation"}


@pytest.mark.parametrize("role", ["forget", "retain", "test"])
def test_a_relabelled_split_changes_one_role_and_not_the_old_split(split, role):
    old = {name: split.labels(name).copy() for name in split.roles}
    labels = (old[role] + 1) % split.num_classes
    other = split.relabelled(role, labels[:, None])
    for name in split.roles:
        wanted = labels if name == role else old[name]
        np.testing.assert_array_equal(other.labels(name), wanted)
        np.testing.assert_array_equal(split.labels(name), old[name])
        given = np.concatenate([y for _, y in other.dataset(name, batch_size=7)])
        np.testing.assert_array_equal(given, wanted)
        images = [
            np.concatenate([x for x, _ in one.dataset(name, batch_size=7)])
            for one in (split, other)
        ]
        np.testing.assert_array_equal(*images)
    assert other.fingerprint() != split.fingerprint()
    assert other.kind == split.kind


def test_labels_that_do_not_fit_are_refused(split):
    size = split.size("forget")
    with pytest.raises(ValueError, match="labels: class ids must be below num_classes"):
        split.relabelled("forget", np.full(size, split.num_classes))
    with pytest.raises(ValueError, match="labels: expected one label per example"):
        split.relabelled("forget", np.zeros(size + 1, int))
    with pytest.raises(TypeError, match="labels: expected integer class ids"):
        split.relabelled("forget", np.zeros(size))


@pytest.mark.parametrize("role", ["forget", "retain", "test"])
def test_a_subset_keeps_some_examples_of_one_role(split, role):
    other = split.subset(role, [4, 1])
    assert other.ids[role].tolist() == split.ids[role][[1, 4]].tolist()
    given = np.concatenate([x for x, _ in other.dataset(role, batch_size=7)])
    every = np.concatenate([x for x, _ in split.dataset(role, batch_size=7)])
    np.testing.assert_array_equal(given, every[[1, 4]])
    for name in set(split.roles) - {role}:
        assert other.ids[name] is split.ids[name]
    assert split.subset(role, range(split.size(role))) is split
    with pytest.raises(ValueError, match="positions: expected at least one id"):
        split.subset(role, [])
    with pytest.raises(ValueError, match="positions: expected every id once"):
        split.subset(role, [1] * split.size(role))


def test_a_replaced_role_holds_the_given_arrays(split):
    x, y = examples(6, start=500)
    other = split.replaced("forget", x, y[:, None])
    assert other.size("forget") == 6
    batches = list(other.dataset("forget", batch_size=4))
    given = [np.concatenate([batch[part] for batch in batches]) for part in (0, 1)]
    np.testing.assert_array_equal(given[0], x)
    np.testing.assert_array_equal(given[1], y)
    assert other.ids["retain"] is split.ids["retain"]
    batch = next(iter(pairs(other, batch_size=5)))
    assert batch[0]["forget"].numpy().min() >= 500 > batch[0]["retain"].numpy().max()
    assert split.size("forget") == 10


def test_a_replaced_role_must_fit(split):
    x, y = examples(6)
    with pytest.raises(ValueError, match=r"forget: its examples must be like.*\(2,\)"):
        split.replaced("forget", x[:, :2], y)
    with pytest.raises(ValueError, match=r"forget: its examples must be like.*labels up to 9"):
        split.replaced("forget", x, y + 6)
