"""The command ``tfunlearn``: calls an experiment and reports errors in one line."""

import contextlib
import errno
import os
import select
import sys
from collections.abc import Sequence

from tfunlearn.interrupts import Interrupts

OK, FAILED, BAD_ARGUMENTS, INTERRUPTED, NOBODY_READS = 0, 1, 2, 130, 141
_LONGEST_MESSAGE = 600
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: the arguments; by default those of the process.

    Returns:
        The exit status: 0 done, 1 failed, 2 bad arguments (an ``--out`` that cannot be written to
        is one), 130 interrupted by Ctrl-C, 143 by SIGTERM, 141 where what reads the output ended.
    """
    _open_standard_files()
    with Interrupts(of_process=argv is None) as interrupts:
        kept = ""
        try:
            status, args = _parsed(sys.argv[1:] if argv is None else argv)
            if args is None:
                return status
            kept = f"; {args.interrupted}" if args.interrupted else ""
            return _called(args, interrupts)
        except KeyboardInterrupt:
            return _say_error(f"{interrupts.words}{kept}", interrupts.status)


def _parsed(argv: Sequence[str]) -> tuple[int, object]:
    """Returns the parsed arguments, or None and the exit status."""
    from tfunlearn.commands import line  # not at the top: nothing is imported past the handlers

    try:
        return OK, line.parse(argv)
    except SystemExit as stop:  # argparse has said what there was to say
        return _flushed(int(stop.code or OK)), None
    except OSError as error:
        return _of_output(error) or _say_error(error, BAD_ARGUMENTS), None
    except ValueError as error:
        return _say_error(error, BAD_ARGUMENTS), None


def _called(args: object, interrupts: Interrupts) -> int:
    """Runs the command that was parsed and returns the exit status."""
    import argparse

    from tfunlearn.experiments import startup
    from tfunlearn.storage import Refused

    try:
        startup.start(quiet=not (args.verbose or args.debug))
        interrupts.at_once = False
        args.call(args)
        status = _flushed(OK)
    except (argparse.ArgumentTypeError, Refused) as error:
        status = _say_error(error, BAD_ARGUMENTS)
    except Exception as error:  # whatever it is, the user gets one line
        if interrupts.number is not None:  # what swallowed the interrupt failed by it
            raise KeyboardInterrupt from error
        status = _of_output(error) if isinstance(error, OSError) else OK
        if status == OK:
            if args.debug:
                raise
            status = _say_error(error, FAILED)
    if interrupts.number is not None:  # swallowed, and the command ended before it was raised again
        raise KeyboardInterrupt
    return status


def _open_standard_files() -> None:
    """Opens nowhere in place of standard files that are closed, or others would get their numbers.

    Libraries would then write their messages into one of ours.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.fstat(number)
                continue
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number
            setattr(sys, name, open(number, "r+" if number else "r", closefd=False))  # noqa: SIM115


def _flushed(status: int) -> int:
    """Writes out what was printed and returns the status, or that of an output which fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _throw_away()
        if isinstance(error, BrokenPipeError):
            return NOBODY_READS
        text = f"standard output cannot be written to: {error.strerror}"
        return _say_error(text, FAILED)
    return status


def _of_output(error: OSError) -> int:
    """Returns the status of an error that comes from the output, or 0 if it does not."""
    status = _flushed(OK)
    if status == OK and isinstance(error, BrokenPipeError) and _nobody_reads():
        _throw_away()
        return NOBODY_READS
    if status == OK and error.errno in _FULL and error.filename is None:
        text = f"standard output, or a temporary file, cannot be written to: {error.strerror}"
        return _say_error(text, FAILED)
    return status


def _nobody_reads() -> bool:
    """Tells whether what reads the output has ended, as `head` does."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _throw_away() -> None:
    """Sends to nowhere what Python would still write to the output at its end."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


def _say_error(error: object, status: int) -> int:
    """Prints an error as one line on stderr and returns the exit status."""
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > _LONGEST_MESSAGE:
        text = text[:_LONGEST_MESSAGE] + " ..."
    hint = " (--debug shows where)" if status == FAILED else ""
    with contextlib.suppress(OSError):  # it cannot be written to either; the status tells
        print(f"tfunlearn: error: {text}{hint}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
