"""Kinds of command-line arguments: from text to a value, or the rule that the text breaks."""

import argparse
import math
import pathlib
from collections.abc import Callable

from tfunlearn.reading import existing_file, existing_folder

_LARGEST = 2**31 - 1  # what every library takes for a count or a seed


def positive(text: str) -> int:
    """Returns a whole number of at least 1."""
    return _number(text, int, lambda value: value >= 1, "a whole number of at least 1")


def natural(text: str) -> int:
    """Returns a whole number of at least 0."""
    return _number(text, int, lambda value: value >= 0, "a whole number of at least 0")


def share(text: str) -> float:
    """Returns a number inside (0, 1)."""
    return _number(text, float, lambda value: 0 < value < 1, "a share inside (0, 1)")


def class_weight(text: str) -> tuple[int, float]:
    """Returns class and weight of a text ``CLASS=WEIGHT``."""
    label, equals, weight = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(
            f"expected CLASS=WEIGHT, such as 1=20. Received: {text!r}."
        )
    rule = "a finite weight of at least 0"
    return natural(label), _number(weight, float, lambda value: 0 <= value < math.inf, rule)


def file(text: str) -> pathlib.Path:
    """Returns the path of a file that is there."""
    return _path(existing_file, text, "an existing file")


def folder(text: str) -> pathlib.Path:
    """Returns the path of a folder that is there."""
    return _path(existing_folder, text)


def _path(read: Callable[..., pathlib.Path], text: str, *kind: str) -> pathlib.Path:
    """Returns a path, or raises with the rule that it breaks."""
    try:
        return read(text, "path", *kind)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("path: ")) from error


def _number(
    text: str, kind: type[int] | type[float], holds: Callable[[float], bool], rule: str
) -> int | float:
    """Returns a number, or raises with the rule that it breaks."""
    try:
        value = kind(text)
        if value > _LARGEST:
            rule = f"a number of at most {_LARGEST}"
        elif holds(value):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected {rule}. Received: {text!r}.")
