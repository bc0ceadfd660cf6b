"""Finding the bank of a model and its data in a directory, whatever it was trained with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tfunlearn.audit.bank import ReferenceBank
from tfunlearn.audit.bank_entry import SETTINGS
from tfunlearn.data import ForgetSplit
from tfunlearn.reading import expanded, parse_json

__all__ = ["find_bank"]

_OPTIONS = {  # name in the settings to argument of the bank
    "roles": "roles",
    "dtype": "dtype",
    "weights": "keep_weights",
    "seed": "seed",
    "threads": "threads",
}
_TRAINING = ("epochs", "batch_size", "jit_compile")
_NESTED = ("training", "data", "versions")


def find_bank(
    directory: str | os.PathLike[str],
    model: keras.Model,
    split: ForgetSplit,
    *,
    loss: Any = None,
    optimizer: Any = None,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    initial: keras.Model | None = None,
    fresh: Sequence[str] | str = (),
    say: Callable[[str], None] | None = print,
) -> ReferenceBank:
    """Returns the bank in a directory that was made for a model and its data.

    Epochs, batch size, first seed and the like are read from the bank; all that it depends on must
    be as it was.

    Args:
        directory: Where banks are kept.
        model: The original.
        split: The data.
        loss: As the bank was given it; by default the model's own.
        optimizer: As the bank was given it; by default like the model's own.
        class_weight: As the bank was given it.
        sample_weight: As the bank was given it.
        initial: As the bank was given it.
        fresh: As the bank was given it.
        say: As in `ReferenceBank`.

    Raises:
        FileNotFoundError: If there is no bank at all.
        ValueError: If none was made for this, with what differs; or if several were.
    """
    paths = sorted(expanded(directory, "directory").glob(f"*/{SETTINGS}"))
    if not paths:
        raise FileNotFoundError(
            f"directory: expected a folder with banks, as tfunlearn bank makes them. "
            f"Received: {str(directory)!r}, with none."
        )
    given = {"loss": loss, "optimizer": optimizer, "say": say}
    given |= {"class_weight": class_weight, "sample_weight": sample_weight}
    given |= {"initial": initial, "fresh": fresh}
    found, differences = [], []
    for path in paths:
        try:
            kept = parse_json(path.read_bytes(), SETTINGS)["settings"]
            options = {own: kept[name] for name, own in _OPTIONS.items()}
            options |= {name: kept["training"][name] for name in _TRAINING}
            bank = ReferenceBank(directory, model, split, **options, **given)
        except (OSError, ValueError, KeyError, TypeError) as error:
            differences.append(f"{path.parent.name} cannot be used ({error})")
            continue
        if bank.folder.name == path.parent.name:
            found.append(bank)
        else:
            other = ", ".join(_differing(kept, bank.settings)) or "its files"
            differences.append(f"{path.parent.name} differs in {other}")
    return _one(found, differences, directory)


def _one(
    found: list[ReferenceBank], differences: list[str], directory: str | os.PathLike[str]
) -> ReferenceBank:
    """Returns the only one, or raises."""
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(bank.folder.name for bank in found)
        raise ValueError(
            "directory: expected one bank for this model and data. Received "
            f"{len(found)} in {str(directory)!r}: {names}; make a ReferenceBank with their options."
        )
    raise ValueError(
        "directory: expected a bank of this model, data, recipe, versions and code. Received: "
        f"{'; '.join(differences)}."
    )


def _differing(left: Any, right: Any, prefix: str = "") -> list[str]:
    """Returns the settings in which two banks differ."""
    names = []
    for name in sorted({*left, *right}):
        pair = left.get(name), right.get(name)
        if all(isinstance(part, dict) for part in pair) and name in (
            "training",
            "data",
            "versions",
        ):
            names += _differing(*pair, prefix=f"{name} ")
        elif pair[0] != pair[1]:
            names.append(prefix + name)
    return names
