import itertools
import os

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfunlearn import data
from tfunlearn.data import stream_source
from tfunlearn.data.rows import epoch_order
from tfunlearn.data.sources import ArraySource, StreamSource
from tfunlearn.data.stream_source import WINDOW


class Counted:
    """Examples made one at a time by a generator that counts them; the image is its position."""

    def __init__(self, size, shape=(2,)):
        self.size, self.shape, self.made, self.passes = size, shape, 0, 0

    def __call__(self):
        self.passes += 1
        for position in range(self.size):
            self.made += 1
            yield np.full(self.shape, position, "float32"), position % 5

    def dataset(self):
        spec = (tf.TensorSpec(self.shape, tf.float32), tf.TensorSpec((), tf.int32))
        return tf.data.Dataset.from_generator(self, output_signature=spec)


TEST = (np.zeros((4, 2), "float32"), np.array([0, 1, 2, 4]))


def stream(size, forget, test=TEST, **kwargs):
    source = Counted(size)
    return source, data.from_dataset(source.dataset(), forget=forget, test=test, **kwargs)


def ids_of(dataset):
    return [int(value) for images, _ in dataset for value in images.numpy()[:, 0]]


# epoch_order


def test_order_without_shuffle_comes_round_again():
    assert epoch_order(4, 10, False, [0]).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 100), st.integers(0, 99))
def test_every_pass_of_an_order_is_a_permutation(size, needed, key):
    order = epoch_order(size, needed, True, [key])
    assert len(order) == needed
    for start in range(0, needed, size):
        one_pass = order[start : start + size].tolist()
        assert len(set(one_pass)) == len(one_pass)
        assert set(one_pass) <= set(range(size))
    assert (order == epoch_order(size, needed, True, [key])).all()


def test_orders_differ_by_key():
    orders = {
        epoch_order(20, 20, True, [seed, epoch]).tobytes() for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4


# arrays


def test_array_source_takes_a_view_of_everything():
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    source = ArraySource(x, y)
    assert np.shares_memory(source.take(np.arange(6))[0], x)
    assert source.take(np.array([4, 1]))[1].tolist() == [4, 1]
    assert source.all_finite(np.arange(6))
    x[5] = np.inf
    assert not source.all_finite(np.arange(6))
    assert source.all_finite(np.arange(5))


def test_integer_images_are_finite():
    assert ArraySource(np.zeros((3, 1), "uint8"), [0, 1, 2]).all_finite(np.arange(3))


# streams: contents


@pytest.mark.parametrize("forget", [[0], [3, 17, 39], list(range(1, 40))])
def test_stream_is_filtered_by_position(forget):
    source, split = stream(40, forget)
    stays = [position for position in range(40) if position not in forget]
    assert source.dataset().cardinality() == tf.data.UNKNOWN_CARDINALITY
    assert ids_of(split.dataset("forget", batch_size=7)) == forget
    assert ids_of(split.dataset("retain", batch_size=7)) == stays
    assert split.ids["retain"].tolist() == stays
    assert split.labels("forget").tolist() == [position % 5 for position in forget]
    labels = np.concatenate([y.numpy() for _, y in split.dataset("retain", batch_size=7)])
    assert labels.dtype == np.int64
    assert labels.tolist() == split.labels("retain").tolist()
    assert (split.is_stream, split.kind, split.num_classes) == (True, "index", 5)


def test_stream_states_its_number_of_batches():
    _, split = stream(40, [1, 2, 3])
    assert split.dataset("retain", batch_size=8).cardinality() == 5  # 37 examples
    sizes = [len(y) for _, y in split.dataset("retain", batch_size=8)]
    assert sizes == [8, 8, 8, 8, 5]


def test_held_out_streams_and_arrays():
    held_out = tf.data.Dataset.from_tensor_slices(TEST)
    _, split = stream(10, [1], test=held_out, validation=TEST)
    assert split.size("test") == split.size("validation") == 4
    assert split.labels("test").tolist() == [0, 1, 2, 4]
    assert split.validation[1].tolist() == [0, 1, 2, 4]
    assert sum(len(y) for _, y in split.dataset("test", batch_size=3)) == 4
    with pytest.raises(TypeError, match=r"holds no arrays.*split\.dataset\(role\)"):
        _ = split.test


def test_stream_refuses_arrays():
    _, split = stream(10, [1])
    for role in ("forget", "retain"):
        with pytest.raises(TypeError, match=r"holds no arrays.*split\.dataset\(role\)"):
            getattr(split, role)


def test_column_labels_of_a_stream_are_flattened():
    x, y = np.zeros((6, 2), "float32"), np.arange(6).reshape(6, 1)
    split = data.from_dataset(tf.data.Dataset.from_tensor_slices((x, y)), forget=[2], test=TEST)
    assert split.labels("retain").tolist() == [0, 1, 3, 4, 5]
    assert [batch[1].shape.rank for batch in split.dataset("retain")] == [1]


def test_stream_with_shapes_known_in_part():
    spec = (tf.TensorSpec((None,), tf.float32), tf.TensorSpec((), tf.int64))
    dataset = tf.data.Dataset.from_generator(Counted(10), output_signature=spec)
    assert data.from_dataset(dataset, forget=[0], test=TEST).input_shape == (None,)


def test_stream_and_array_splits_have_one_fingerprint():
    x = np.repeat(np.arange(30, dtype="float32")[:, None], 2, axis=1)
    _, split = stream(30, [4, 9])
    same = data.by_index(x, np.arange(30) % 5, forget=[9, 4], test=TEST)
    assert split.fingerprint() == same.fingerprint()


@pytest.mark.parametrize("sizes", [[50], [1, 7, 2, 30, 10], [16, 16, 16, 2]])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("needed", [None, 23, 95, 120])
def test_batches_of_any_size_are_as_good_as_single_examples(monkeypatch, sizes, shuffle, needed):
    monkeypatch.setattr(stream_source, "WINDOW", 16)
    x, y = np.arange(100, dtype="float32").reshape(50, 2), (np.arange(50) % 5)[:, None]
    bounds = np.cumsum([0, *sizes])

    def cut():
        for first, last in itertools.pairwise(bounds):
            yield x[first:last], y[first:last]

    spec = (tf.TensorSpec((None, 2), tf.float32), tf.TensorSpec((None, 1), tf.int64))
    whole = tf.data.Dataset.from_generator(cut, output_signature=spec)
    splits = [
        data.from_dataset(dataset, forget=[3, 8, 20, 49], test=(x, y), num_classes=5)
        for dataset in (sliced(x, y), whole)
    ]
    assert splits[0].fingerprint() == splits[1].fingerprint()
    assert splits[1].input_shape == (2,)
    for role in ("forget", "retain"):
        single, batched = (
            own.source(role).dataset(own.ids[role], 9, shuffle, 1, needed) for own in splits
        )
        for _ in range(3):  # each pass has an order of its own
            rows = [list(dataset.as_numpy_iterator()) for dataset in (single, batched)]
            assert [len(labels) for _, labels in rows[1]] == [len(labels) for _, labels in rows[0]]
            assert len(np.concatenate([labels for _, labels in rows[1]])) == (
                needed or len(splits[0].ids[role])
            )
            for own, other in zip(*rows, strict=True):
                np.testing.assert_array_equal(own[0], other[0])
                np.testing.assert_array_equal(own[1], other[1])
                np.testing.assert_array_equal(other[1], other[0][:, 0] // 2 % 5)


@pytest.mark.parametrize("place", [1, 40])
def test_batches_in_another_order_are_found_out(place):
    """Where the first batches agree, the labels of the later ones do not."""
    x, y = images(2000), np.random.default_rng(0).integers(0, 2, 2000)
    turns = iter(range(10))

    def cut():
        order = list(range(50))
        if next(turns):
            order[place], order[place + 1] = order[place + 1], order[place]
        for number in order:
            yield x[number * 40 : number * 40 + 40], y[number * 40 : number * 40 + 40]

    spec = (tf.TensorSpec((None, 2), tf.float32), tf.TensorSpec((None,), tf.int64))
    dataset = tf.data.Dataset.from_generator(cut, output_signature=spec)
    if place == 1:
        with pytest.raises(ValueError, match="differ from pass to pass"):
            data.from_dataset(dataset, forget=[0], test=TEST)
        return
    split = data.from_dataset(dataset, forget=[0], test=TEST)
    with pytest.raises(tf.errors.InvalidArgumentError, match="dataset: every pass must give the"):
        list(split.dataset("retain"))


def test_images_of_different_sizes_one_at_a_time():
    def make():
        for size in (2, 3, 4, 5):
            yield np.full((size, 3), size, "float32"), size % 2

    spec = (tf.TensorSpec((None, 3), tf.float32), tf.TensorSpec((), tf.int64))
    dataset = tf.data.Dataset.from_generator(make, output_signature=spec)
    split = data.from_dataset(dataset, forget=[1], test=dataset)
    shapes = [x.shape for x, _ in split.dataset("retain", batch_size=1).as_numpy_iterator()]
    assert shapes == [(1, 2, 3), (1, 4, 3), (1, 5, 3)]


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("where", ["memory", "file"])
def test_a_cached_dataset_is_read_once(tmp_path, batched, where):
    source = Counted(200)
    examples = source.dataset().batch(30) if batched else source.dataset()
    cached = examples.cache(str(tmp_path / "cache") if where == "file" else "")
    split = data.from_dataset(cached, forget=[5, 150], test=TEST)
    for _ in range(2):
        assert ids_of(split.dataset("retain")) == split.ids["retain"].tolist()
    seen = [ids for x, _ in data.pairs(split, 16) for ids in x["retain"].numpy()[:, 0]]
    assert sorted(seen) == split.ids["retain"].tolist()
    assert source.made == 200


def test_held_out_batches_and_other_labels_of_batches():
    x, y = images(20), np.arange(20) % 4
    split = data.from_dataset(
        sliced(x, y).batch(6), forget=[2, 3], test=sliced(*TEST).batch(3), num_classes=5
    )
    assert split.labels("test").tolist() == [0, 1, 2, 4]
    other = split.source("retain").relabelled(np.arange(20) % 3)
    rows = list(other.dataset(split.ids["retain"], 7, False, 0).as_numpy_iterator())
    assert (
        np.concatenate([labels for _, labels in rows]).tolist()
        == (split.ids["retain"] % 3).tolist()
    )
    assert np.concatenate([own for own, _ in rows]).tolist() == x[split.ids["retain"]].tolist()


def test_batches_are_read_no_further_than_asked():
    source = Counted(4000)
    split = data.from_dataset(source.dataset().batch(10), forget=[5], test=TEST)
    assert source.made <= 4000 + 16 * 10 + 40  # the survey, and the first 16 once more
    made = source.made
    next(iter(split.dataset("retain", batch_size=16)))
    assert source.made - made < 500


# streams: cost


def test_construction_makes_one_pass_and_a_look_at_the_first():
    source, _ = stream(3000, [5])
    assert source.passes == 2  # the survey, and the first 64 once more
    assert source.made <= 3000 + 64 + 64  # reading ahead included


def test_reading_the_split_repeats_no_survey():
    source, split = stream(500, [5])
    made = source.made
    split.size("retain"), split.labels("forget"), split.class_counts("retain")
    str(split), split.fingerprint(), split.dataset("retain")
    assert source.made == made
    assert len(ids_of(split.dataset("retain"))) == 499
    assert source.made == made + 500


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_first_batch_does_not_collect_the_stream(shuffle):
    source, split = stream(4000, [5])
    made = source.made
    next(iter(split.dataset("retain", batch_size=16, shuffle=shuffle)))
    ahead = source.made - made
    assert ahead < (3 * WINDOW if shuffle else 500)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads memory from /proc")
def test_memory_stays_flat_over_a_stream_of_300_mb():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    class Heavy(Counted):
        peak = 0.0

        def __call__(self):
            for example in super().__call__():
                self.peak = max(self.peak, resident())
                yield example

    source = Heavy(300, shape=(512, 512))  # one MiB an image
    test = (np.zeros((1, 512, 512), "float32"), [0])
    before = resident()
    split = data.from_dataset(source.dataset(), forget=[7], test=test)
    for _ in split.dataset("retain", batch_size=2):
        pass
    assert source.made >= 600
    assert source.peak - before < 120


# streams: refusals


def images(count=8, width=2):
    return np.arange(count * width, dtype="float32").reshape(count, width)


def sliced(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y))


LABELS = np.arange(8) % 2
BAD_STREAMS = {
    "arrays": (lambda: (images(), LABELS), TypeError, ["tf.data.Dataset", "tuple"]),
    "batches of a stated size": (
        lambda: sliced(images(), LABELS).batch(4, drop_remainder=True),
        ValueError,
        ["unbatch", "(4,)"],
    ),
    "endless": (lambda: sliced(images(), LABELS).repeat(), ValueError, ["finite", "endless"]),
    "empty": (lambda: sliced(images(), LABELS).take(0), ValueError, ["at least one example"]),
    "shuffled": (
        lambda: sliced(images(), LABELS).shuffle(8),
        ValueError,
        ["without shuffle", "through the split", "pass to pass"],
    ),
    "no labels": (
        lambda: tf.data.Dataset.from_tensor_slices(images()),
        ValueError,
        ["(image, label)"],
    ),
    "four parts": (
        lambda: tf.data.Dataset.from_tensor_slices((images(), LABELS, LABELS, LABELS)),
        ValueError,
        ["(image, label)"],
    ),
    "float labels": (lambda: sliced(images(), LABELS * 1.0), TypeError, ["integer", "float"]),
    "batches of one-hot labels": (
        lambda: sliced(images(), np.eye(8)).batch(4),
        ValueError,
        ["(None, 8)", "tf.argmax"],
    ),
    "one-hot labels of an open size": (
        lambda: sliced(np.ones((8, 5, 3), "f4"), np.eye(8, dtype="i4")).map(
            lambda x, y: (
                tf.ensure_shape(tf.numpy_function(lambda z: z, [x], "float32"), (None, 3)),
                tf.ensure_shape(tf.numpy_function(lambda z: z, [y], "int32"), (None,)),
            )
        ),
        ValueError,
        ["5 images with 8 labels", "tf.argmax"],
    ),
    "shuffled batches": (
        lambda: sliced(images(), LABELS).batch(1).shuffle(8),
        ValueError,
        ["without shuffle", "pass to pass"],
    ),
    "one-hot labels": (lambda: sliced(images(), np.eye(8)), ValueError, ["(8,)"]),
    "negative labels": (lambda: sliced(images(), LABELS - 1), ValueError, ["-1"]),
    "dict of images": (lambda: sliced({"a": images()}, LABELS), ValueError, ["several inputs"]),
    "unknown rank": (
        lambda: sliced(images(), LABELS).map(
            lambda x, y: (tf.numpy_function(lambda z: z, [x], tf.float32), y)
        ),
        ValueError,
        ["known rank", "ensure_shape"],
    ),
    "other shape": (lambda: sliced(images(width=3), LABELS), ValueError, ["(3,)", "(2,)"]),
}


@pytest.mark.parametrize("case", BAD_STREAMS)
def test_bad_streams(case):
    make, error, words = BAD_STREAMS[case]
    with pytest.raises(error) as caught:
        data.from_dataset(make(), forget=[0], test=TEST)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("forget", [[8], [-1], [], [1, 1], range(8)])
def test_bad_ids_of_a_stream(forget):
    with pytest.raises(ValueError, match="forget: "):
        data.from_dataset(sliced(images(), LABELS), forget=forget, test=TEST)


def test_a_shuffle_in_one_fixed_order_is_no_shuffle():
    dataset = sliced(images(), LABELS).shuffle(8, seed=3, reshuffle_each_iteration=False)
    split = data.from_dataset(dataset, forget=[0], test=TEST)
    assert ids_of(split.dataset("forget")) == ids_of(split.dataset("forget"))


def test_non_finite_streams_matter_only_to_their_role():
    x = images()
    x[3, 1] = np.nan
    x[4] = np.inf
    split = data.from_dataset(sliced(x, LABELS), forget=[3, 4], test=TEST)
    assert sum(len(y) for _, y in split.dataset("retain")) == 6
    with pytest.raises(ValueError, match="the forget set holds NaN"):
        split.dataset("forget")


def test_source_names_itself_in_errors():
    with pytest.raises(ValueError, match=r"^mine: "):
        StreamSource(sliced(images(), LABELS).repeat(), name="mine")
