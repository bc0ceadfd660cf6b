"""Every bad input has a clear error and changes nothing."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods, unlearn

X = np.random.default_rng(0).random((12, 4, 4, 1), "float32")
Y = np.arange(12) % 3


def _split(x=X, y=Y, forget=(0, 1), test=(X, Y), **options):
    return data.by_index(x, y, forget=forget, test=test, **options)


def _cnn(classes=3):
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(2, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(classes, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _dense():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(3, "softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _unbuilt():
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class Subclassed(keras.Model):
    def __init__(self, units):  # and no get_config to remember it
        super().__init__()
        self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(units)

    def call(self, inputs):
        return self.dense(self.flat(inputs))


def _subclassed():
    model = Subclassed(3)
    model(X)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def _holed(value):
    x = X.copy()
    x[5, 1, 1, 0] = value
    return x


FILES = {
    "other_keys.npz": {"images": X, "labels": Y},
    "lengths.npz": {"x_train": X, "y_train": Y[:5], "x_test": X, "y_test": Y},
    "floats.npz": {"x_train": X, "y_train": Y / 2, "x_test": X, "y_test": Y},
    "whole.npz": {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y},
}


@pytest.fixture
def folder(tmp_path):
    for name, arrays in FILES.items():
        np.savez(tmp_path / name, **arrays)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "damaged.npz").write_bytes(whole[:700] + b"\0" * 64 + whole[764:])
    (tmp_path / "text.npz").write_text("not an archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    return tmp_path


def _load(name):
    return lambda model, folder: data.datasets.load(folder / name)


def _make(**options):
    return lambda model, folder: _split(**options)


def _run(method="finetune", **options):
    return lambda model, folder: unlearn(model, _split(**options), method, epochs=1)


BAD = {
    "ids out of range": (_make(forget=[0, 12]), ValueError, "forget: .*0 to 11. Received: 12"),
    "ids below zero": (_make(forget=[-1]), ValueError, "forget: .*0 to 11. Received: -1"),
    "ids duplicated": (_make(forget=[3, 3]), ValueError, "forget: .*once. Received 3 more"),
    "ids empty": (_make(forget=[]), ValueError, "forget: expected at least one id"),
    "ids everything": (_make(forget=range(12)), ValueError, "forget: at least one .* must stay"),
    "ids float": (_make(forget=[0.0, 1.0]), TypeError, "forget: expected integer ids.*float64"),
    "ids a mask": (_make(forget=Y == 0), TypeError, "forget: .*bool; for a mask .*flatnonzero"),
    "labels float": (_make(y=Y.astype("float32")), TypeError, "y: expected integer .*float32"),
    "labels one-hot": (_make(y=np.eye(3, dtype=int)[Y]), ValueError, "y: .*one-hot.*argmax"),
    "labels below zero": (_make(y=Y - 1), ValueError, "y: class ids start at 0. Received -1"),
    "labels out of range": (_make(num_classes=2), ValueError, "y: .*at most 1. Received: 2"),
    "labels unknown to the model": (_run(y=Y + 1), ValueError, "split: .*below 3.*up to 3"),
    "labels of another length": (_make(y=Y[:5]), ValueError, "y: .*Expected: 12. Received: 5"),
    "test labels of another length": (_make(test=(X, Y[:5])), ValueError, "test labels: .*12"),
    "test is not a pair": (_make(test=X), TypeError, r"test: expected \(x, y\).*ndarray"),
    "images of other shapes": (_make(test=(X[:, :2], Y)), ValueError, "test: .*shape"),
    "images for another model": (
        _run(x=X[:, :2], test=(X[:, :2], Y)),
        ValueError,
        "split: .*shape",
    ),
    "images with NaN": (_run(x=_holed(np.nan)), ValueError, "x: the retain set holds NaN"),
    "images with infinity": (_run(x=_holed(np.inf)), ValueError, "x: the retain set .*infinite"),
    "images ragged": (
        _make(x=np.array([[1], [1, 2]] * 6, object)),
        (TypeError, ValueError),
        "x: expected",
    ),
    "no such method": (_run("erase"), ValueError, "method: expected one of retrain"),
    "file missing": (_load("missing.npz"), FileNotFoundError, "path: .*missing.npz.*not there"),
    "file truncated": (_load("truncated.npz"), ValueError, "path: .*truncated.npz.*cannot be used"),
    "file damaged": (_load("damaged.npz"), ValueError, "path: .*damaged.npz.*cannot be used"),
    "file empty": (_load("empty.npz"), ValueError, "path: .*empty.npz.*cannot be used"),
    "file of text": (_load("text.npz"), ValueError, "path: .*text.npz.*cannot be used"),
    "file with other keys": (
        _load("other_keys.npz"),
        ValueError,
        "path: .*missing.*images.*labels",
    ),
    "file of two lengths": (_load("lengths.npz"), ValueError, "path: .*y_train must hold one"),
    "file with float labels": (_load("floats.npz"), ValueError, "path: .*y_train must hold one"),
}
MODELS = {
    "unbuilt": (_unbuilt, "finetune", ValueError, "model: it must be built"),
    "no convolutions": (
        _dense,
        "vision_confuser",
        ValueError,
        "layers: .*Conv2D.*matches no layer",
    ),
    "cannot be copied": (
        _subclassed,
        "finetune",
        ValueError,
        "model: a Subclassed could not be rebuilt.*get_config",
    ),
    "not a model": (lambda: "net", "finetune", TypeError, "model: expected a keras.Model.*str"),
}


def _state(model, folder):
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = [w.tobytes() for w in model.get_weights()] if hasattr(model, "weights") else model
    return files, weights


@pytest.mark.parametrize(("act", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_and_changes_nothing(act, error, message, folder):
    _refused(act, error, message, _cnn(), folder)


@pytest.mark.parametrize(("build", "method", "error", "message"), MODELS.values(), ids=MODELS)
def test_bad_models_are_refused_and_not_changed(build, method, error, message, folder):
    _refused(_run(method), error, message, build(), folder)


def _refused(act, error, message, model, folder):
    before, data_before = _state(model, folder), (X.tobytes(), Y.tobytes())
    with pytest.raises(error, match=f"(?s){message}"):
        act(model, folder)
    assert _state(model, folder) == before
    assert (X.tobytes(), Y.tobytes()) == data_before


def test_columns_of_labels_are_flattened():
    flat, column = _split(), _split(y=Y[:, None], test=(X, Y[:, None]))
    assert column.retain[1].shape == (10,)
    assert flat.fingerprint() == column.fingerprint()


def test_pixels_are_welcome_where_the_model_prepares_them():
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Rescaling(1 / 255), *_cnn().layers]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    pixels = (X * 255).astype("uint8")
    split = _split(x=pixels, test=(pixels, Y))
    assert isinstance(methods.finetune(model, split, epochs=1), keras.Model)
