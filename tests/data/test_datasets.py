import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from tfunlearn.data import datasets

KEYS = ("x_train", "y_train", "x_test", "y_test")


def contents(column=False):
    x, y = np.arange(24, dtype="uint8").reshape(6, 2, 2), np.array([0, 1, 2, 0, 1, 2], "uint8")
    y = y[:, None] if column else y
    return dict(zip(KEYS, (x[:4], y[:4], x[4:], y[4:]), strict=True))


def save(path, **changes):
    arrays = contents() | changes
    np.savez_compressed(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def check(loaded):
    (x, y), (x_test, y_test) = loaded
    assert x.dtype == np.uint8
    assert y.dtype == y_test.dtype == np.int64
    assert x.ravel().tolist() == list(range(16))
    assert x_test.ravel().tolist() == list(range(16, 24))
    assert (y.tolist(), y_test.tolist()) == ([0, 1, 2, 0], [1, 2])


@pytest.fixture
def no_variable(monkeypatch):
    monkeypatch.delenv("TFUNLEARN_DATA_DIR", raising=False)


@pytest.fixture
def offline(monkeypatch, no_variable):
    def refuse(*args, **kwargs):
        raise Exception("URL fetch failure on https://example.org")  # as Keras does

    for name in ("mnist", "fashion_mnist", "cifar10"):
        monkeypatch.setattr(getattr(keras.datasets, name), "load_data", refuse)


@pytest.mark.parametrize("column", [False, True])
def test_from_a_file_of_ones_own(tmp_path, column):
    path = save(tmp_path / "mine.npz", **contents(column))
    check(datasets.load(path))
    check(datasets.load(str(path)))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_from_data_dir(tmp_path, offline, name):
    save(tmp_path / f"{name}.npz")
    check(datasets.load(name, data_dir=tmp_path))
    check(datasets.load(name, str(tmp_path)))


def test_from_the_variable(tmp_path, offline, monkeypatch):
    save(tmp_path / "mnist.npz")
    monkeypatch.setenv("TFUNLEARN_DATA_DIR", str(tmp_path))
    check(datasets.load("mnist"))


def test_data_dir_comes_before_the_variable(tmp_path, offline, monkeypatch):
    (tmp_path / "named").mkdir()
    save(tmp_path / "named" / "mnist.npz")
    (tmp_path / "mnist.npz").write_bytes(b"not this one")
    monkeypatch.setenv("TFUNLEARN_DATA_DIR", str(tmp_path))
    check(datasets.load("mnist", data_dir=tmp_path / "named"))


def test_home_folder_is_understood(tmp_path, offline, monkeypatch):
    (tmp_path / "named").mkdir()
    save(tmp_path / "named" / "mnist.npz")
    monkeypatch.setenv("HOME", str(tmp_path))
    check(datasets.load("mnist", data_dir="~/named"))
    check(datasets.load("~/named/mnist.npz"))
    monkeypatch.setenv("TFUNLEARN_DATA_DIR", "~/named")
    check(datasets.load("mnist"))


@pytest.mark.parametrize("column", [False, True])
def test_keras_is_asked_last(monkeypatch, no_variable, column):
    rows = list(contents(column).values())
    monkeypatch.setattr(
        keras.datasets.cifar10, "load_data", lambda: (tuple(rows[:2]), tuple(rows[2:]))
    )
    check(datasets.load("cifar10"))


def test_keras_is_not_asked_when_the_file_is_there(tmp_path, offline):
    save(tmp_path / "cifar10.npz", y_test=None)
    with pytest.raises(ValueError, match="y_test"):  # a damaged file is not papered over
        datasets.load("cifar10", tmp_path)


def test_offline_and_absent_says_which_file_to_put_where(tmp_path, offline, monkeypatch):
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load("mnist", tmp_path)
    for word in ("mnist: not on this machine", str(tmp_path / "mnist.npz"), *KEYS):
        assert word in str(caught.value)
    monkeypatch.setenv("TFUNLEARN_DATA_DIR", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError, match=r"absent/mnist.npz"):
        datasets.load("mnist")
    monkeypatch.delenv("TFUNLEARN_DATA_DIR")
    with pytest.raises(FileNotFoundError, match=r"mnist\.npz \(and name the folder in TFUNLEARN"):
        datasets.load("mnist")


def test_data_dir_must_be_a_folder(tmp_path, offline):
    with pytest.raises(FileNotFoundError, match=r"data_dir: expected an existing folder.*'.*gone'"):
        datasets.load("mnist", tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="data_dir"):
        datasets.load("mnist", save(tmp_path / "mnist.npz"))


def test_unknown_name():
    with pytest.raises(ValueError, match=r"name: expected one of digits, mnist.*Received: 'svhn'"):
        datasets.load("svhn")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path: .*gone\.npz.*not there"):
        datasets.load(tmp_path / "gone.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(FileNotFoundError, match=r"folder\.npz"):
        datasets.load(tmp_path / "folder.npz")


@pytest.mark.parametrize("left", [0, 10, 0.5, 0.9, -1])
def test_truncated_file(tmp_path, left):
    noise = np.random.default_rng(0).integers(0, 255, (4, 900), "uint8")
    path = save(tmp_path / "cut.npz", x_train=noise)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole)) if isinstance(left, float) else left])
    with pytest.raises(ValueError, match=r"path: .*cut\.npz.*cannot be used"):
        datasets.load(path)


def test_damaged_inside(tmp_path):
    path = save(
        tmp_path / "bad.npz",
        x_train=np.random.default_rng(0).integers(0, 255, (4, 900), "uint8"),
    )
    whole = bytearray(path.read_bytes())
    for position in range(300, 1500, 7):
        whole[position] ^= 0x5A
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="cannot be used"):
        datasets.load(path)


def test_not_an_archive(tmp_path):
    path = tmp_path / "text.npz"
    path.write_text("x_train,y_train\n1,2\n")
    with pytest.raises(ValueError, match="cannot be used"):
        datasets.load(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"cannot be used.*single array"):
        datasets.load(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_train": None, "y": np.zeros(4, int)}, ["['y_train'] are missing", "'y'"]),
        (dict.fromkeys(KEYS) | {"images": np.zeros(2)}, ["x_train", "holds ['images']"]),
        ({"x_train": np.array([{}, [1]], object)}, ["none of them pickled"]),
        ({"y_test": np.array([1, None], object)}, ["none of them pickled"]),
        ({"y_train": np.zeros(3, int)}, ["y_train", "(4,)", "(3,)"]),
        ({"y_test": np.zeros(2)}, ["y_test", "integers", "float64"]),
        ({"y_train": np.eye(4) / 2}, ["y_train", "(4, 4)"]),
        ({"y_train": np.eye(4, dtype=int)[::-1] + np.eye(4, dtype=int)}, ["y_train", "(4, 4)"]),
        ({"x_train": np.array(1)}, ["x_train", "single number"]),
        ({"x_train": np.ones((4, 2), "complex64")}, ["x_train of complex64"]),
        ({"x_train": np.ones((4, 2), "longdouble")}, ["x_train of float128"]),
    ],
)
def test_wrong_contents(tmp_path, changes, words):
    with pytest.raises(ValueError, match="path: ") as caught:
        datasets.load(save(tmp_path / "wrong.npz", **changes))
    for word in ["wrong.npz", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_one_hot_labels_are_class_ids(tmp_path, dtype):
    path = save(tmp_path / "own.npz", y_train=np.eye(5, dtype=dtype)[[4, 0, 2, 2]])
    (_, y), _ = datasets.load(path)
    assert y.dtype == "int64"
    assert y.tolist() == [4, 0, 2, 2]


def test_digits_are_scikit_learns():
    (x, y), (x_test, y_test) = datasets.load("digits")
    assert (x.shape, x_test.shape) == ((1437, 8, 8), (360, 8, 8))
    assert x.dtype == x_test.dtype == np.uint8
    assert y.dtype == y_test.dtype == np.int64
    assert (x.min(), x.max()) == (0, 255)
    source = load_digits()
    everything = sorted(map(bytes, np.rint(source.images * 255 / 16).astype("uint8")))
    assert sorted(map(bytes, np.concatenate([x, x_test]))) == everything
    whole = np.bincount(source.target)
    assert (np.bincount(y) + np.bincount(y_test)).tolist() == whole.tolist()
    assert np.abs(np.bincount(y_test) - whole / 5).max() < 1
    assert datasets.load("digits")[0][0].tobytes() == x.tobytes()


@pytest.mark.data
def test_real_mnist(data_file):
    (x, y), (x_test, y_test) = datasets.load("mnist", data_file("mnist.npz").parent)
    assert (x.shape, x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert (y.shape, y_test.shape) == ((60000,), (10000,))
    assert np.bincount(y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test)[5] == 892
    assert (x.dtype, x.max(), y[:5].tolist()) == (np.uint8, 255, [5, 0, 4, 1, 9])


@pytest.mark.data
def test_real_fashion_mnist(data_file):
    (x, y), (x_test, y_test) = datasets.load("fashion_mnist", data_file("fashion_mnist.npz").parent)
    assert (x.shape, x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert set(np.bincount(y)) == {6000}
    assert set(np.bincount(y_test)) == {1000}


@pytest.mark.data
def test_real_cifar10(data_file):
    (x, y), (x_test, y_test) = datasets.load("cifar10", data_file("cifar10.npz").parent)
    assert (x.shape, x_test.shape) == ((50000, 32, 32, 3), (10000, 32, 32, 3))
    assert (x.dtype, y.dtype) == (np.uint8, np.int64)
    assert np.bincount(y).tolist() == [5000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    scaled = x[::10].reshape(-1, 3) / 255  # the notebook's constants are this data's
    np.testing.assert_allclose(scaled.mean(0), [0.4914, 0.4822, 0.4465], atol=5e-3)
