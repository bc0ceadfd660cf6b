"""Real data sets in one layout: 8-bit images and integer labels, offline first."""

import os
import pathlib
from os import PathLike

import numpy as np

from tfunlearn.data.weights import check_weights
from tfunlearn.reading import existing_folder, expanded
from tfunlearn.reading.npz import read_npz_arrays

Arrays = tuple[np.ndarray, np.ndarray]

NAMES = ("digits", "mnist", "fashion_mnist", "cifar10")
_KEYS = ("x_train", "y_train", "x_test", "y_test")
WEIGHTS = "sample_weight_train"
_MISNAMED = ("sample_weight", "sample_weights", "sample_weights_train", "class_weight")


def load(name: str | PathLike, data_dir: str | PathLike | None = None) -> tuple[Arrays, Arrays]:
    """Loads a data set by name, or from a file of one's own.

    A named set is read from ``<folder>/<name>.npz``, where the folder is ``data_dir``, else the
    environment variable ``TFUNLEARN_DATA_DIR``. Without such a file ``keras.datasets`` is asked,
    which downloads. ``"digits"`` comes with scikit-learn and needs neither.

    Args:
        name: ``"digits"``, ``"mnist"``, ``"fashion_mnist"``, ``"cifar10"``, or the path of an
            ``.npz`` file with the arrays x_train, y_train, x_test and y_test.
        data_dir: folder to look in first.

    Returns:
        ``((x_train, y_train), (x_test, y_test))``: images as stored (uint8 for the named sets),
        labels int64 of shape ``(N,)``.

    Raises:
        FileNotFoundError: if the data is not here and cannot be downloaded; the message says which
            file to put where.
        ValueError: if the name is unknown, or the file is damaged or holds other arrays.

    Example:
        >>> from tfunlearn.data import datasets
        >>> (x, y), (x_test, y_test) = datasets.load("digits")
        >>> x.shape, x.dtype, x_test.shape
        ((1437, 8, 8), dtype('uint8'), (360, 8, 8))
    """
    if str(name).endswith(".npz"):
        return read_npz(name)
    if name not in NAMES:
        raise ValueError(
            f"name: expected one of {', '.join(NAMES)}, or the path of an .npz file. "
            f"Received: {str(name)!r}."
        )
    if name == "digits":
        return _digits()
    path = data_path(f"{name}.npz", data_dir)
    if path is not None and path.is_file():
        return read_npz(path)
    return _download(str(name), path)


def data_path(file_name: str, data_dir: str | PathLike | None = None) -> pathlib.Path | None:
    """Returns where a data file is looked for, or None if no folder is named.

    Args:
        file_name: name of the file inside the folder.
        data_dir: the folder; by default that of the variable ``TFUNLEARN_DATA_DIR``.

    Raises:
        FileNotFoundError: if a ``data_dir`` is given that is not a folder.
        ValueError: if one of the two is no path, as ``reading.expanded``.
    """
    if data_dir is not None:
        return existing_folder(data_dir, "data_dir") / file_name
    folder = os.environ.get("TFUNLEARN_DATA_DIR")
    return expanded(folder, "TFUNLEARN_DATA_DIR") / file_name if folder else None


def read_npz(path: str | PathLike, argument: str = "path") -> tuple[Arrays, Arrays]:
    """Reads x_train, y_train, x_test and y_test from an ``.npz`` file, never unpickling.

    Args:
        path: the file.
        argument: the argument's name in messages.

    Returns:
        ``((x_train, y_train), (x_test, y_test))``: labels of shape ``(N, 1)`` flattened, one-hot
        rows ``(N, C)`` (a single 1 and otherwise 0, of any type) as the place of their 1.

    Raises:
        FileNotFoundError: if the file is not there.
        ValueError: if it is damaged, holds other arrays, or arrays that do not fit together.
    """
    arrays = read_npz_arrays(path, _KEYS, argument=argument)
    source = f"{argument}: {str(path)!r}"
    return (
        _pair(arrays["x_train"], arrays["y_train"], source, "train"),
        _pair(arrays["x_test"], arrays["y_test"], source, "test"),
    )


def read_weights(path: str | PathLike, argument: str = "path") -> np.ndarray | None:
    """Reads sample_weight_train from an ``.npz`` file, never unpickling.

    Args:
        path: the file.
        argument: the argument's name in messages.

    Returns:
        The weight of each example of x_train in the loss, checked: float32 ``(N,)``. None where the
        file holds none.

    Raises:
        FileNotFoundError: if the file is not there.
        TypeError: if they are no numbers.
        ValueError: if they cannot be read, are negative, not finite, of another number than
            y_train, or under another name, where they would be passed over.
    """
    arrays = read_npz_arrays(path, ("y_train",), (WEIGHTS, *_MISNAMED), argument=argument)
    other = [name for name in _MISNAMED if name in arrays]
    if other:
        raise ValueError(
            f"{argument}: weights in the loss have a name that is not read. Expected: {WEIGHTS}, "
            f"one for each training example; class weights are an option. Received: {other[0]}."
        )
    if WEIGHTS not in arrays:
        return None
    return check_weights(arrays[WEIGHTS], len(arrays["y_train"]), WEIGHTS)


def _pair(x: np.ndarray, y: np.ndarray, source: str, part: str) -> Arrays:
    """Checks that images and labels fit together; gives labels as int64 (N,)."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    elif y.ndim == 2 and y.shape[1] and ((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all():
        y = y.argmax(1)
    if x.ndim == 0:
        raise ValueError(
            f"{source}: expected x_{part} of shape (N, ...). Received a single number."
        )
    if y.ndim != 1 or len(x) != len(y) or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(
            f"{source}: y_{part} must hold one integer label for each of x_{part}. "
            f"Expected: integers of shape ({len(x)},). Received: {y.dtype} of shape {y.shape}."
        )
    return x, y.astype("int64")


def _digits() -> tuple[Arrays, Arrays]:
    """The 8 x 8 digits of scikit-learn as 8-bit pixels, four fifths for training, stratified."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype("uint8")
    x_train, x_test, y_train, y_test = train_test_split(
        pixels, digits.target.astype("int64"), test_size=0.2, stratify=digits.target, random_state=0
    )
    return (x_train, y_train), (x_test, y_test)


def _download(name: str, path: pathlib.Path | None) -> tuple[Arrays, Arrays]:
    """Asks keras.datasets; an unreachable network is an error that says where to put the file."""
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises a bare Exception for any failed download
        place = path or f"<a folder>/{name}.npz (and name the folder in TFUNLEARN_DATA_DIR)"
        raise FileNotFoundError(
            f"{name}: not on this machine, and the download failed ({type(error).__name__}). "
            f"Put the file {place} in place: an .npz with the arrays {', '.join(_KEYS)}."
        ) from error
    source = f"path: 'keras.datasets.{name}'"
    return _pair(*train, source, "train"), _pair(*test, source, "test")
