"""Exact copies of forgotten examples: found in arrays and streams, counted, taken along or kept."""

import collections
import warnings

import numpy as np
import pytest

from tfunlearn import data
from tfunlearn.data.duplicates import period
from tfunlearn.data.row_hash import row_hashes

tf = pytest.importorskip("tensorflow")


def table(dtype="float32", width=5, count=400, seed=0):
    """Rows of few values, so that many have copies, and some under another label."""
    numbers = np.random.default_rng(seed)
    values = numbers.integers(0, 3, (count, width)).astype(dtype)
    return values, numbers.integers(0, 2, count)


def by_hand(x, y, forget):
    """The copies of forgotten rows and how many have another label, by a look at all pairs."""
    labels = collections.defaultdict(set)
    for i in forget:
        labels[x[i].tobytes()].add(int(y[i]))
    ids = [i for i in range(len(x)) if i not in set(forget) and x[i].tobytes() in labels]
    return ids, sum(int(y[i]) not in labels[x[i].tobytes()] for i in ids)


def made(x, y, forget, stream=False, **options):
    if not stream:
        return data.by_index(x, y, forget=forget, test=(x[:9], y[:9]), **options)
    rows = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    return data.from_dataset(rows, forget=forget, test=(x[:9], y[:9]), **options)


DTYPES = ["float32", "float64", "float16", "uint8", "int64", "bool"]


@pytest.mark.parametrize("stream", [False, True], ids=["arrays", "stream"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_a_look_at_all_pairs(dtype, stream):
    x, y = table(dtype, width=5 if dtype != "bool" else 7)
    forget = [0, 7, 123, 399]
    ids, other = by_hand(x, y, forget)
    assert len(ids) > other > 0
    with pytest.warns(data.DuplicateWarning, match=f"{len(ids)} exact duplicates of forgotten"):
        split = made(x, y, forget, stream)
    assert split.duplicates.ids.tolist() == ids
    assert split.duplicates.other_label == other
    assert split.ids["forget"].tolist() == forget


@pytest.mark.parametrize("stream", [False, True], ids=["arrays", "stream"])
def test_forget_takes_them_along_and_keep_says_nothing(stream):
    x, y = table()
    forget = [0, 7, 123, 399]
    ids, _ = by_hand(x, y, forget)
    taken = made(x, y, forget, stream, duplicates="forget")
    assert taken.ids["forget"].tolist() == sorted([*forget, *ids])
    assert taken.duplicates.taken.tolist() == ids
    assert not len(taken.duplicates.ids)
    assert taken.size("forget") + taken.size("retain") == len(x)
    kept = made(x, y, forget, stream, duplicates="keep")
    assert kept.ids["forget"].tolist() == forget
    assert kept.duplicates.ids.tolist() == ids
    assert not kept.duplicates.note()
    assert f"Duplicates: {len(ids)} exact duplicates of forgotten examples" in str(kept)
    assert f"Duplicates: {len(ids)} exact duplicates of forgotten examples were taken" in str(taken)


def test_every_constructor():
    x, y = np.repeat(np.arange(40.0).reshape(20, 2), 2, axis=0), np.repeat(np.arange(20) % 2, 2)
    test = x[:4], y[:4]
    groups = np.arange(40)
    options = {"test": test, "duplicates": "forget"}
    assert data.by_group(x, y, groups, forget=[4, 9], **options).ids["forget"].tolist() == [
        4,
        5,
        8,
        9,
    ]
    drawn = data.random(x, y, fraction=0.1, **options).ids["forget"]
    assert drawn.tolist() == sorted({*drawn.tolist(), *(drawn ^ 1).tolist()})
    part = data.by_class(x, y, classes=[1], fraction=0.2, **options).ids["forget"]
    assert part.tolist() == sorted({*part.tolist(), *(part ^ 1).tolist()})
    for make in (
        lambda: data.by_group(x, y, groups, forget=[4, 9], test=test),
        lambda: data.random(x, y, test=test, seed=1),
        lambda: data.by_class(x, y, classes=[1], fraction=0.2, test=test),
    ):
        with pytest.warns(data.DuplicateWarning, match="stay in the retain set") as found:
            make()
        assert found[0].filename == __file__  # the line that can be mended
    data.by_class(x, y, classes=[1], test=test)  # a whole class has none of its own outside


def test_what_equal_means():
    """Bytes decide: NaNs of the same bits are equal, 0.0 and -0.0 are not."""
    x = np.array([[np.nan, 1], [np.nan, 1], [0.0, 2], [-0.0, 2], [3, 4]], "float32")
    y = np.array([0, 1, 0, 0, 1])
    split = data.by_index(x, y, forget=[0, 2], test=(x[2:], y[2:]), duplicates="keep")
    assert split.duplicates.ids.tolist() == [1]
    assert split.duplicates.other_label == 1
    same = np.zeros((6, 3))
    plain = data.by_index(same, y[[0, 1, 0, 1, 0, 1]], forget=[0], test=(same, np.arange(6) % 2))
    assert not len(plain.duplicates.ids)  # inputs that are all one say nothing


def test_images_of_unknown_sizes():
    shapes = [(2, 3), (3, 2), (2, 3), (1, 6), (2, 3), (3, 2)]
    images = [np.arange(6, dtype="uint8").reshape(shape) for shape in shapes]
    images[4] = images[4] + 1

    def rows():
        yield from zip(images, [0, 1, 1, 0, 1, 1], strict=True)

    spec = tf.TensorSpec((None, None), tf.uint8), tf.TensorSpec((), tf.int64)
    stream = tf.data.Dataset.from_generator(rows, output_signature=spec)
    split = data.from_dataset(stream, forget=[0, 1], test=stream, duplicates="keep")
    assert split.duplicates.ids.tolist() == [2, 5]
    assert split.duplicates.other_label == 1


def test_what_would_leave_nothing_is_refused():
    x, y = np.repeat([[0.0], [1.0]], 3, axis=0), np.arange(6) % 2
    with pytest.raises(ValueError, match=r"duplicates: at least one.*2 to forget and 4 copies"):
        data.by_index(x, y, forget=[0, 3], test=(x, y), duplicates="forget")
    with pytest.raises(ValueError, match=r"duplicates: what becomes.*Received: 'drop'"):
        data.by_index(x, y, forget=[0, 3], test=(x, y), duplicates="drop")


def examples(count=50):
    numbers = np.random.default_rng(1)
    x = numbers.normal(size=(count, 3)).astype("float32")
    return x, numbers.integers(0, 2, count), tf.data.Dataset.from_tensor_slices


REPEATED = {
    "repeat": lambda rows: rows.repeat(2).batch(32),
    "single": lambda rows: rows.repeat(3),
    "batches": lambda rows: rows.batch(32).repeat(2),
    "concatenated": lambda rows: rows.concatenate(rows).batch(8),
    "broken off": lambda rows: rows.repeat().take(75).batch(8),
    "dropped": lambda rows: rows.repeat(2).batch(32, drop_remainder=True).unbatch(),
    "cached": lambda rows: rows.shuffle(50, seed=1, reshuffle_each_iteration=False).repeat(2),
}


@pytest.mark.parametrize("kind", REPEATED)
def test_a_repeated_stream_is_refused(kind):
    x, y, slices = examples()
    stream = REPEATED[kind](slices((x, y)))
    with pytest.raises(ValueError, match=r"first 50 examples come again.*drop .repeat\(") as error:
        data.from_dataset(stream, forget=[0, 5], test=(x[:9], y[:9]))
    assert "times the first 50" in str(error.value)
    kept = data.from_dataset(stream, forget=[0, 5], test=(x[:9], y[:9]), duplicates="keep")
    count = kept.size("forget") + kept.size("retain")
    assert kept.duplicates.ids.tolist() == [i for i in range(count) if i % 50 in (0, 5) and i > 5]


def test_a_generator_without_an_end_is_refused():
    x, y, _ = examples()

    def rows():
        while True:
            yield x, y

    spec = tf.TensorSpec((None, 3)), tf.TensorSpec((None,), tf.int64)
    stream = tf.data.Dataset.from_generator(rows, output_signature=spec)
    with pytest.raises(ValueError, match=r"first 50 examples come again.*drop"):
        data.from_dataset(stream, forget=[0, 5], test=(x[:9], y[:9]))


def test_what_is_no_repetition():
    x, y, slices = examples()
    oversampled = slices((x[:5], y[:5])).repeat(4).concatenate(slices((x[5:], y[5:]))).batch(16)
    with pytest.warns(data.DuplicateWarning, match="3 exact duplicates of forgotten"):
        data.from_dataset(oversampled, forget=[0], test=(x[:9], y[:9]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.from_dataset(slices((x, y)).batch(16), forget=[0], test=(x[:9], y[:9]))
    one = np.zeros(8, "uint64")
    assert period(one, np.arange(8) % 2) == 0  # inputs that are all one say nothing
    sorted_rows = np.repeat(np.arange(4, dtype="uint64"), 25)
    assert period(sorted_rows, np.zeros(100, int)) == 0


@pytest.mark.parametrize("shape", [(7,), (3, 3), (8,), (2, 2, 4), (1,)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "complex64", "<U3"])
def test_numbers_of_rows_tell_bytes_apart(shape, dtype):
    """Also where rows differ in one value alone, and are not side by side in memory."""
    base = np.zeros((1, *shape), dtype)
    rows = np.repeat(base, 40, axis=0)
    flat = rows.reshape(40, -1)
    flat[np.arange(40), np.arange(40) % flat.shape[1]] = (np.arange(40) // 2).astype(dtype)
    told = row_hashes(rows)
    assert len(set(told.tolist())) == len({row.tobytes() for row in rows})
    apart = np.asfortranarray(rows)
    np.testing.assert_array_equal(row_hashes(apart), told)
    np.testing.assert_array_equal(row_hashes(np.repeat(rows, 2, axis=0)[::2]), told)


def test_scenarios_and_relabelled_splits_make_no_notes():
    scenario = data.scenarios.mislabelled(limit=200)
    assert not scenario.split.duplicates.note()
    x, y = table()
    split = data.by_index(x, y, forget=[0, 7], test=(x[:9], y[:9]), duplicates="forget")
    other = split.relabelled("forget", 1 - split.labels("forget"))
    assert other.duplicates is split.duplicates
    noise = split.replaced("forget", x[:3] + 5, y[:3])
    assert not noise.duplicates.sentence()
