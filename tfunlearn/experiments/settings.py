"""Options of methods as text: read from a command line, and shown with their defaults."""

import ast
import inspect
import re
import textwrap
import types
import typing
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfunlearn import methods
from tfunlearn.methods import Method
from tfunlearn.reading import check_values, parse_json

_LONGEST, _SHOWN = 100_000, 200  # characters of a value
_NO_NUMBERS = {"nan", "inf", "infinity"}  # which would be words

_ELSEWHERE = {
    "seed": "--seed",
    "sample_weight": "the array sample_weight_train in the data file",
    "verbose": "--verbose",
    "callbacks": "tfunlearn.unlearn in Python, as callbacks are objects",
}


def parse(method: str, texts: Iterable[str], flag: str = "--set") -> dict[str, Any]:
    """Returns options of a method from texts ``key=value``.

    A value is a Python literal or JSON; a word that is neither stands for itself.

    Args:
        method: the method's name.
        texts: the options, each key once.
        flag: how messages name where they come from.

    Raises:
        ValueError: if the method is unknown, or an option is, or is given twice, or its value is
            not of the kind that the method takes.

    Example:
        >>> from tfunlearn.experiments import settings
        >>> settings.parse("vision_confuser", ["stddev={0: 0.6}", "layers=stem", "bias=true"])
        {'stddev': {0: 0.6}, 'layers': 'stem', 'bias': True}
    """
    line = methods.describe(method)
    hints = _hints(line)
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise ValueError(f"{flag}: expected key=value. Received: {text!r}.")
        if key not in line.options:
            raise ValueError(
                f"{flag}: {method} does not take {key!r}. "
                f"Expected: some of {', '.join(sorted({*line.options} - {*_ELSEWHERE}))}."
            )
        if key in _ELSEWHERE:
            raise ValueError(f"{flag}: {key} is not set here. Expected: {_ELSEWHERE[key]}.")
        if key in found:
            raise ValueError(f"{flag}: expected every option once. Received {key!r} twice.")
        found[key] = _value(value, text, flag)
        if not _fits(found[key], hints.get(key, Any)):
            raise ValueError(
                f"{flag}: {key} takes {_words(hints[key])}. Received: {value!r}, "
                f"which is {type(found[key]).__name__}."
            )
    return found


def listing(names: Sequence[str] = ()) -> str:
    """Returns the table of methods, and each method's options with defaults and meaning.

    Args:
        names: the methods whose options are listed; none for the table and the options of all.

    Raises:
        ValueError: if a method is unknown.
    """
    lines = [methods.describe(name) for name in (names or methods.names())]
    parts = [] if names else [methods.table()]
    return "\n\n".join([*parts, *map(_options, lines)])


def _options(method: Method) -> str:
    """Returns a method's name, effect and options."""
    meaning = _arguments(method)
    shown = [f"{name}={_shown(value)}" for name, value in method.options.items()]
    width = max(len(text) for text in shown)
    lines = textwrap.wrap(f"{method.name}: {method.summary}", 100)
    for name, text in zip(method.options, shown, strict=True):
        lines += textwrap.wrap(
            meaning.get(name, ""),
            100,
            initial_indent=f"  {text.ljust(width)}  ",
            subsequent_indent=" " * (width + 4),
        ) or [f"  {text}"]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """Returns a default as text; of a class or a function its name."""
    return getattr(value, "__name__", None) or repr(value)


def _arguments(method: Method) -> dict[str, str]:
    """Returns each argument's meaning, from the method's documentation."""
    doc = inspect.getdoc(method.function) or ""
    section = re.search(r"^Args:\n((?:[ ]+.*\n|\n(?=[ ]))*)", doc + "\n", re.MULTILINE)
    entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.M)
    return {name: " ".join(text.replace("``", "").split()) for name, text in entries}


def _value(value: str, text: str, flag: str) -> Any:
    """Returns a value: a Python literal, JSON, or a word."""
    for read in (_literal, _json):
        try:
            found = read(value)
            check_values(found)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return found
    if re.fullmatch(r"[A-Za-z_][\w.+*|-]*", value) and value.lower() not in _NO_NUMBERS:
        return value
    raise ValueError(
        f"{flag}: expected a value that is a number, true, false, null, a list, a dict with each "
        "key once, or text "
        "(with quotes, if it is more than a word); numbers are finite and have at most 64 bits. "
        f"Received: {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'!r}."
    )


def _literal(value: str) -> Any:
    """Returns a Python literal, without Python's warnings on how it is written."""
    if len(value) > _LONGEST:  # the parser's memory grows with what is inside one another
        raise ValueError("too long")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(value, mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                keys = [ast.literal_eval(key) for key in node.keys]
                if len(set(keys)) < len(keys):
                    raise ValueError("a key twice")
        return ast.literal_eval(tree)


def _json(value: str) -> Any:
    return parse_json(value, "the value")


def _hints(method: Method) -> dict[str, Any]:
    """Returns the types of a method's options, as far as they are stated."""
    try:
        return typing.get_type_hints(method.function)
    except NameError:  # a name that exists for type checkers alone
        return {}


def _fits(value: Any, hint: Any) -> bool:
    """Tells whether a value read from text is of a stated type; what is unclear passes."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, str | typing.TypeVar):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in inside)
    if origin is typing.Literal:
        return value in inside
    if hint in (None, type(None)):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    kind = origin or hint
    if not isinstance(kind, type) or kind in (type, typing.Callable):
        return False
    if issubclass(kind, Sequence) and not issubclass(kind, str):
        return isinstance(value, list | tuple) and all(_fits(item, inside[0]) for item in value)
    if issubclass(kind, Mapping):
        return isinstance(value, dict)
    return isinstance(value, kind)


def _words(hint: Any) -> str:
    """Returns a type as one would write it."""
    text = hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text).replace("NoneType", "None")
