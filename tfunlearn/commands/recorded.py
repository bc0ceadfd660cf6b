"""The command line that gives some arguments, as a report keeps it."""

import argparse
import pathlib
import shlex
from collections.abc import Sequence


def recorded(
    command: str, args: argparse.Namespace, names: Sequence[str], *, folders: bool = False
) -> str:
    """Returns a command line with some of its arguments.

    Args:
        command: the command, as ``"compare"``.
        args: the parsed arguments.
        names: those to keep, in this order; what is None, empty or an absent flag is left out. A
            list of paths is an option given several times, another list an option of several words.
        folders: whether the folders of paths are kept. What others read has names of files alone.

    Example:
        >>> import argparse, pathlib
        >>> from tfunlearn.commands.recorded import recorded
        >>> args = argparse.Namespace(data=pathlib.Path("/home/me/d.npz"), seeds=3, classes=[1, 2])
        >>> recorded("audit", args, ("data", "classes", "seeds"))
        'tfunlearn audit --data d.npz --class 1 2 --seeds 3'
    """
    parts = ["tfunlearn", command]
    for name in names:
        value = getattr(args, name)
        flag = "--class" if name == "classes" else "--" + name.replace("_", "-")
        if value is None or value is False or value == []:
            continue
        if value is True:
            parts.append(flag)
        elif isinstance(value, list) and not isinstance(value[0], pathlib.Path):
            parts += [flag, *map(_word, value)]
        else:
            for one in value if isinstance(value, list) else [value]:
                short = isinstance(one, pathlib.Path) and not folders
                parts += [flag, one.name if short else str(one)]
    return shlex.join(parts)


def _word(value: object) -> str:
    """Returns a value as it is written; a pair of class and weight as ``CLASS=WEIGHT``."""
    return f"{value[0]}={value[1]:.12g}" if isinstance(value, tuple) else str(value)
