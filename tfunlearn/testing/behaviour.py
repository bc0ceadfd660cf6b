"""Checks of how a method behaves: seeds, roles, strength, utility, errors."""

from typing import Any

import keras
import numpy as np

from tfunlearn.methods import Method
from tfunlearn.testing.tasks import (
    clean_run,
    digits_split,
    not_finite,
    original,
    require,
    run,
    tiny_split,
    weight_bytes,
    weight_gap,
)

ROLES = frozenset({"forget", "retain", "validation", "test"})
TOLERANCE, WEIGHTS_TOLERANCE = 0.10, 1e-6
_WEIGHTS = {"class_weight", "sample_weight"}


def check_seed(method: Method, **options: Any) -> None:
    """Checks that one seed gives one result, and another seed another, unless deterministic.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if two runs differ under one seed, or two seeds give one result.
    """
    first = weight_bytes(clean_run(method, **options))
    again = weight_bytes(run(method, **options))
    other = weight_bytes(run(method, **{**options, "seed": options.get("seed", 0) + 1}))
    require(first == again, method, "the same seed gives the same bytes", "equal", "different")
    same = first == other
    rule = "its seed has an effect exactly if it is not deterministic"
    wanted = "equal" if method.deterministic else "different"
    received = f"{'equal' if same else 'different'} weights for two seeds"
    require(same == method.deterministic, method, rule, wanted, received)


def check_reads(method: Method, **options: Any) -> None:
    """Checks that a method reads no role but those it declares, and never the test set.

    In a second run the images of every other role are NaN and its labels are moved; the result
    must be the same bytes. Roles that it reads under an option (``Method.also``) are open to it
    only if that option is among those given.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if the result is not the same, or the method meets the NaN.
    """
    rule = "it declares the roles of a split, not the test set among them"
    declared = method.reads | set(method.also.values())
    require(declared <= ROLES - {"test"}, method, rule, sorted(ROLES), sorted(declared))
    closed = sorted(ROLES - method.roles(**options))
    rule = f"it does not read the roles it does not declare ({', '.join(closed)})"
    clean = weight_bytes(clean_run(method, **options))
    try:
        spoiled = run(method, split=tiny_split(method.scope, spoil=closed), **options)
    except Exception as error:
        raise AssertionError(
            f"{method.name}: {rule}. Expected: the same result whatever they hold. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    broken = not_finite(spoiled)
    require(not broken, method, rule, "finite weights", f"weights that are not: {broken}")
    same = weight_bytes(spoiled) == clean
    require(same, method, rule, "the same result whatever they hold", "another result")


def check_weights(method: Method, **options: Any) -> None:
    """Checks that a method takes class and sample weights and uses them, or neither.

    Weights whose product is 1 must give the model that none give, and weight 0 on half of the
    retain set another one. A method without the two options must give the same model for a split
    whose examples have weights.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if one of these does not hold.
    """
    taken, clean = sorted(_WEIGHTS & set(method.options)), clean_run(method, **options)
    rule = "it takes class_weight and sample_weight, or neither"
    require(len(taken) != 1, method, rule, sorted(_WEIGHTS), taken)
    split = tiny_split(method.scope)
    half = np.ones(split.size("forget") + split.size("retain"))
    half[split.ids["retain"][::2]] = 0.0
    if not taken:
        found = run(method, split=split.weighted(sample_weight=half), **options)
        rule = "without the options it looks at no weights of a split"
        same = weight_bytes(found) == weight_bytes(clean)
        require(same, method, rule, "the same result", "another result")
        return
    classes = dict.fromkeys(range(split.num_classes), 2.0)
    ones = run(method, class_weight=classes, sample_weight=np.full(len(half), 0.5), **options)
    gap, rule = weight_gap(clean, ones), "weights whose product is 1 change nothing"
    require(gap <= WEIGHTS_TOLERANCE, method, rule, f"gap <= {WEIGHTS_TOLERANCE}", gap)
    found = run(method, sample_weight=half, **options)
    same = weight_bytes(found) == weight_bytes(clean)
    rule = "weight 0 on half of the retain set counts"
    require(not same, method, rule, "another result", "the same result")


def check_zero_strength(method: Method, **options: Any) -> None:
    """Checks that a method without strength leaves every weight as it was, and says so.

    The options of no strength are the method's ``idle``; by default learning rate 0.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if a weight changed, or the method returned as if it had worked.
    """
    unknown = sorted(set(method.idle) - set(method.options))
    rule = "idle names options of its own (declare Method(..., idle={...}))"
    require(not unknown and bool(method.idle), method, rule, sorted(method.options), unknown)
    probe = _Probe()
    watched = {"callbacks": [probe]} if "callbacks" in method.options else {}
    rule = f"without strength ({dict(method.idle)}) it reports that nothing changed"
    expected = "a RuntimeError or ValueError that says 'changed no...'"
    try:
        run(method, original("plain"), **{**options, **watched, **method.idle})
    except (RuntimeError, ValueError) as error:
        require("changed no" in str(error), method, rule, expected, error)
    else:
        require(False, method, rule, expected, "a model")
    require(not probe.moved(), method, "without strength no weight changes", 0, probe.moved())


def check_no_collapse(method: Method, **options: Any) -> None:
    """Checks that default settings keep the retain set: a small CNN on the digits.

    Args:
        method: the method.
        **options: arguments of the method, over its defaults.

    Raises:
        AssertionError: if retain accuracy falls by more than 10 points.
    """
    split, model = digits_split(method.scope), original("digits")
    result = method.function(model, split, **{"verbose": 0, **options})
    x, y = split.retain
    before, after = (
        float(np.mean(keras.ops.convert_to_numpy(net(x, training=False)).argmax(-1) == y))
        for net in (model, result)
    )
    rule = "with default settings the retain set is kept"
    expected = f"retain accuracy of at least {before - TOLERANCE:.3f} (original {before:.3f})"
    require(after >= before - TOLERANCE, method, rule, expected, f"{after:.3f}")


def check_errors(method: Method, **options: Any) -> None:
    """Checks that models and arguments that cannot be used are refused by name.

    Args:
        method: the method.
        **options: arguments of the method.

    Raises:
        AssertionError: if one is accepted, or the error is of another type or names nothing.
    """
    _check_uncompiled(method, options)
    unbuilt = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    unbuilt.compile("sgd", "sparse_categorical_crossentropy")
    _require_error(method, ValueError, "model: ", {"model": unbuilt, **options})
    _require_error(method, TypeError, "model: ", {"model": "a model", **options})
    arrays = tiny_split(method.scope).retain
    _require_error(method, TypeError, "split: ", {"split": arrays, **options})
    for name, value in (("epochs", 0), ("batch_size", 0), ("seed", -1)):
        if name in method.options:
            _require_error(method, ValueError, f"{name}: ", {**options, name: value})


class _Probe(keras.callbacks.Callback):
    """Keeps the weights with which a training began, and looks at them later."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[bytes] | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Keeps the weights."""
        self._before = weight_bytes(self.model)

    def moved(self) -> int:
        """Returns how many weights have changed since training began, if it did."""
        if self._before is None:
            return 0
        pairs = zip(self._before, weight_bytes(self.model), strict=True)
        return sum(left != right for left, right in pairs)


def _check_uncompiled(method: Method, options: dict[str, Any]) -> None:
    """Checks that a model without a loss is refused, or given back as it came: uncompiled."""
    compiled = original("plain")
    model = type(compiled).from_config(compiled.get_config())
    try:
        result = run(method, model, **options)
    except ValueError as error:
        rule = "a model that is not compiled is refused by the name of what is missing"
        named = str(error).startswith(("loss: ", "optimizer: "))
        require(named, method, rule, "an error that names 'loss' or 'optimizer'", error)
        return
    bare = getattr(result, "optimizer", None) is None
    rule = "a method with a loss of its own gives an uncompiled model for one"
    require(bare, method, rule, "an uncompiled model", "a compiled one")


def _require_error(
    method: Method, kind: type[Exception], text: str, arguments: dict[str, Any]
) -> None:
    """Raises unless a run ends in an error of a kind that begins with a text."""
    shown = {name: value for name, value in arguments.items() if text.startswith(name)}
    rule = f"it refuses {shown!r}"
    expected = f"{kind.__name__} with '{text}...'"
    try:
        run(method, **arguments)
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        require(isinstance(error, kind) and text in str(error), method, rule, expected, received)
    else:
        require(False, method, rule, expected, "a model")
