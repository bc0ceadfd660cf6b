"""Training one bank model after the other; the training graph is traced once."""

from __future__ import annotations

import functools
import pathlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence

import h5py
import keras
import numpy as np

from tfunlearn import metrics, models, training
from tfunlearn.audit.bank_job import Item, Job, Made, whole
from tfunlearn.audit.bank_own import is_own
from tfunlearn.audit.environment import environment
from tfunlearn.audit.outputs import Reader
from tfunlearn.data import batches
from tfunlearn.models.copying import example_batch

__all__ = ["Trainer"]

TRAININGS = 8  # that share what is compiled, however many are asked for: see Trainer.train


class Trainer:
    """Makes the models of a bank, one after the other.

    A model is what `methods.retrain` gives for its seed, to the byte on a CPU: the same fresh
    weights, batches, masks and optimizer state. But only the first is built, compiled and traced;
    for each of the others the state of a fresh model and of its fresh optimizer is put into it.

    As a bank's models share what is compiled, whole epochs of a dense network are compiled from an
    eighth of the steps on that it takes for one training (`training.xla.pays`). In between dropout
    masks are others than those of `methods.retrain`, as good and as fixed by the seed, and without
    dropout weights differ by rounding.

    Args:
        job: What the models have in common.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._reader = Reader(job.split, job.roles)
        self._student: keras.Model | None = None
        self._start: list[np.ndarray] = []  # the first state of its optimizer
        kinds = [type(layer) for layer in (job.model, *models.iter_layers(job.model))]
        self._own_layers = any(is_own(kind.__module__) for kind in kinds)

    def make(self, item: Item) -> Made:
        """Trains a model and returns what is kept of it; of one that diverged, how it did.

        Args:
            item: Which one.

        Raises:
            RuntimeError: If the training changed nothing.
            ValueError: If a logit is too large for float16.
        """
        start = time.perf_counter()
        seconds, logits, accuracy = 0.0, {}, {}
        try:
            student = self.train(item)
            seconds = time.perf_counter() - start
            for role, scores in self._reader.read(student):
                logits[role] = _stored(scores, self._job.dtype, item, role)
                accuracy[role] = metrics.accuracy(self._job.split.labels(role), scores)
        except training.Diverged as error:
            seconds = seconds or time.perf_counter() - start
            return Made({}, {}, round(seconds, 4), None, environment(), str(error))
        weights = _weights(student) if self._job.keep_weights else None
        return Made(logits, accuracy, round(seconds, 4), weights, environment())

    def train(self, item: Item) -> keras.Model:
        """Returns a trained model; the next call changes it.

        Whether it is compiled does not hang on how many models are asked for: a model must be the
        same in every bank of its settings.

        Args:
            item: Which one.

        Raises:
            Diverged: If a weight is no longer finite.
            RuntimeError: If the training changed nothing.
        """
        job = self._job
        student, self._student = self._ready(item.seed), None
        split = whole(job.split) if item.include_forget else job.split
        stream = batches(split, "retain", batch_size=job.batch_size, shuffle=True, seed=item.seed)
        own = {"trainings": TRAININGS, "fresh": job.start is None}
        training.fit(student, stream, epochs=job.epochs, **own)
        self._student = student  # only now: a training that failed leaves nothing to go on with
        return student

    def _ready(self, seed: int) -> keras.Model:
        """Returns a compiled model as it is before its first step."""
        fresh = self._job.fresh(seed)
        recipe, jit_compile = self._job.recipe, self._job.jit_compile
        state = _values(fresh.variables)
        recipe.compile(fresh, jit_compile=jit_compile)
        fresh.optimizer.build(fresh.trainable_variables)
        start = _values(fresh.optimizer.variables)
        recipe.compile(fresh, jit_compile=jit_compile)  # its optimizer not built, as in any other
        if self._student is None or not self._reset(fresh, state, start):
            self._start = start
            return fresh
        return self._student

    def _reset(self, fresh: keras.Model, state: list[np.ndarray], start: list[np.ndarray]) -> bool:
        """Puts a fresh state into the model that was traced, or tells that this is not enough.

        It is not where an optimizer's first state follows from the weights, where one of one's own
        may count in Python, and where a layer of one's own holds what no variable does.
        """
        student = self._student
        if is_own(type(fresh.optimizer).__module__) or not _equal(start, self._start):
            return False
        _assign(student.variables, state)
        if self._own_layers:
            alike = _alike(student, fresh)
            _assign(student.variables, state)
            _assign(fresh.variables, state)
            if not alike:
                return False
        _assign(student.optimizer.variables, start)
        return True


def _values(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Returns the values of variables."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Sets the values of variables."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _equal(left: Iterable[np.ndarray], right: Iterable[np.ndarray]) -> bool:
    """Tells whether arrays are the same, one by one."""
    pairs = zip(left, right, strict=True)
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def _alike(left: keras.Model, right: keras.Model) -> bool:
    """Tells whether two models of equal state compute the same, in inference and in training."""
    batch = example_batch(left)

    def outputs(model: keras.Model) -> Iterator[np.ndarray]:
        for mode in (False, True):
            for output in keras.tree.flatten(model(batch, training=mode)):
                yield keras.ops.convert_to_numpy(output)

    return _equal(outputs(left), outputs(right))


def _stored(scores: np.ndarray, dtype: str, item: Item, role: str) -> np.ndarray:
    """Returns logits in the type that they are kept in, once they are known to be finite."""
    if not np.isfinite(scores).all():
        raise training.Diverged(
            f"training diverged: some logits on {role} are not finite. Expected: finite logits; "
            "lower the learning rate."
        )
    with np.errstate(over="ignore"):
        kept = scores.astype(dtype)
    if not np.isfinite(kept).all():
        raise ValueError(
            f"dtype: {item} has a logit of {np.abs(scores).max():.6g} on {role}. Expected: at most "
            f"{np.finfo(dtype).max:g} for {dtype}; take float32."
        )
    return kept


def _weights(model: keras.Model) -> bytes:
    """Returns the content of a model's `.weights.h5` file, without its optimizer.

    Keras notes the layers' names there, and those that it makes up count the layers of a process.
    Without them the same weights are the same bytes, whichever process writes them.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, bare = pathlib.Path(folder) / "model.weights.h5", pathlib.Path(folder) / "bare.h5"
        models.copy(model).save_weights(path)
        with h5py.File(path) as source, h5py.File(bare, "w") as target:
            source.visititems(functools.partial(_copy_bare, target))
        return bare.read_bytes()


def _copy_bare(target: h5py.File, name: str, item: h5py.Group | h5py.Dataset) -> None:
    """Copies a group or a table of an HDF5 file, with no name among its attributes."""
    if isinstance(item, h5py.Group):
        copied = target.require_group(name)
    else:
        copied = target.create_dataset(name, data=item[()])
    for key, value in item.attrs.items():
        if key != "name":
            copied.attrs[key] = value
