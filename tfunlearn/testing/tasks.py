"""Tiny tasks that the checks run methods on: a trained original and a split, made once."""

import functools
from collections.abc import Iterable
from typing import Any, Literal

import keras
import numpy as np

from tfunlearn.data import ForgetSplit, datasets
from tfunlearn.methods import Method, Unlearning
from tfunlearn.models import small_cnn
from tfunlearn.models.seeding import seeded

Kind = Literal["rich", "plain", "digits"]

FORGET, RETAIN, HELD_OUT, BATCH = 32, 64, 32, 16
_DEFAULTS = {"seed": 0, "epochs": 2, "batch_size": BATCH, "jit_compile": False, "verbose": 0}


def run(
    method: Method,
    model: keras.Model | None = None,
    split: ForgetSplit | None = None,
    **options: Any,
) -> keras.Model:
    """Runs a method for two short epochs.

    Args:
        method: the method.
        model: by default the original of the ``"rich"`` task.
        split: by default the split of the tiny tasks.
        **options: arguments of the method, before which the short ones give way.
    """
    short = {name: value for name, value in _DEFAULTS.items() if name in method.options}
    model = original("rich") if model is None else model
    split = tiny_split(method.scope) if split is None else split
    return method.function(model, split, **{**short, **options})


def clean_run(method: Method, **options: Any) -> keras.Model:
    """Returns the result of ``run(method, **options)``, kept where there are no options.

    The checks that share it must leave it as it is.
    """
    return run(method, **options) if options else _clean_run(method.function, method.scope)


def original(kind: Kind) -> keras.Model:
    """Returns a fresh, compiled copy of a task's trained original.

    Args:
        kind: ``"rich"`` has a nested part, batch normalisation and dropout; ``"plain"`` is the
            same without the last two; ``"digits"`` is ``models.small_cnn`` trained on all digits.
    """
    model = _build(kind)
    weights, state = _trained(kind)
    model.set_weights(weights)
    model.optimizer.build(model.trainable_variables)
    for variable, value in zip(model.optimizer.variables, state, strict=True):
        variable.assign(value)
    return model


def tiny_split(
    scope: str = "both", *, spoil: Iterable[str] = (), stream: bool = False
) -> ForgetSplit:
    """Returns the split of the tiny tasks: 32 to forget, 64 that stay, 32 of each held-out role.

    Args:
        scope: with ``"class"`` the forget set is class 0, otherwise the first examples.
        spoil: roles whose images are all NaN and whose labels are moved by one place.
        stream: make it of ``tf.data`` streams.
    """
    x, y, held_x, held_y = (part.copy() for part in _pixels(scope == "class"))
    parts = {
        "forget": (x[:FORGET], y[:FORGET]),
        "retain": (x[FORGET:], y[FORGET:]),
        "validation": (held_x[:HELD_OUT], held_y[:HELD_OUT]),
        "test": (held_x[HELD_OUT:], held_y[HELD_OUT:]),
    }
    for role in spoil:
        images, labels = parts[role]  # views, so this writes into the arrays above
        images[:] = np.nan
        labels[:] = np.roll(labels, 1)
    own: dict[str, Any] = {"forget": range(FORGET), "num_classes": 10}
    held_out = {role: parts[role] for role in ("validation", "test")}
    if not stream:
        return ForgetSplit.by_index(x, y, **own, **held_out)
    import tensorflow as tf

    slices = tf.data.Dataset.from_tensor_slices
    streams = {role: slices(part) for role, part in held_out.items()}
    return ForgetSplit.from_dataset(slices((x, y)), **own, **streams)


@functools.cache
def digits_split(scope: str = "both") -> ForgetSplit:
    """Returns all digits with a random tenth, or class 0, to forget, and two held-out roles."""
    (x, y), (x_test, y_test) = datasets.load("digits")
    held_out = {
        role: (_scaled(x_test[half]), y_test[half])
        for role, half in (("validation", slice(0, None, 2)), ("test", slice(1, None, 2)))
    }
    if scope == "class":
        return ForgetSplit.by_class(_scaled(x), y, classes=[0], **held_out)
    return ForgetSplit.random(_scaled(x), y, fraction=0.1, seed=0, **held_out)


def weight_bytes(model: keras.Model) -> list[bytes]:
    """Returns the bytes of every weight of a model."""
    return [weight.tobytes() for weight in model.get_weights()]


def not_finite(model: keras.Model) -> list[str]:
    """Returns the paths of the weights that hold NaN or infinity."""
    pairs = zip(model.weights, model.get_weights(), strict=True)
    return [weight.path for weight, value in pairs if not np.isfinite(value).all()]


def weight_gap(a: keras.Model, b: keras.Model) -> float:
    """Returns the largest difference of any weight of two models of one architecture."""
    pairs = zip(a.get_weights(), b.get_weights(), strict=True)
    return max(float(np.max(np.abs(left - right))) for left, right in pairs)


def require(holds: bool, method: Method, rule: str, expected: Any, received: Any) -> None:
    """Raises an ``AssertionError`` that names method and rule, unless a condition holds."""
    if not holds:
        raise AssertionError(f"{method.name}: {rule}. Expected: {expected}. Received: {received}.")


@functools.lru_cache(maxsize=4)
def _clean_run(function: Unlearning, scope: Any) -> keras.Model:
    """Runs a method with its own defaults."""
    return run(Method(function, frozenset(), scope, ""))


@functools.cache
def _pixels(by_class: bool) -> tuple[np.ndarray, ...]:
    """Returns training and held-out digits, those to forget first."""
    (x, y), (x_test, y_test) = datasets.load("digits")
    chosen = np.arange(FORGET + RETAIN)
    if by_class:
        chosen = np.r_[np.flatnonzero(y == 0)[:FORGET], np.flatnonzero(y != 0)[:RETAIN]]
    held_out = slice(2 * HELD_OUT)
    return _scaled(x[chosen]), y[chosen], _scaled(x_test[held_out]), y_test[held_out]


@functools.cache
def _trained(kind: Kind) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Trains an original once; returns its weights and its optimizer's state."""
    model = _build(kind)
    split = digits_split() if kind == "digits" else tiny_split()
    x, y = (np.concatenate(parts) for parts in zip(split.retain, split.forget, strict=True))
    epochs, batch_size = (8, 64) if kind == "digits" else (3, BATCH)
    model.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0)
    state = [keras.ops.convert_to_numpy(variable) for variable in model.optimizer.variables]
    return model.get_weights(), state


def _build(kind: Kind) -> keras.Model:
    """Builds and compiles the model of a task; the same kind gives the same weights."""
    with seeded(0):
        model = small_cnn() if kind == "digits" else _cnn(rich=kind == "rich")
    if kind == "digits":
        optimizer = keras.optimizers.Adam(0.01)
    else:
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], jit_compile=False)
    return model


def _cnn(rich: bool) -> keras.Model:
    """Builds a stem, a nested body and a head; dropout and batch normalisation if rich."""
    layers = keras.layers
    inner = keras.Input((8, 8, 4))
    hidden = layers.Conv2D(4, 3, strides=2, padding="same", name="inner")(inner)
    hidden = layers.BatchNormalization(momentum=0.9)(hidden) if rich else hidden
    body = keras.Model(inner, layers.ReLU()(hidden), name="body")
    inputs = keras.Input((8, 8, 1))
    hidden = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(inputs)
    hidden = layers.Flatten()(body(hidden))
    hidden = layers.Dropout(0.2)(hidden) if rich else hidden
    return keras.Model(inputs, layers.Dense(10, name="head")(hidden), name="tiny_cnn")


def _scaled(images: np.ndarray) -> np.ndarray:
    """Returns 8-bit images as floats in [0, 1] with a channel."""
    return images[..., None].astype("float32") / 255
