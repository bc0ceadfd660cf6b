"""The command line of ``tfunlearn``: its commands, and those whose options are few."""

import argparse
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import IO, NoReturn

from tfunlearn._version import __version__
from tfunlearn.commands import audit, bank, compare, methods, unlearn
from tfunlearn.commands.arguments import folder, natural, positive, share
from tfunlearn.commands.options import add_force
from tfunlearn.storage import writable_folder

JIT_COMPILE = {"auto": "auto", "on": True, "off": False}
_STAGES_STAY = "stages finished before are kept, and the same command goes on from there"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Returns the parsed arguments; ``call`` runs the command, ``out`` can be written to.

    Args:
        argv: the arguments.

    Raises:
        SystemExit: if they ask for help or the version; it has been printed.
        OSError: if ``--out`` cannot be written to.
        ValueError: if they are wrong.
    """
    for text in argv:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"argument {text!r}: expected UTF-8. Received other bytes.") from None
    args = parser().parse_args(argv)
    if args.out is not None:
        writable_folder(args.out, "--out")
    return args


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Raises, where argparse would print its usage and end the process."""
        raise ValueError(f"{message} (see {self.prog} --help)")

    def _print_message(self, message: str, file: IO[str] | None = None) -> None:
        """Prints help, and does not pass over an output that cannot be written to."""
        print(message, end="", file=file or sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the whole command line."""
    parser = _Parser(
        prog="tfunlearn",
        description="Machine unlearning for Keras classifiers, with an audit against retraining.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tfunlearn {__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    _add_demo(commands)
    unlearn.add(commands)
    audit.add(commands)
    methods.add(commands)
    compare.add(commands)
    bank.add(commands)
    run = commands.add_parser(
        "run", help="repeat a notebook on real data; goes on where a killed run stopped"
    )
    experiments = run.add_subparsers(metavar="experiment", required=True)
    _add_mnist_retrain(experiments)
    _add_cifar10_confuser(experiments)
    return parser


def _add_demo(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "demo",
        "forget two ways with several methods, on digits that come with scikit-learn",
        _demo,
        out="tfunlearn-demo",
        fraction=0.1,
        interrupted="the demo begins anew when it is run again",
    )
    parser.add_argument(
        "--epochs", type=positive, help="epochs of each unlearning (default: each method's own)"
    )
    parser.add_argument(
        "--limit", type=positive, default=500, help="training images (default: %(default)s)"
    )
    parser.add_argument(
        "--methods",
        metavar="NAME,NAME",
        help="which methods to try, or all (default: a choice that takes about a minute)",
    )


def _add_mnist_retrain(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "mnist-retrain",
        "the MNIST notebook: train, discard, retrain on the part that stays",
        _mnist_retrain,
        out="runs/mnist-retrain",
        fraction=0.9,
    )
    _add_data_options(parser, epochs="epochs of each training")
    parser.add_argument(
        "--init",
        choices=("torch", "keras"),
        default="torch",
        help="initial weights as PyTorch or as Keras draws them (default: %(default)s)",
    )


def _add_cifar10_confuser(commands: argparse._SubParsersAction) -> None:
    parser = _add(
        commands,
        "cifar10-confuser",
        "the CIFAR-10 notebook: a ResNet50, confused and rebuilt in several ways",
        _cifar10_confuser,
        out="runs/cifar10-confuser",
        fraction=0.1,
    )
    _add_data_options(parser, epochs="epochs of each unlearning")
    parser.add_argument(
        "--rows",
        metavar="NAME,NAME",
        help="which ways to try, NAME@EPOCHS for one with its own epochs (default: four)",
    )
    parser.add_argument(
        "--jit-compile",
        choices=JIT_COMPILE,
        default="auto",
        help="compile the training with XLA; auto does on GPUs (default: %(default)s)",
    )


def _add(
    commands: argparse._SubParsersAction,
    name: str,
    text: str,
    call: Callable[[argparse.Namespace], object],
    *,
    out: str,
    fraction: float,
    interrupted: str = _STAGES_STAY,
) -> argparse.ArgumentParser:
    """Adds a command with the options that all have."""
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(call=call, interrupted=interrupted)
    option = parser.add_argument
    option("--out", default=out, metavar="FOLDER", help="where to write (default: %(default)s)")
    add_force(parser)
    option("--seed", type=natural, default=0, help="seed of all that is drawn (default: 0)")
    option(
        "--forget-fraction",
        type=share,
        default=fraction,
        metavar="SHARE",
        help="share of the training images to forget (default: %(default)s)",
    )
    option("--verbose", action="store_true", help="show Keras' progress and TensorFlow's messages")
    option("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add_data_options(parser: argparse.ArgumentParser, epochs: str) -> None:
    """Adds the options of experiments on downloaded data."""
    parser.add_argument(
        "--data-dir",
        type=folder,
        metavar="FOLDER",
        help="folder of the data files (default: the variable TFUNLEARN_DATA_DIR, else download)",
    )
    parser.add_argument(
        "--epochs", type=positive, default=5, help=f"{epochs} (default: %(default)s)"
    )
    parser.add_argument("--limit", type=positive, help="training images to use (default: all)")


def _demo(args: argparse.Namespace) -> None:
    from tfunlearn.experiments.demo import SHOWN, demo
    from tfunlearn.methods import describe

    which = SHOWN if args.methods is None else tuple(args.methods.split(","))
    which = None if which == ("all",) else which
    try:
        for name in which or ():
            describe(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"argument --methods: {error}") from error
    reports = demo(
        args.out,
        which=which,
        seed=args.seed,
        epochs=args.epochs,
        forget_fraction=args.forget_fraction,
        limit=args.limit,
        force=args.force,
        verbose=int(args.verbose),
    )
    failures = [
        note for report in reports.values() for note in report.notes if ": failed: " in note
    ]
    if failures:
        raise RuntimeError(f"{len(failures)} of the demo's methods failed; {failures[0]}")


def _mnist_retrain(args: argparse.Namespace) -> None:
    from tfunlearn.experiments.mnist_retrain import mnist_retrain

    mnist_retrain(args.out, init=args.init, **_data_options(args))
    print(f"\nWritten: {pathlib.Path(args.out) / 'result.json'}")


def _cifar10_confuser(args: argparse.Namespace) -> None:
    from tfunlearn.experiments.cifar10_confuser import DEFAULT_ROWS, cifar10_confuser, parse_row

    rows = DEFAULT_ROWS if args.rows is None else tuple(args.rows.split(","))
    try:
        for row in rows:
            parse_row(row, args.epochs)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"argument --{error}") from error
    jit_compile = JIT_COMPILE[args.jit_compile]
    print(cifar10_confuser(args.out, rows=rows, jit_compile=jit_compile, **_data_options(args)))
    print(f"\nWritten: {pathlib.Path(args.out) / 'report.html'} and report.json")


def _data_options(args: argparse.Namespace) -> dict[str, object]:
    return {
        "data_dir": args.data_dir,
        "seed": args.seed,
        "epochs": args.epochs,
        "forget_fraction": args.forget_fraction,
        "limit": args.limit,
        "force": args.force,
        "verbose": int(args.verbose),
    }
