"""Options that several commands have: data of one's own, what to forget, a bank's recipe."""

import argparse

from tfunlearn.commands.arguments import class_weight, file, natural, positive

BANK = ("epochs", "batch_size", "seed", "threads", "dtype", "keep_weights")
"""What a bank is kept under besides model and data, as the options' names."""

START = ("initial", "fresh")
"""What retrained models begin with, as the options' names."""


def add_data(parser: argparse.ArgumentParser, *, required: bool = True, when: str = "") -> None:
    """Adds ``--data``, ``--duplicates`` and, one excluding the other, ``--forget`` and ``--class``.

    Args:
        parser: the command's.
        required: whether they must be given.
        when: words before each help text.
    """
    parser.add_argument(
        "--data",
        type=file,
        required=required,
        metavar="D.npz",
        help=f"{when}arrays x_train, y_train, x_test, y_test; labels are class ids or one-hot; "
        "sample_weight_train for weights in the loss",
    )
    what = parser.add_mutually_exclusive_group(required=required)
    what.add_argument(
        "--forget",
        type=file,
        metavar="IDS.txt",
        help=f"{when}what to forget: a row of x_train a line",
    )
    what.add_argument(
        "--class",
        dest="classes",
        type=natural,
        nargs="+",
        metavar="CLASS",
        help=f"{when}what to forget: whole classes",
    )
    parser.add_argument(
        "--duplicates",
        choices=("forget", "keep"),
        help=f"{when}exact copies of forgotten rows: forget takes them along, keep leaves them "
        "(default: leave them, and say so)",
    )


def add_class_weight(parser: argparse.ArgumentParser, *, when: str = "") -> None:
    """Adds ``--class-weight``.

    Args:
        parser: the command's.
        when: words before the help text.
    """
    parser.add_argument(
        "--class-weight",
        type=class_weight,
        nargs="+",
        metavar="CLASS=WEIGHT",
        help=f"{when}weights of classes in the loss, as the original's fit had them: 0=1 1=20",
    )


def class_weights(args: argparse.Namespace) -> dict[int, float] | None:
    """Returns what ``--class-weight`` was given, or None.

    Args:
        args: the parsed arguments.

    Raises:
        argparse.ArgumentTypeError: if a class is named twice.
    """
    if args.class_weight is None:
        return None
    labels = [label for label, _ in args.class_weight]
    for label in labels:
        if labels.count(label) > 1:
            raise argparse.ArgumentTypeError(
                f"argument --class-weight: expected every class once. Received {label} twice."
            )
    return dict(args.class_weight)


def add_initial(parser: argparse.ArgumentParser, *, when: str = "") -> None:
    """Adds ``--initial`` and ``--fresh``.

    Args:
        parser: the command's.
        when: words before each help text.
    """
    parser.add_argument(
        "--initial",
        type=file,
        metavar="W.keras",
        help=f"{when}what the original's training began with, a .keras or .weights.h5 file: "
        "retrained models begin with its weights; layers that it lacks are drawn anew",
    )
    parser.add_argument(
        "--fresh",
        nargs="+",
        metavar="LAYER",
        help="with --initial: layers to draw anew although it holds them, such as the head",
    )


def start_of(args: argparse.Namespace) -> dict[str, object]:
    """Returns what was given of ``START``.

    Args:
        args: the parsed arguments.

    Raises:
        argparse.ArgumentTypeError: if layers are to be drawn anew of no start.
    """
    if args.fresh and args.initial is None:
        raise argparse.ArgumentTypeError("argument --fresh: not allowed without --initial")
    return {name: getattr(args, name) for name in START if getattr(args, name) is not None}


def add_references(group: argparse._ActionsContainer) -> None:
    """Adds ``--reference``.

    Args:
        group: the command's parser, or a group of its options.
    """
    group.add_argument(
        "--reference",
        type=file,
        action="append",
        default=[],
        metavar="R.keras",
        help="a model retrained without what is forgotten, to compare with; may be repeated",
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    """Adds ``--force``.

    Args:
        parser: the command's.
    """
    parser.add_argument(
        "--force",
        action="store_true",
        help="overwrite files in --out that this command did not write or that were changed since, "
        "but never what it reads",
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    """Adds ``--images``.

    Args:
        parser: the command's.
    """
    parser.add_argument(
        "--images",
        action="store_true",
        help="show the forget examples furthest off as small images, for 8-bit images alone; the "
        "report then holds a part of what is to be forgotten",
    )


def add_recipe(parser: argparse.ArgumentParser, *, when: str = "", file_when: str = "") -> None:
    """Adds what a bank is kept under besides model and data, all of ``BANK`` but the seed.

    Args:
        parser: the command's.
        when: words before each help text.
        file_when: words before the help text of what goes with a model of one's own.
    """
    option = parser.add_argument
    option(
        "--epochs",
        type=positive,
        help=f"{when}epochs of each model, as many as the original had",
    )
    option("--batch-size", type=positive, help=f"{file_when}examples a batch (default: 128)")
    option(
        "--threads",
        type=positive,
        default=1,
        help=f"{when}CPU threads of each model (default: %(default)s)",
    )
    option(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help=f"{when}of the logits (default: %(default)s)",
    )
    option("--keep-weights", action="store_true", help=f"{when}keep the weights too")
