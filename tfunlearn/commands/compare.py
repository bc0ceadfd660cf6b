"""The command ``tfunlearn compare``."""

import argparse
import pathlib

from tfunlearn.commands.arguments import file, folder, positive
from tfunlearn.commands.options import add_force
from tfunlearn.commands.recorded import recorded

TASKS = ("random", "whole_class", "mislabelled", "backdoor")
DATASETS = ("digits", "mnist", "fashion_mnist", "cifar10")
_OF_TASK = ("task", "dataset", "methods", "seeds", "references", "limit", "epochs")
_RECORDED = (*_OF_TASK, "set", "searched", "workers", "threads")


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command with its options.

    Args:
        commands: the commands of ``tfunlearn``.
    """
    text = "run methods on a task under several seeds, beside retrained models"
    parser = commands.add_parser(
        "compare",
        help=text,
        description=f"{text}; a killed run goes on where it stopped",
        allow_abbrev=False,
    )
    parser.set_defaults(
        call=call,
        interrupted="what was finished before is kept, and the same command goes on from there",
    )
    option = parser.add_argument
    option("--task", choices=TASKS, required=True, help="what is to be forgotten")
    option("--dataset", choices=DATASETS, default="digits", help="(default: %(default)s)")
    option(
        "--methods",
        default="all",
        metavar="NAME,NAME",
        help="which methods, or all that fit the task (default: %(default)s)",
    )
    option("--seeds", type=positive, default=3, help="how many, from 0 (default: %(default)s)")
    option(
        "--references",
        type=positive,
        default=3,
        help="retrained models a seed (default: %(default)s)",
    )
    option(
        "--out",
        default="tfunlearn-compare",
        metavar="FOLDER",
        help="where to write (default: %(default)s)",
    )
    option("--limit", type=positive, help="training images (default: 600 digits, else 10,000)")
    option("--epochs", type=positive, help="epochs of originals and references")
    option(
        "--data-dir",
        type=folder,
        metavar="FOLDER",
        help="folder of the data files (default: the variable TFUNLEARN_DATA_DIR, else download)",
    )
    option(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="METHOD.KEY=VALUE",
        help="options of methods; see: tfunlearn methods",
    )
    option(
        "--searched",
        type=file,
        metavar="FILE",
        help="what benchmarks/search.py wrote: its best settings become rows of their own",
    )
    option("--workers", type=positive, help="rows made at a time (default: 1, on Ray all)")
    option("--ray-address", metavar="ADDRESS", help="work on Ray: an address, auto or local")
    option(
        "--threads",
        type=positive,
        help="CPU threads of each operation, so that machines with other numbers of processors "
        "give the same figures (default: as many as there are)",
    )
    add_force(parser)
    option("--verbose", action="store_true", help="show Keras' progress and TensorFlow's messages")
    option("--debug", action="store_true", help="show the traceback of an error")


def call(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the parsed arguments.

    Raises:
        argparse.ArgumentTypeError: if methods and settings do not fit together.
    """
    from tfunlearn.experiments.compare import compare, plan

    names = None if args.methods == "all" else args.methods.split(",")
    try:
        options, searched = parse_settings(args.set), _best(args.searched)
        plan(args.task, names, options, searched)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error
    compare(
        args.task,
        out=args.out,
        dataset=args.dataset,
        names=names,
        seeds=args.seeds,
        references=args.references,
        limit=args.limit,
        epochs=args.epochs,
        data_dir=args.data_dir,
        options=options,
        searched=searched,
        workers=args.workers,
        ray_address=args.ray_address,
        threads=args.threads,
        command=recorded("compare", args, _RECORDED),
        force=args.force,
        inputs={"searched": args.searched},
        verbose=int(args.verbose),
    )
    print(f"\nWritten: {pathlib.Path(args.out) / 'report.html'} and report.json")


def parse_settings(texts: list[str]) -> dict[str, dict[str, object]]:
    """Returns method to options, from texts ``method.key=value``.

    Args:
        texts: the settings.

    Raises:
        ValueError: if a text has another form, or a method or an option is unknown.
    """
    from tfunlearn.experiments import settings

    found: dict[str, list[str]] = {}
    for text in texts:
        method, dot, rest = text.partition(".")
        if not dot or "=" in method:
            raise ValueError(f"--set: expected METHOD.KEY=VALUE. Received: {text!r}.")
        found.setdefault(method, []).append(rest)
    return {method: settings.parse(method, rest) for method, rest in found.items()}


def _best(path: pathlib.Path | None) -> dict[str, dict[str, object]]:
    """Returns method to the best options that a search found for it."""
    if path is None:
        return {}
    from tfunlearn.reading import read_json_file

    try:
        content = read_json_file(path, "--searched")
    except ValueError as error:
        raise ValueError(f"{error} Expected a file of benchmarks/search.py.") from error
    rows = content.get("best") if isinstance(content, dict) else None
    if not isinstance(rows, dict) or content.get("schema") != "tfunlearn.search":
        raise ValueError(f"--searched: expected a file of benchmarks/search.py. Received: {path}.")
    found: dict[str, dict[str, object]] = {}
    for name, row in rows.items():
        options = row.get("options") if isinstance(row, dict) else None
        if not isinstance(options, dict):
            raise ValueError(
                f"--searched: {str(path)!r}: best.{name} must be an object with options. "
                f"Received: {row!r:.80}."
            )
        if options:
            found[name] = options
    return found
