"""The command ``tfunlearn audit``."""

import argparse

from tfunlearn.commands.arguments import file, folder, natural, share
from tfunlearn.commands.options import (
    BANK,
    START,
    add_class_weight,
    add_data,
    add_force,
    add_images,
    add_initial,
    add_recipe,
    add_references,
    class_weights,
    start_of,
)
from tfunlearn.commands.recorded import recorded

_WHAT = ("data", "forget", "classes", "duplicates")
_FILES = ("original", "unlearned", *_WHAT, "reference")
_RECIPE = tuple(name for name in BANK if name != "seed")  # which is the attacks' as well
_DEFAULTS = {"threads": 1, "dtype": "float32", "keep_weights": False}
_CHOICE = "to choose among several banks: "


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command with its options.

    Args:
        commands: the commands of ``tfunlearn``.
    """
    text = "audit unlearned models of your own beside retrained ones"
    parser = commands.add_parser("audit", help=text, description=text, allow_abbrev=False)
    parser.set_defaults(call=call, interrupted="audit begins anew when it is run again")
    option = parser.add_argument
    option(
        "--original",
        type=file,
        required=True,
        metavar="A.keras",
        help="the model that unlearning started from",
    )
    option(
        "--unlearned",
        type=file,
        action="append",
        required=True,
        metavar="B.keras",
        help="the model to audit; may be repeated",
    )
    add_data(parser)
    beside = parser.add_mutually_exclusive_group()
    add_references(beside)
    beside.add_argument(
        "--bank",
        type=folder,
        metavar="DIR",
        help="the folder where tfunlearn bank keeps models retrained without what is forgotten",
    )
    add_recipe(parser, when=_CHOICE, file_when=_CHOICE)
    add_class_weight(parser, when="that the bank was made with: ")
    add_initial(parser, when="as the bank was given it: ")
    option(
        "--level",
        type=share,
        default=0.95,
        metavar="SHARE",
        help="share of retrained models that lie inside the references' spread; an answer takes "
        "1 / (1 - SHARE) - 1 of them (default: %(default)s, 19)",
    )
    option(
        "--out", default="audited", metavar="FOLDER", help="where to write (default: %(default)s)"
    )
    option(
        "--seed",
        type=natural,
        default=0,
        help="seed of the attacks; with --epochs the bank's too (default: 0)",
    )
    add_images(parser)
    add_force(parser)
    option("--verbose", action="store_true", help="show TensorFlow's messages")
    option("--debug", action="store_true", help="show the traceback of an error")


def call(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the parsed arguments.

    Raises:
        argparse.ArgumentTypeError: if options do not fit together.
    """
    _check(args)
    from tfunlearn.experiments.audit_file import audit_file

    described = args.epochs is not None
    own = {name: getattr(args, name) for name in BANK if getattr(args, name) is not None}
    start = start_of(args)
    beside = ("bank", *(_RECIPE if described else ()), "class_weight", *START)
    beside = () if args.bank is None else beside
    audit_file(
        args.original,
        args.unlearned,
        args.data,
        args.out,
        forget=args.forget,
        classes=args.classes,
        duplicates=args.duplicates,
        references=args.reference,
        bank=args.bank,
        bank_options={**own, **start} if described else start or None,
        class_weight=class_weights(args),
        fill=_fill(args),
        level=args.level,
        seed=args.seed,
        images=args.images,
        force=args.force,
        command=recorded("audit", args, (*_FILES, *beside, "level", "seed", "images")),
    )


def _check(args: argparse.Namespace) -> None:
    """Raises unless the bank's options go with a bank, and with its epochs."""
    if args.class_weight is not None and args.bank is None:
        raise argparse.ArgumentTypeError("argument --class-weight: not allowed without --bank")
    given = [n for n in _RECIPE if getattr(args, n) not in (None, _DEFAULTS.get(n))]
    if given and (args.bank is None or args.epochs is None):
        flag = "--" + given[0].replace("_", "-")
        other = "--bank" if args.bank is None else "--epochs"
        raise argparse.ArgumentTypeError(f"argument {flag}: not allowed without {other}")
    if args.initial is not None and args.bank is None:
        raise argparse.ArgumentTypeError("argument --initial: not allowed without --bank")


def _fill(args: argparse.Namespace) -> str:
    """Returns the command that fills the bank that is looked for."""
    words = argparse.Namespace(**{**vars(args), "model": args.original, "out": args.bank})
    if args.epochs is not None:
        names = ("model", *_WHAT, *BANK, "class_weight", *START, "out")
        return recorded("bank", words, names, folders=True)
    words.epochs = "N"
    names = ("model", *_WHAT, "epochs", "class_weight", *START, "out")
    return recorded("bank", words, names, folders=True)
