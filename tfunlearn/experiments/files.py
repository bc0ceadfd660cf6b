"""Files of one's own: a saved model, a data set, a list of ids, read with care."""

import hashlib
import pathlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import keras
import numpy as np

from tfunlearn import models
from tfunlearn.data import DuplicateWarning, ForgetSplit, datasets
from tfunlearn.data.duplicates import Choice
from tfunlearn.methods.checks import check
from tfunlearn.reading import existing_file, expanded
from tfunlearn.reading.archive import check_archive
from tfunlearn.reading.ids import read_ids

_IN_PYTHON = (
    "In Python: define or import it, decorated with @keras.saving.register_keras_serializable(), "
    "then keras.saving.load_model and tfunlearn.unlearn(model, split, method)"
)


def load_model(path: str | PathLike, name: str = "model") -> keras.Model:
    """Loads a ``.keras`` file in Keras' safe mode.

    Args:
        path: the file.
        name: the argument's name in messages.

    Raises:
        FileNotFoundError: if the file is not there.
        ValueError: if it is another kind of file, damaged, or holds code of one's own.
    """
    path = existing_file(path, name)
    try:
        if path.suffix != ".keras":
            raise ValueError(f"a file named {path.suffix or 'without an ending'}")
        check_archive(path)
    except ValueError as error:
        raise ValueError(
            f"{name}: {str(path)!r} cannot be used. Expected: a whole .keras file, as "
            "model.save('name.keras') writes it. Received: another kind of file, or a damaged one "
            f"({error})."
        ) from error
    try:
        with warnings.catch_warnings():  # methods start from a fresh optimizer
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            loaded = keras.saving.load_model(path)
    except Exception as error:  # Keras raises many kinds
        raise ValueError(f"{name}: {str(path)!r} cannot be loaded. {_reason(error)}") from error
    if not isinstance(loaded, keras.Model):
        raise ValueError(
            f"{name}: {str(path)!r} holds no model. Expected: a keras.Model. "
            f"Received: {type(loaded).__name__}."
        )
    return loaded


def load_models(
    paths: Sequence[str | PathLike], split: ForgetSplit, argument: str, taken: Sequence[str]
) -> dict[str, keras.Model]:
    """Loads several models for one data set and names each for its file.

    Args:
        paths: ``.keras`` files.
        split: the data.
        argument: the argument's name in messages.
        taken: names that others have already.

    Returns:
        Name to model; a name that is taken gets a stroke, or several.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if one cannot be loaded, or does not fit the data.
    """
    found: dict[str, keras.Model] = {}
    for path in paths:
        model = load_model(path, argument)
        name = pathlib.Path(path).stem
        while name in (*taken, *found):
            name += "'"
        check(model, split, frozenset())
        if models.num_classes(model) != split.num_classes:
            raise ValueError(
                f"{argument}: {str(path)!r} has another number of classes than the original. "
                f"Expected: {split.num_classes}. Received: {models.num_classes(model)}."
            )
        found[name] = model
    return found


def load_initial(path: str | PathLike, model: keras.Model) -> keras.Model:
    """Loads what a model's training began with.

    Args:
        path: a ``.keras`` file, loaded in safe mode, or a ``.weights.h5`` file of the model.
        model: the model; it is left as it was.

    Raises:
        FileNotFoundError: if the file is not there.
        ValueError: if it is another kind of file, damaged, or of another model.
    """
    path = existing_file(path, "initial")
    if not path.name.endswith(".weights.h5"):
        return load_model(path, "initial")
    twin = models.copy(model)
    try:
        twin.load_weights(path)
    except MemoryError:
        raise
    except Exception as error:  # Keras and h5py raise many kinds
        words = " ".join(str(error).split())[:200]
        raise ValueError(
            f"initial: {str(path)!r} cannot be loaded. Expected: the weights of a model of the "
            "original's architecture, as model.save_weights('name.weights.h5') writes them, or a "
            f".keras file. Received: {type(error).__name__}: {words}"
        ) from error
    return twin


def with_initial(model: keras.Model, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options in which ``initial``, if it is a file, is loaded.

    Args:
        model: the model whose training began with it.
        options: arguments of ``audit.ReferenceBank``, say.

    Raises:
        FileNotFoundError: as ``load_initial``.
        ValueError: as ``load_initial``.
    """
    path = options.get("initial")
    if not isinstance(path, str | PathLike):
        return dict(options)
    return {**options, "initial": load_initial(path, model)}


def require_other_files(paths: Sequence[str | PathLike], argument: str) -> None:
    """Raises if a file is given twice, or two files have the same content.

    Args:
        paths: the files; those that are not there are left out.
        argument: the argument's name in messages.

    Raises:
        ValueError: with the names of two files that count as one.
    """
    given = [expanded(path, argument) for path in paths]
    seen: dict[str, pathlib.Path] = {}
    for path in (path for path in given if path.is_file()):
        with open(path, "rb") as file:
            mark = hashlib.file_digest(file, "sha256").hexdigest()
        if mark in seen:
            raise ValueError(
                f"{argument}: a model counts once. Expected: each file once, and no copies. "
                f"Received: {str(seen[mark])!r} and {str(path)!r}, with the same content."
            )
        seen[mark] = path


def marked(path: str | PathLike) -> str:
    """Returns a file's name and the start of its sha256, for a note.

    Args:
        path: the file.
    """
    path = expanded(path, "path")
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{path.name}, sha256 {digest[:16]}"


def _reason(error: Exception) -> str:
    """Returns why a model could not be loaded and what to do, in a sentence or two."""
    text = " ".join(str(error).split())
    if "Could not locate" in text:
        what = text.split(". ")[0].removeprefix("Could not locate ")
        return (
            f"It needs {what} of your own, and a command loads no code. Expected: layers, losses "
            f"and metrics of Keras. {_IN_PYTHON}."
        )
    if "Lambda" in text or "safe_mode" in text:
        return (
            "It holds Python code (a Lambda layer), which safe mode does not run. Expected: layers "
            "whose code is not in the file; write the Lambda as a layer class. " + _IN_PYTHON + "."
        )
    return f"Expected: a whole .keras file. Received: {type(error).__name__}: {text[:200]}"


def make_split(
    data: str | PathLike,
    model: keras.Model,
    *,
    forget: str | PathLike | None = None,
    classes: Sequence[int] | None = None,
    validation: float | None = None,
    seed: int = 0,
    duplicates: Choice = None,
) -> ForgetSplit:
    """Reads a data set for a model and divides it by a file of ids, or by classes.

    Args:
        data: an ``.npz`` file with x_train, y_train, x_test and y_test; labels are class ids or
            one-hot rows. An array sample_weight_train weighs training examples, where there is one.
        model: the model, whose number of classes the split gets.
        forget: text file with one id (a position in x_train, from 0) on each line.
        classes: in place of ids, the classes to forget whole.
        validation: share of the test examples that become the validation role, and are no longer
            tested on.
        seed: seed of the draw of the validation examples.
        duplicates: as in ``ForgetSplit.by_index``, without the warning: commands print it.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if a file cannot be used, or ids, classes or labels do not fit.
    """
    (x, y), (x_test, y_test) = datasets.read_npz(data, "data")
    inputs = getattr(model, "inputs", None)
    if x.dtype.kind in "SU" and inputs and inputs[0].dtype != "string":
        raise ValueError(
            f"data: {str(data)!r}: x_train holds texts. Expected: numbers, which the model takes "
            f"({inputs[0].dtype}). Received: {x.dtype}."
        )
    roles = {"test": (x_test, y_test), "num_classes": models.num_classes(model)}
    roles["sample_weight"] = datasets.read_weights(data, "data")
    if validation is not None:
        order = np.random.default_rng([seed, 2]).permutation(len(y_test))
        count = round(validation * len(y_test))
        if not 0 < count < len(y_test):
            raise ValueError(
                "validation: expected a share that leaves examples on both sides. "
                f"Received: {validation} of {len(y_test)} test examples."
            )
        held, tested = order[:count], order[count:]
        roles["validation"] = x_test[held], y_test[held]
        roles["test"] = x_test[tested], y_test[tested]
    roles["duplicates"] = duplicates
    ids = None if forget is None else read_ids(forget)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DuplicateWarning)
        if classes is not None:
            return ForgetSplit.by_class(x, y, classes=classes, **roles)
        return ForgetSplit.by_index(x, y, forget=ids, **roles)


def images_of(split: ForgetSplit) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from training ids to images.

    Inputs are taken for images where they are 8-bit whole numbers of shape ``(N, H, W)``,
    ``(N, H, W, 1)`` or ``(N, H, W, 3)``. Of floats nothing is guessed: they may be normalised.

    Args:
        split: the data, in arrays.

    Raises:
        ValueError: if the inputs are something else.
    """
    x = None if split.is_stream else split.source("forget").x
    if x is None or x.dtype != np.uint8 or x.ndim not in (3, 4) or (*x.shape, 1)[3] not in (1, 3):
        found = "a stream" if x is None else f"{x.dtype} of shape {x.shape}"
        raise ValueError(
            "images: the inputs are no 8-bit images. Expected: uint8 of shape (N, H, W), "
            f"(N, H, W, 1) or (N, H, W, 3). Received: {found}."
        )
    return lambda ids: x[ids]
