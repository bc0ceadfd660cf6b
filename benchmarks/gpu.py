"""What the benchmarks for a GPU share: Keras on JAX, the device, and which run is a result.

Keras reads KERAS_BACKEND at its first import, so every process sets it before. The process that
starts the contestants stays off the GPU: JAX takes most of a GPU's memory and keeps it. TensorFlow
is not needed.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import rounds

MIB = 2**20


def parser(doc, name, contestants, count):
    """Returns a parser with what the benchmarks for a GPU share.

    Args:
        doc: the benchmark's docstring.
        name: the result's name.
        contestants: their names.
        count: rounds.
    """
    made = rounds.parser(doc, name, count)
    rounds.add_contestants(made, contestants)
    made.add_argument("--batch-size", type=int, default=128)
    made.add_argument("--compiler", default="inductor", help="backend of torch.compile")
    made.add_argument("--data-dir")
    return made


def begin(made, args, torch_names):
    """Readies the process that starts the contestants, and returns what they will run on.

    Args:
        made: the parser.
        args: the arguments.
        torch_names: the contestants that need PyTorch.
    """
    rounds.require_torch(args, torch_names)
    if importlib.util.find_spec("jax") is None:
        raise SystemExit("JAX is not installed. Expected: pip install 'jax[cuda13]'.")
    device = found() if args.here else probe()
    if device["platform"] != "gpu" and args.out == made.get_default("out"):
        made.error(
            f"no GPU here, JAX has {device['name']}: --out FILE is wanted: no committed result"
        )
    torch = device.get("torch", device)
    if set(torch_names) & set(args.only or torch_names) and torch["platform"] != device["platform"]:
        raise SystemExit(
            "PyTorch and JAX would not run on the same device. Expected: both with CUDA or both "
            f"without, or --only. Received: JAX {device['name']}, PyTorch {torch['name']}."
        )
    use_jax()
    if not args.here:
        import jax

        jax.config.update("jax_platforms", "cpu")  # this process alone: no environment variable
    return device


def run(made, args, script, contestants, prepare, figure):
    """Times all contestants and writes the result, or runs the one that this process is for.

    The result has the name of the file. The first contestant is the one that the others are held
    against; those whose names begin with "pytorch" need PyTorch.

    Args:
        made: the parser.
        args: the arguments.
        script: the benchmark's file.
        contestants: name to function of the arguments.
        prepare: function of the arguments and a folder that writes what contestants read.
        figure: the figure of which the ratio is taken.
    """
    if args.contestant:
        print(json.dumps(contestants[args.contestant](args)))
        return
    device = begin(made, args, [name for name in contestants if name.startswith("pytorch")])
    found = rounds.alternate(script, contestants, args, lambda folder: prepare(args, folder))
    name = pathlib.Path(script).stem.removeprefix("run_")
    write(name, args, device, found, figure, next(iter(contestants)))


def use_jax():
    """Makes JAX the backend of Keras in this process and in those that it starts."""
    if "keras" in sys.modules and sys.modules["keras"].backend.backend() != "jax":
        raise SystemExit(
            "Keras is imported already, with another backend. Expected: JAX. "
            f"Received: {sys.modules['keras'].backend.backend()}."
        )
    os.environ["KERAS_BACKEND"] = "jax"


def start():
    """Starts Keras on JAX, which is not what is timed."""
    use_jax()
    from tfunlearn.experiments import startup

    startup.start()


def probe():
    """Returns what `found` returns, from a process that gives the GPU back."""
    run = subprocess.run([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    if run.returncode:
        raise SystemExit("JAX has no device: see above.")
    return json.loads(run.stdout.splitlines()[-1])


def found():
    """Returns the first device of JAX and of PyTorch, where that is there, as JSON values.

    Memory is None where the library does not tell it, as on a CPU. What JAX tells is what it may
    take; PyTorch tells all of it.
    """
    import jax

    devices = jax.devices()
    limit = (devices[0].memory_stats() or {}).get("bytes_limit")
    result = {
        "platform": devices[0].platform,
        "name": devices[0].device_kind,
        "count": len(devices),
        "memory_mib": None if limit is None else limit / MIB,
        "jax": jax.__version__,
        "driver": driver(),
    }
    if importlib.util.find_spec("torch") is not None:
        result["torch"] = torch_found()
    return result


def torch_found():
    """Returns the first device of PyTorch."""
    import torch

    if not torch.cuda.is_available():
        return {"platform": "cpu", "name": "cpu", "memory_mib": None}
    known = torch.cuda.get_device_properties(0)
    return {"platform": "gpu", "name": known.name, "memory_mib": known.total_memory / MIB}


def driver():
    """Returns name, memory and driver as nvidia-smi gives them, or None without it."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    run = subprocess.run(asked, stdout=subprocess.PIPE, text=True)
    return run.stdout.strip() or None


def jax_done():
    """Waits until JAX has computed all that it was asked for."""
    import jax

    jax.block_until_ready(jax.live_arrays())


def jax_peak():
    """Returns the figure of the peak of memory on the device, if JAX tells it."""
    import jax

    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {} if peak is None else {"peak_mib": peak / MIB}


def torch_start(args):
    """Seeds PyTorch and returns its device, set up as JAX is: TF32 products, timed convolutions."""
    # what another round compiled is not to be found, so that the first pass is one in each round
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(pathlib.Path(args.folder) / f"inductor-{args.seed}")
    import torch

    torch.manual_seed(args.seed)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def torch_done():
    """Waits until PyTorch has computed all that it was asked for."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def torch_peak():
    """Returns the figure of the peak of memory on the device, if that is a GPU."""
    import torch

    if not torch.cuda.is_available():
        return {}
    return {"peak_mib": torch.cuda.max_memory_allocated() / MIB}


def write(name, args, device, found, key, ours):
    """Writes the result: figures of each contestant, and what the others need times as much.

    Args:
        name: the benchmark.
        args: the arguments.
        device: what it ran on.
        found: contestant to its figures, a dict for each round.
        key: the figure of which the ratio is taken.
        ours: the contestant under the ratio.
    """
    content = {
        "device": device,
        "contestants": {name: rounds.summaries(own) for name, own in found.items()},
        "ratio": {
            name: rounds.ratio(own, found[ours], key)
            for name, own in found.items()
            if ours in found and name != ours
        },
    }
    rounds.write(name, args, content)


if __name__ == "__main__":
    print(json.dumps(found()))
