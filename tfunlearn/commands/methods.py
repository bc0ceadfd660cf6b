"""The command ``tfunlearn methods``."""

import argparse


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the command with its options.

    Args:
        commands: the commands of ``tfunlearn``.
    """
    text = "list the methods, and every option of each with its default"
    parser = commands.add_parser("methods", help=text, description=text, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only the options of these")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(call=call, out=None, verbose=False, interrupted="")


def call(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the parsed arguments.

    Raises:
        argparse.ArgumentTypeError: if a method is unknown.
    """
    from tfunlearn.experiments import settings

    try:
        print(settings.listing(args.names))
    except ValueError as error:
        raise argparse.ArgumentTypeError(error) from error
