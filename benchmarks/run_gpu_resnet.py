"""Times epochs of the CIFAR-10 notebook's ResNet50 on a GPU: Keras on JAX, and PyTorch.

Writes results/gpu_resnet.json. Keras trains as `methods.retrain` does, with jit_compile on and off;
PyTorch as it stands and under torch.compile. All start from the same weights with the notebook's
batch size and optimizer. A pass has as many steps as asked for, and an epoch is counted from it.

    pip install 'jax[cuda13]' torch
    python benchmarks/run_gpu_resnet.py

TensorFlow is not needed. Without a GPU it runs on the CPU, with `--out FILE` alone.
"""

import pathlib
import time

import gpu
import rounds
from run_training import between

EPOCH = 45_000  # images that the experiment retains
SHAPE, CLASSES, DENSE, RATE, EPSILON = (32, 32, 3), 10, 128, 1e-3, 1e-7
SMALLER = ("steps", "eager_steps", "passes")


def main(argv=None) -> None:
    """Times all and writes the result, or times one of them in a process of its own."""
    parser = gpu.parser(__doc__, "gpu_resnet", list(CONTESTANTS), 2)
    parser.add_argument("--steps", type=int, default=50, help="of a pass")
    parser.add_argument("--eager-steps", type=int, default=5, help="of a pass without jit_compile")
    parser.add_argument("--passes", type=int, default=4, help="the first has figures of its own")
    parser.add_argument("--images", choices=["cifar10", "random"], default="cifar10")
    parser.add_argument("--weights", choices=["imagenet", "random"], default="imagenet")
    args = rounds.read(parser, argv, SMALLER)
    gpu.run(parser, args, __file__, CONTESTANTS, prepare, "epoch_seconds")


def prepare(args, folder) -> None:
    """Writes as many images as a pass has, and one to forget, and the weights all start from."""
    import numpy as np

    from tfunlearn.data import Normalizer

    x, y = images(args, 1 + max(args.steps, args.eager_steps) * args.batch_size)
    np.save(folder / "x.npy", Normalizer.named("cifar10")(x), allow_pickle=False)
    np.save(folder / "y.npy", y, allow_pickle=False)
    model = keras_net(backbone(args), jit_compile=True)
    model.save_weights(folder / "start.weights.h5")
    np.savez(folder / "start.npz", **keras_weights(model))


def images(args, count):
    """Returns so many images of 8 bits and their labels."""
    import numpy as np

    from tfunlearn.data import datasets

    if args.images == "random":
        numbers = np.random.default_rng(0)
        shape = (count, *SHAPE)
        return numbers.integers(0, 256, shape, "uint8"), numbers.integers(0, CLASSES, count)
    (x, y), _ = datasets.load("cifar10", args.data_dir)
    if len(y) < count:
        raise SystemExit(
            f"--steps, --batch-size: a pass and one more are {count} images. "
            f"Expected: at most {len(y)}."
        )
    return x[:count], y[:count]


def backbone(args):
    """Returns what the experiment gives the backbone as weights, or None for random ones."""
    from tfunlearn.experiments.cifar10_confuser import _backbone_weights

    return None if args.weights == "random" else _backbone_weights(args.data_dir)


def keras_net(weights, jit_compile):
    """Returns the experiment's classifier, compiled as it is there."""
    from tfunlearn import models

    return models.resnet50_classifier(
        CLASSES, SHAPE, weights=weights, dense=DENSE, jit_compile=jit_compile, seed=0
    )


def keras_weights(model):
    """Returns ``layer/variable`` to its array, where the head's layers are hidden and logits."""
    import keras

    inner, _, hidden, logits = model.layers
    named = [(layer.name, layer) for layer in inner.layers]
    named += [("hidden", hidden), ("logits", logits)]
    return {
        f"{name}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for name, layer in named
        for variable in layer.weights
    }


def load(args, steps):
    """Returns the images and labels of so many steps, and the one to forget before them."""
    import numpy as np

    count = 1 + steps * args.batch_size
    return [np.load(pathlib.Path(args.folder) / f"{name}.npy")[:count] for name in ("x", "y")]


def figures(args, steps, times, loss, accuracy):
    """Returns what a contestant found: passes, and an epoch at the rate of the later ones."""
    first, later = between(times).values()
    rate = steps * args.batch_size / later
    return {
        "steps": steps,
        "first_pass_seconds": first,
        "pass_seconds": later,
        "examples_a_second": rate,
        "epoch_seconds": EPOCH / rate,
        "loss": float(loss),
        "accuracy": float(accuracy),
    }


def with_keras(args, steps, jit_compile):
    """What `methods.retrain` does: `training.fit` on the batches of a split."""
    gpu.start()
    import keras

    from tfunlearn import data, training

    x, y = load(args, steps)
    split = data.by_index(x, y, forget=[0], test=(x[:1], y[:1]), num_classes=CLASSES)
    model = keras_net(None, jit_compile)
    model.load_weights(pathlib.Path(args.folder) / "start.weights.h5")
    training.Recipe.of(model).compile(model, jit_compile=jit_compile)
    stream = data.batches(split, "retain", batch_size=args.batch_size, shuffle=True, seed=args.seed)
    gpu.jax_done()
    times = [time.perf_counter()]

    def tick(epoch, logs):
        gpu.jax_done()
        times.append(time.perf_counter())

    watch = keras.callbacks.LambdaCallback(on_epoch_end=tick)
    logs = training.fit(model, stream, epochs=args.passes, callbacks=[watch]).history
    last = logs["loss"][-1], logs["accuracy"][-1]
    return {**figures(args, steps, times, *last), **gpu.jax_peak()}


def keras_jit(args):
    """Keras on JAX, each step compiled, as is its default there."""
    return with_keras(args, args.steps, jit_compile=True)


def keras_no_jit(args):
    """Keras on JAX, one operation after the other."""
    return with_keras(args, args.eager_steps, jit_compile=False)


def torch_net(args):
    """Returns the same network in PyTorch."""
    import numpy as np
    import torch_resnet

    model = torch_resnet.resnet50_classifier(CLASSES, DENSE)
    with np.load(pathlib.Path(args.folder) / "start.npz") as weights:
        torch_resnet.adopt(model, dict(weights))
    return model


def with_torch(args, compiled):
    """A training loop with all images on the device, and loss and hits counted there."""
    device = gpu.torch_start(args)
    import torch

    x, y = load(args, args.steps)
    kind = {"device": device, "memory_format": torch.channels_last}
    inputs = torch.from_numpy(x[1:].transpose(0, 3, 1, 2)).to(**kind)
    labels = torch.from_numpy(y[1:]).to(device)
    model = torch_net(args).to(**kind)
    fused = {"fused": True} if device.type == "cuda" else {}
    optimizer = torch.optim.Adam(model.parameters(), RATE, eps=EPSILON, **fused)
    criterion = torch.nn.CrossEntropyLoss()
    run = torch.compile(model, backend=args.compiler) if compiled else model
    model.train()
    gpu.torch_done()
    times, last = [time.perf_counter()], None
    for _ in range(args.passes):
        loss, hits = torch.zeros((), device=device), torch.zeros((), device=device)
        for rows in torch.randperm(len(labels), device=device).split(args.batch_size):
            logits = run(inputs[rows])
            own = criterion(logits, labels[rows])
            optimizer.zero_grad()
            own.backward()
            optimizer.step()
            loss += own.detach()
            hits += (logits.detach().argmax(1) == labels[rows]).sum()
        gpu.torch_done()
        times.append(time.perf_counter())
        last = loss / args.steps, hits / len(labels)
    return {**figures(args, args.steps, times, *last), **gpu.torch_peak()}


def pytorch(args):
    """PyTorch, one operation after the other."""
    return with_torch(args, compiled=False)


def pytorch_compile(args):
    """PyTorch under torch.compile."""
    return with_torch(args, compiled=True)


CONTESTANTS = {
    "keras_jit": keras_jit,
    "keras_no_jit": keras_no_jit,
    "pytorch": pytorch,
    "pytorch_compile": pytorch_compile,
}


if __name__ == "__main__":
    main()
