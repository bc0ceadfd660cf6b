"""The command ``tfunlearn bank``."""

import argparse

from tfunlearn.commands.arguments import file, folder, natural, positive
from tfunlearn.commands.bank_bar import Bar
from tfunlearn.commands.compare import DATASETS, TASKS
from tfunlearn.commands.options import (
    START,
    add_class_weight,
    add_data,
    add_initial,
    add_recipe,
    class_weights,
    start_of,
)

_OF_TASKS = ("dataset", "limit", "data_dir")
_OF_FILES = ("data", "forget", "classes", "duplicates", "batch_size", "class_weight", *START)


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command with its options.

    Args:
        commands: the commands of ``tfunlearn``.
    """
    text = "retrain many models without the forget set, and keep their logits"
    parser = commands.add_parser(
        "bank",
        help=text,
        description=f"{text}; a killed run goes on where it stopped",
        allow_abbrev=False,
    )
    parser.set_defaults(
        call=call,
        interrupted="models finished before are kept, and the same command goes on from there",
    )
    option = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--task", choices=TASKS, help="a task that comes with the package, or")
    what.add_argument("--model", type=file, metavar="M.keras", help="a trained model of your own")
    _add_task(parser)
    add_data(parser, required=False, when="with --model: ")
    add_recipe(parser, file_when="with --model: ")
    add_class_weight(parser, when="with --model: ")
    add_initial(parser, when="with --model: ")
    option(
        "--models", type=positive, default=32, help="models to have in all (default: %(default)s)"
    )
    option(
        "--with-forget",
        type=natural,
        default=0,
        metavar="N",
        help="as many that are trained on the forget set as well (default: %(default)s)",
    )
    option(
        "--retry-diverged",
        action="store_true",
        help="try again the models whose training is known to diverge",
    )
    option("--workers", type=positive, help="processes at a time (default: 1, on Ray all)")
    option("--ray-address", metavar="ADDRESS", help="work on Ray: an address, auto or local")
    option(
        "--out",
        default="tfunlearn-bank",
        metavar="FOLDER",
        help="where to keep it (default: %(default)s)",
    )
    option("--seed", type=natural, default=0, help="seed of all that is drawn (default: 0)")
    option("--verbose", action="store_true", help="show TensorFlow's messages")
    option("--debug", action="store_true", help="show the traceback of an error")


def _add_task(parser: argparse.ArgumentParser) -> None:
    """Adds the options that go with a task."""
    option = parser.add_argument
    option("--dataset", choices=DATASETS, help="with --task (default: digits)")
    option("--limit", type=positive, help="with --task: training images (default: 600 or 10,000)")
    option(
        "--data-dir",
        type=folder,
        metavar="FOLDER",
        help="with --task: folder of the data files (default: the variable TFUNLEARN_DATA_DIR, "
        "else download)",
    )


def call(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the parsed arguments.

    Raises:
        argparse.ArgumentTypeError: if options do not fit together.
    """
    _check(args)
    start_of(args)  # raises if they do not go together
    from tfunlearn.experiments import bank

    bar: list[Bar] = []

    def say(line: str) -> None:
        (bar[-1] if bar else Bar()).say(line)

    def progress() -> Bar:
        bar.append(Bar())
        return bar[-1]

    common = {
        "epochs": args.epochs,
        "seed": args.seed,
        "dtype": args.dtype,
        "keep_weights": args.keep_weights,
        "threads": args.threads,
        "say": say,
    }
    if args.task is not None:
        own = _given(args, _OF_TASKS)
        made = bank.bank_of_task(args.task, args.out, **own, **common)
    else:
        own = {**_given(args, _OF_FILES), "class_weight": class_weights(args)}
        made = bank.bank_of_file(args.model, own.pop("data"), args.out, **own, **common)
    bank.fill(
        made,
        args.models,
        args.with_forget,
        progress=progress,
        workers=args.workers,
        ray_address=args.ray_address,
        **({"retry_diverged": True} if args.retry_diverged else {}),
    )


def _given(args: argparse.Namespace, names: tuple[str, ...]) -> dict[str, object]:
    """Returns the options that were given, of some."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _check(args: argparse.Namespace) -> None:
    """Raises unless the options go with a task, or with a model."""
    other = _OF_FILES if args.task is not None else _OF_TASKS
    for name in _given(args, other):
        flag = "--class" if name == "classes" else "--" + name.replace("_", "-")
        mine = "--task" if args.task is not None else "--model"
        raise argparse.ArgumentTypeError(f"argument {flag}: not allowed with argument {mine}")
    if args.task is None:
        absent = [f"--{name}" for name in ("data", "epochs") if getattr(args, name) is None]
        if args.forget is None and args.classes is None:
            absent.append("--forget or --class")
        if absent:
            raise argparse.ArgumentTypeError(
                f"the following arguments are required with --model: {', '.join(absent)}"
            )
