"""A bank that is looked for: found with its models, or an error that says what lies there."""

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

import keras

from tfunlearn import audit
from tfunlearn.audit import ReferenceBank
from tfunlearn.audit.bank_entry import SETTINGS, item_named
from tfunlearn.data import ForgetSplit
from tfunlearn.experiments.bank import bank_of_model
from tfunlearn.experiments.files import with_initial
from tfunlearn.reading import parse_json

START = ("initial", "fresh")
LEAST = 3  # two references and one model that is held out
_RECIPE = ("epochs", "batch_size", "seed", "threads", "dtype", "weights", "class_weight")
_WORDS = {
    "model": "another model",
    "data": "other data",
    "initial": "another start",
    "sample_weights": "other sample weights",
    "code": "another version of this package",
}


def find_bank(
    model: keras.Model,
    split: ForgetSplit,
    folder: str | PathLike,
    *,
    class_weight: Mapping[int, float] | None = None,
    fill: str = "",
    say: Callable[[str], None] | None = print,
    **options: Any,
) -> ReferenceBank:
    """Returns the bank of a model, which must hold enough models for an audit.

    Args:
        model: the original.
        split: its data.
        folder: where banks are kept; nothing is written to it.
        class_weight: class weights that the bank was made with.
        fill: the command that fills the bank, for the message.
        say: called with each line of output; None for silence.
        **options: what the bank was made with, more arguments of ``audit.ReferenceBank``. None of
            them but ``initial`` and ``fresh``: the one bank that was made for the model and its
            data, with its own.

    Raises:
        FileNotFoundError: if there is no bank at all, and none was described.
        ValueError: if an option is out of range, or no bank fits, or several, or the one that does
            holds fewer than three models. It says which banks are there and what differs.
    """
    start = {name: options[name] for name in START if name in options}
    if set(options) - set(START):
        own = {"class_weight": class_weight, "say": say}
        bank = bank_of_model(model, split, folder, **own, **options)
    else:
        bank = _only(model, split, folder, class_weight, fill, say, **start)
    count = len(bank)
    if count < LEAST:
        raise ValueError(
            "bank: it is found by model, data, recipe and this package's version. Expected: at "
            f"least {LEAST} models{f', as made by: {fill}' if fill else ''}. Received: {count} in "
            f"{bank.folder.name}{_lost(bank)}; beside it {_others(bank)}."
        )
    return bank


def _lost(bank: ReferenceBank) -> str:
    """Returns how many of a bank's models diverged, in words, if any did."""
    return f", {len(bank.diverged)} diverged" if bank.diverged else ""


def _only(
    model: keras.Model,
    split: ForgetSplit,
    folder: str | PathLike,
    class_weight: Mapping[int, float] | None,
    fill: str,
    say: Callable[[str], None] | None,
    **start: Any,
) -> ReferenceBank:
    """Returns the one bank that was made for a model and its data, or raises with what to do."""
    try:
        given = {"class_weight": class_weight, "say": say, **with_initial(model, start)}
        return audit.find_bank(folder, model, split, **given)
    except (FileNotFoundError, ValueError) as error:
        made = f", as made by: {fill}" if fill else ""
        raise type(error)(
            f"bank: expected one that fits{made}; of several, its own --epochs, --batch-size, "
            f"--seed, ... choose one. {error}"
        ) from error


def _others(bank: ReferenceBank) -> str:
    """Returns what lies beside a bank, in a few words."""
    found = []
    for path in sorted(bank.folder.parent.glob(f"*/{SETTINGS}")):
        if path.parent == bank.folder:
            continue
        try:
            content = parse_json(path.read_bytes(), SETTINGS)
            difference = _difference(bank.settings, content["settings"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            found.append(f"{path.parent.name} (its {SETTINGS} cannot be read)")
            continue
        count = sum(item_named(one.name) is not None for one in path.parent.glob("out-*"))
        found.append(f"{path.parent.name} ({count} models: {difference})")
    return ", ".join(found) or "no other bank"


def _difference(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """Returns how another bank's settings differ."""
    ours, theirs = ({**own, **own.get("training", {})} for own in (wanted, there))
    parts = [word for name, word in _WORDS.items() if ours[name] != theirs.get(name)]
    parts += [
        f"{name} {theirs.get(name)} for {ours[name]}"
        for name in _RECIPE
        if ours[name] != theirs.get(name)
    ]
    return ", ".join(parts) or "other software, loss or optimizer"
