"""The command ``tfunlearn unlearn``."""

import argparse
from typing import Any

from tfunlearn.commands.arguments import file, natural, share
from tfunlearn.commands.options import (
    add_class_weight,
    add_data,
    add_force,
    add_images,
    add_initial,
    add_references,
    class_weights,
    start_of,
)


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command with its options.

    Args:
        commands: the commands of ``tfunlearn``.
    """
    text = "unlearn a saved model of your own"
    parser = commands.add_parser("unlearn", help=text, description=text, allow_abbrev=False)
    parser.set_defaults(call=call, interrupted="unlearn begins anew when it is run again")
    option = parser.add_argument
    option("--model", type=file, required=True, metavar="M.keras", help="the trained model")
    add_data(parser)
    option("--method", required=True, metavar="NAME", help="see: tfunlearn methods")
    _add_settings(parser, "--set", "options of the method; see: tfunlearn methods NAME")
    add_references(parser)
    _add_settings(
        parser,
        "--retrain",
        "retrain to compare with: epochs=N (as many as the original had), batch_size=N, ...",
    )
    add_class_weight(parser, when="for the method and --retrain: ")
    add_initial(parser, when="with --retrain: ")
    option(
        "--validation",
        type=share,
        metavar="SHARE",
        help="share of the test examples to set apart, for methods that read validation",
    )
    option(
        "--out",
        default="unlearned",
        metavar="FOLDER",
        help="where to write (default: %(default)s)",
    )
    option("--seed", type=natural, default=0, help="seed of all that is drawn (default: 0)")
    add_images(parser)
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
    from tfunlearn.experiments import settings
    from tfunlearn.experiments.unlearn_file import unlearn_file

    try:
        options = settings.parse(args.method, args.set or ())
        again = None
        if args.retrain is not None:
            again = settings.parse("retrain", args.retrain, "--retrain")
            if "epochs" not in again:
                raise ValueError("--retrain: expected epochs=N, as many as the original was given.")
            again |= start_of(args)
        elif args.initial is not None or args.fresh is not None:
            raise ValueError("--initial: not allowed without --retrain")
        _weigh(args, options, again)
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error
    unlearn_file(
        args.model,
        args.data,
        args.out,
        method=args.method,
        forget=args.forget,
        classes=args.classes,
        duplicates=args.duplicates,
        options=options,
        references=args.reference,
        retrain=again,
        validation=args.validation,
        seed=args.seed,
        images=args.images,
        force=args.force,
        verbose=int(args.verbose),
    )


def _weigh(args: argparse.Namespace, options: dict[str, Any], again: dict[str, Any] | None) -> None:
    """Puts the class weights among the options of the method and of --retrain."""
    from tfunlearn import methods

    weights = class_weights(args)
    if weights is None:
        return
    takes = "class_weight" in methods.describe(args.method).options
    if not takes and again is None:
        raise ValueError(
            f"--class-weight: {args.method} does not take it, as it does not train on what stays "
            "by the model's loss. Expected: another method, or --retrain, which takes it."
        )
    for given, flag in ((options if takes else None, "--set"), (again, "--retrain")):
        if given is None:
            continue
        if "class_weight" in given:
            raise ValueError(
                f"--class-weight: expected class weights once. Received: also {flag} class_weight."
            )
        given["class_weight"] = weights


def _add_settings(parser: argparse.ArgumentParser, flag: str, text: str) -> None:
    """Adds an option that takes several ``KEY=VALUE``."""
    parser.add_argument(flag, nargs="+", action="extend", metavar="KEY=VALUE", help=text)
