import numpy as np
import pytest

from tfunlearn.data.labels import check_ids, check_labels


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint64", "int64"])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_labels_become_a_row_of_int64(dtype, shape):
    labels = check_labels(np.array([2, 0, 5], dtype).reshape(shape), count=3)
    assert labels.dtype == np.int64
    assert labels.shape == (3,)
    assert labels.tolist() == [2, 0, 5]


def test_int64_labels_are_not_copied():
    given = np.array([1, 0, 1])
    assert np.shares_memory(check_labels(given, 3), given)


@pytest.mark.parametrize(
    ("labels", "count", "error", "words"),
    [
        (np.eye(3, dtype=int), 3, ValueError, ["one-hot", "(3, 3)", "argmax"]),
        (np.zeros((2, 1, 1), int), 2, ValueError, ["(N,)", "(2, 1, 1)"]),
        (np.int64(3), 1, ValueError, ["(N,)", "()"]),
        ([0.0, 1.0], 2, TypeError, ["integer", "float64", "astype"]),
        ([[0.0], [1.0]], 2, TypeError, ["integer", "float64"]),
        ([True, False], 2, TypeError, ["integer", "bool"]),
        (["cat", "dog"], 2, TypeError, ["integer", "<U3"]),
        ([0, 1, 2], 2, ValueError, ["Expected: 2", "Received: 3"]),
        ([0, -2, 1], 3, ValueError, ["start at 0", "-2", "example 1"]),
        (np.zeros(0, int), 0, ValueError, ["at least one example"]),
    ],
)
def test_bad_labels(labels, count, error, words):
    with pytest.raises(error) as caught:
        check_labels(labels, count, "labels_of_mine")
    for word in ["labels_of_mine", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "ids",
    [[7, 0, 3], (7, 0, 3), np.array([3, 7, 0], "uint8"), {7, 3, 0}, frozenset({0, 7, 3})],
)
def test_ids_are_sorted_int64(ids):
    checked = check_ids(ids, count=8)
    assert checked.dtype == np.int64
    assert checked.tolist() == [0, 3, 7]


def test_range_of_ids():
    assert check_ids(range(2, 8, 2), count=8).tolist() == [2, 4, 6]


def test_given_ids_are_not_changed():
    given = np.array([5, 1, 3])
    check_ids(given, 8)
    assert given.tolist() == [5, 1, 3]


@pytest.mark.parametrize(
    ("ids", "error", "words"),
    [
        ([], ValueError, ["at least one id"]),
        ([[1, 2]], ValueError, ["row of ids", "(1, 2)"]),
        ([1.0], TypeError, ["integer", "float64"]),
        ([True, False, True], TypeError, ["bool", "np.flatnonzero(mask)"]),
        ([8], ValueError, ["0 to 7", "Received: 8"]),
        ([0, -1], ValueError, ["0 to 7", "Received: -1"]),
        ([1, 2, 1, 1], ValueError, ["1 more than once", "2 repetitions"]),
        (np.arange(8), ValueError, ["must stay", "at most 7", "all 8"]),
    ],
)
def test_bad_ids(ids, error, words):
    with pytest.raises(error) as caught:
        check_ids(ids, count=8, name="mine")
    for word in ["mine", *words]:
        assert word in str(caught.value)
