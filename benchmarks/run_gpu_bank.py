"""Times a bank of 64 small networks on a GPU: tfunlearn on JAX, PyTorch, and weights in one stack.

Writes results/gpu_bank.json. Each network is the MNIST notebook's, trained on the retain set under
a seed of its own, and its logits on every role are read afterwards. tfunlearn and PyTorch make one
after the other. The stack is one JAX program for all of them: jax.vmap over models of a scan over
steps; `jax_alone` is the same program for one model, run once for each of them.

    pip install 'jax[cuda13]' torch
    python benchmarks/run_gpu_bank.py

TensorFlow is not needed. Without a GPU it runs on the CPU, with `--out FILE` alone.
"""

import itertools
import pathlib
import statistics
import tempfile
import time

import gpu
import rounds
from run_training import DROPOUT, LAYERS, MOMENTUM, RATE, torch_net

SMALLER = ("models", "eager_models", "limit", "epochs")
ROLES = ("retain", "forget", "test")


def main(argv=None) -> None:
    """Times all and writes the result, or times one of them in a process of its own."""
    parser = gpu.parser(__doc__, "gpu_bank", list(CONTESTANTS), 3)
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--eager-models", type=int, default=3, help="models without jit_compile")
    parser.add_argument("--limit", type=int, default=10_000, help="training images")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", choices=["mnist", "random"], default="mnist")
    args = rounds.read(parser, argv, SMALLER)
    gpu.run(parser, args, __file__, CONTESTANTS, prepare, "later_seconds_a_model")


def prepare(args, folder) -> None:
    """Writes the images of each role, flat; a tenth of the training images is forgotten."""
    import numpy as np

    from tfunlearn.data import Normalizer

    (x, y), (x_test, y_test) = images(args)
    normalize = Normalizer.named("mnist")
    ids = np.random.default_rng(0).permutation(len(y))
    forget, retain = np.split(ids, [max(1, len(y) // 10)])
    parts = {"retain": (x[retain], y[retain]), "forget": (x[forget], y[forget])}
    for role, (inputs, labels) in {**parts, "test": (x_test, y_test)}.items():
        flat = normalize(inputs.reshape(len(inputs), -1))
        np.save(folder / f"x_{role}.npy", flat, allow_pickle=False)
        np.save(folder / f"y_{role}.npy", labels.astype("int64"), allow_pickle=False)


def images(args):
    """Returns training and test images of 8 bits with their labels."""
    import numpy as np

    from tfunlearn.data import datasets

    if args.images == "random":
        numbers = np.random.default_rng(0)
        sizes = (args.limit, max(1, args.limit // 6))
        return [
            (numbers.integers(0, 256, (size, 28, 28), "uint8"), numbers.integers(0, 10, size))
            for size in sizes
        ]
    (x, y), test = datasets.load(args.images, args.data_dir)
    return (x[: args.limit], y[: args.limit]), test


def load(args):
    """Returns role to images and labels."""
    import numpy as np

    folder = pathlib.Path(args.folder)
    return {
        role: tuple(np.load(folder / f"{part}_{role}.npy") for part in ("x", "y")) for role in ROLES
    }


def figures(args, seconds, later, models, trained, accuracies):
    """Returns what a contestant found.

    Args:
        args: the arguments.
        seconds: of all of its models, with what is made once.
        later: of a model, once all of that is made.
        models: how many there were.
        trained: images that a model is trained on.
        accuracies: of the models, on the test images.
    """
    return {
        "models": models,
        "seconds_a_model": seconds / models,
        "later_seconds_a_model": later,
        "examples_a_second": args.epochs * trained / later,
        "test_accuracy": float(statistics.fmean(map(float, accuracies))),
    }


def one_by_one(args, make, count, trained):
    """Returns the figures of models that are made one after the other.

    Args:
        args: the arguments.
        make: function of a seed that returns a model's test accuracy when it is done.
        count: how many, at least 2.
        trained: images that a model is trained on.
    """
    times, accuracies = [time.perf_counter()], []
    for number in range(count):
        accuracies.append(make(args.seed * count + number))
        times.append(time.perf_counter())
    return figures(args, times[-1] - times[0], median_step(times[1:]), count, trained, accuracies)


def median_step(times):
    """Returns the median of what lies between times."""
    return statistics.median(after - before for before, after in itertools.pairwise(times))


def of_bank(args, count, jit_compile):
    """A `ReferenceBank` in this process."""
    gpu.start()
    import keras
    import numpy as np

    from tfunlearn import audit, data, models

    parts = load(args)
    x, y = (np.concatenate([parts[role][k] for role in ("forget", "retain")]) for k in (0, 1))
    forget = np.arange(len(parts["forget"][1]))
    split = data.by_index(x, y, forget=forget, test=parts["test"], num_classes=LAYERS[-1])
    net = models.mnist_dense(x.shape[1], LAYERS[-1], DROPOUT, init="torch", seed=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(RATE, momentum=MOMENTUM), loss)
    options = {"epochs": args.epochs, "batch_size": args.batch_size, "threads": None}
    options |= {"seed": args.seed * count, "jit_compile": jit_compile}
    with tempfile.TemporaryDirectory() as folder:
        times = [time.perf_counter()]
        bank = audit.ReferenceBank(folder, net, split, **options)
        bank.fill(count, progress=lambda done, total, text: times.append(time.perf_counter()))
        scores = bank.logits("test")
    hits = (scores.argmax(-1) == parts["test"][1]).mean(1)
    trained = len(parts["retain"][1])
    found = figures(args, times[-1] - times[0], median_step(times[1:]), count, trained, hits)
    return {**found, **gpu.jax_peak()}


def tfunlearn_jit(args):
    """A bank on JAX, each step compiled, as is Keras' default there."""
    return of_bank(args, args.models, jit_compile=True)


def tfunlearn_no_jit(args):
    """A bank on JAX, one operation after the other."""
    return of_bank(args, args.eager_models, jit_compile=False)


def with_torch(args, compiled):
    """A loop over models, with all images on the device; what is compiled is compiled once."""
    device = gpu.torch_start(args)
    import torch

    parts = {
        role: [torch.from_numpy(part).to(device) for part in pair]
        for role, pair in load(args).items()
    }
    x, y = parts["retain"]
    kept, _, criterion = torch_net(x.shape[1], 0)
    kept.to(device)
    run = torch.compile(kept, backend=args.compiler) if compiled else kept

    def make(seed):
        fresh = torch_net(x.shape[1], seed)[0]
        kept.load_state_dict(fresh.state_dict())
        kept.train()
        optimizer = torch.optim.SGD(kept.parameters(), RATE, momentum=MOMENTUM)
        for _ in range(args.epochs):
            for rows in torch.randperm(len(y), device=device).split(args.batch_size):
                loss = criterion(run(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        kept.eval()
        with torch.no_grad():
            logits = {role: kept(inputs).cpu() for role, (inputs, _) in parts.items()}
        return (logits["test"].argmax(1) == parts["test"][1].cpu()).double().mean()

    found = one_by_one(args, make, args.models, len(y))
    return {**found, **gpu.torch_peak()}


def pytorch(args):
    """PyTorch, one operation after the other."""
    return with_torch(args, compiled=False)


def pytorch_compile(args):
    """PyTorch under torch.compile."""
    return with_torch(args, compiled=True)


def jax_stacked(args):
    """All models in one program; a second stack of other seeds finds it compiled."""
    import jax_stack
    import numpy as np

    parts, times = load(args), [time.perf_counter()]
    make = jax_stack.maker(parts, args.epochs, args.batch_size)
    first = args.seed * 2 * args.models
    for start in (first, first + args.models):
        logits = make(np.arange(start, start + args.models))
        times.append(time.perf_counter())
    hits = (logits["test"].argmax(-1) == parts["test"][1]).mean(1)
    seconds, later = times[1] - times[0], (times[2] - times[1]) / args.models
    found = figures(args, seconds, later, args.models, len(parts["retain"][1]), hits)
    return {**found, **gpu.jax_peak()}


def jax_alone(args):
    """The same program for one model after the other."""
    import jax_stack
    import numpy as np

    parts = load(args)
    make_stack = jax_stack.maker(parts, args.epochs, args.batch_size)

    def make(seed):
        logits = make_stack(np.array([seed]))["test"][0]
        return (logits.argmax(1) == parts["test"][1]).mean()

    found = one_by_one(args, make, args.models, len(parts["retain"][1]))
    return {**found, **gpu.jax_peak()}


CONTESTANTS = {
    "tfunlearn_jit": tfunlearn_jit,
    "tfunlearn_no_jit": tfunlearn_no_jit,
    "pytorch": pytorch,
    "pytorch_compile": pytorch_compile,
    "jax_alone": jax_alone,
    "jax_stacked": jax_stacked,
}


if __name__ == "__main__":
    main()
