"""Times the start of a process: `import tfunlearn`, `tfunlearn --help`, and `import tensorflow`.

Writes results/import.json. Each start is a fresh process, timed from outside, the interpreter
included; they take turns, and a bare interpreter stands beside them. tfunlearn imports its parts at
their first use, so that a line which uses one of them is timed as well.

    python benchmarks/run_import.py
"""

import os
import subprocess
import sys
import time

import rounds

COMMANDS = {
    "python": "pass",
    "tensorflow": "import tensorflow",
    "keras": "import keras",
    "tfunlearn": "import tfunlearn",
    "first_use": "import tfunlearn; tfunlearn.methods, tfunlearn.audit",
    "help": "import sys; sys.argv = ['tfunlearn', '--help']; import tfunlearn.cli as c; c.main()",
}


def main(argv=None) -> None:
    """Times all and writes the result."""
    parser = rounds.parser(__doc__, "import")
    args = rounds.read(parser, argv)
    found = [one_round(number) for number in range(args.rounds)]
    from tfunlearn.experiments import startup

    startup.start()  # what it ran on names TensorFlow too
    theirs = [{"s": one["tensorflow"]} for one in found]
    content = {
        "commands": COMMANDS,
        "seconds": rounds.summaries(found),
        "ratio": {
            name: rounds.ratio(theirs, [{"s": one[name]} for one in found], "s")
            for name in ("tfunlearn", "first_use", "help")
        },
    }
    rounds.write("import", args, content)


def one_round(number):
    """Returns the seconds of each command."""
    seconds = {name: started(code) for name, code in COMMANDS.items()}
    print(number, {name: round(value, 3) for name, value in seconds.items()}, flush=True)
    return seconds


def started(code):
    """Returns the seconds of a fresh process that runs some code."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=quiet)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
