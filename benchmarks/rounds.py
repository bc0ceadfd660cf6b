"""What the side-by-side benchmarks share: contestants that take turns, and what is written of them.

Each contestant runs in a process of its own, so that no library's threads or memory are in
another's way, and all of them run in each round, so that a busy machine slows all. A ratio is taken
inside a round; its median over the rounds, the lowest and the highest are written.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
_LOCAL = ("data_dir", "out", "contestant", "folder", "here", "seed")  # not in a recorded command


def parser(doc, name, rounds=5):
    """Returns a parser with the options of all side-by-side benchmarks."""
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--rounds", type=int, default=rounds, help="each contestant once in each")
    made.add_argument("--out", default=str(RESULTS / f"{name}.json"))
    return made


def add_contestants(made, names):
    """Adds the options of a benchmark whose contestants have a process each."""
    made.add_argument("--only", nargs="+", choices=names, help="(default: all contestants)")
    made.add_argument("--here", action="store_true", help="all in this process: for a quick look")
    for name, kind in (("contestant", str), ("folder", str), ("seed", int)):
        made.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)


def read(made, argv, smaller=()):
    """Returns the arguments, unless a smaller run would be written over the committed result.

    Args:
        made: the parser.
        argv: the command line, or None.
        smaller: names of numbers of which less than the default makes a smaller run.
    """
    args = made.parse_args(argv)
    found = [
        f"--{name.replace('_', '-')}"
        for name in ("rounds", *smaller)
        if getattr(args, name) < made.get_default(name)
    ]
    found += [
        f"--{name}"
        for name in ("only", "here", "dataset", "compiler")
        if _changed(made, args, name)
    ]
    contestant = getattr(args, "contestant", None)
    if found and contestant is None and args.out == made.get_default("out"):
        made.error(f"{', '.join(found)}: --out FILE is wanted too: no committed result")
    return args


def _changed(made, args, name):
    """Tells whether an option is there and not at its default."""
    return hasattr(args, name) and getattr(args, name) != made.get_default(name)


def require_torch(args, names):
    """Exits unless PyTorch is there, where contestants of these names are to run."""
    wanted = set(names) & set(args.only or names)
    if wanted and importlib.util.find_spec("torch") is None:
        raise SystemExit(
            f"PyTorch is not installed, which {', '.join(sorted(wanted))} need. Expected: "
            "pip install torch, or --only with the other contestants."
        )


def alternate(script, contestants, args, prepare):
    """Runs every contestant once a round.

    Args:
        script: file of the benchmark, which runs one contestant if it is given ``--contestant``.
        contestants: name to its function of the arguments, which returns a dict of figures.
        args: the arguments.
        prepare: function that writes what all contestants read into a folder.

    Returns:
        Name to its figures, a dict for each round.
    """
    from tfunlearn.experiments import startup

    startup.start()
    names = [name for name in contestants if name in (args.only or contestants)]
    found = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        args.folder = folder
        prepare(pathlib.Path(folder))
        for number in range(args.rounds):
            args.seed = number
            for name in names:
                figures = contestants[name](args) if args.here else in_process(script, name, args)
                print(args.seed, name, json.dumps(figures), flush=True)
                found[name].append(figures)
    return found


def in_process(script, name, args):
    """Returns what a contestant finds in a process of its own."""
    command = [sys.executable, script, "--contestant", name, *options(args, but=("only", "rounds"))]
    command += ["--folder", args.folder, "--seed", str(args.seed)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=quiet)
    if run.returncode:
        raise SystemExit(f"{name} failed: see above.")
    return json.loads(run.stdout.splitlines()[-1])


def options(args, but=()):
    """Returns the options that give these arguments, without folders of this machine."""
    parts = []
    for name, value in vars(args).items():
        if value is None or name in (*_LOCAL, *but):
            continue
        parts.append(f"--{name.replace('_', '-')}")
        parts += map(str, value if isinstance(value, list) else [value])
    return parts


def summary(values):
    """Returns the median of the rounds, and how far they spread."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "rounds": list(values),
    }


def summaries(rounds):
    """Returns the summary of every figure over the rounds."""
    return {key: summary([one[key] for one in rounds]) for key in rounds[0]}


def ratio(above, below, key):
    """Returns the summary of a figure's ratio, taken inside each round."""
    return summary([a[key] / b[key] for a, b in zip(above, below, strict=True)])


def write(name, args, content):
    """Writes a result with what it was made by and on."""
    from tfunlearn.audit.environment import environment
    from tfunlearn.experiments.stages import write_json

    settings = {key: value for key, value in vars(args).items() if key not in _LOCAL}
    command = ["python", f"benchmarks/run_{name}.py", *options(args)]
    machine = {"cores": cores(), "vectors": vectors(), "load_average": list(os.getloadavg())}
    found = {"benchmark": name, "command": shlex.join(command), "environment": environment()}
    if importlib.util.find_spec("torch") is not None:
        found["environment"]["torch"] = importlib.metadata.version("torch")
    write_json(args.out, {**found, "machine": machine, "settings": settings, **content})


def product_rate(size):
    """Returns operations a second of a float32 matrix product, in the better of two libraries."""
    import numpy as np
    import tensorflow as tf

    left = np.random.default_rng(0).normal(size=(size, size)).astype("float32")
    tensor = tf.constant(left)
    seconds = []
    for product in (lambda: left @ left, lambda: tf.linalg.matmul(tensor, tensor).numpy()):
        for _ in range(4):  # the first also makes what the others use
            start = time.perf_counter()
            product()
            seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def cores():
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def vectors(path="/proc/cpuinfo"):
    """Returns the widest vector instructions, on which TensorFlow's choice of kernels depends."""
    file = pathlib.Path(path)
    words = set(file.read_text().split()) if file.is_file() else ()
    return next((name for name in ("avx512f", "avx2", "avx") if name in words), None)
