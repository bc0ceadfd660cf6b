"""Times an epoch of the MNIST notebook's network: PyTorch, Keras, tfunlearn, and the arithmetic.

Writes results/training.json. All train on the same images with the notebook's batch size, dropout
and optimizer, five epochs as it does; the first epoch, in which graphs are made, stands beside the
median of the others. Keras' `fit` and tfunlearn run once more with Keras on JAX.

    pip install torch pillow
    python benchmarks/run_training.py

The arithmetic is what a training takes at the rate of a large float32 matrix product: 6 operations
for each weight and image.
"""

import itertools
import json
import math
import os
import pathlib
import statistics
import sys
import time

import rounds

LAYERS = (256, 128, 64, 10)
RATE, MOMENTUM, DROPOUT, EPOCHS = 5e-3, 0.9, 0.3, 5
SMALLER = ("limit",)


def main(argv=None) -> None:
    """Times all and writes the result, or times one of them in a process of its own."""
    parser = rounds.parser(__doc__, "training")
    rounds.add_contestants(parser, list(CONTESTANTS))
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--limit", type=int, default=60_000, help="training images")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--loaders", type=int, default=2, help="processes of PyTorch's DataLoader")
    parser.add_argument("--product", type=int, default=4096, help="size of the large product")
    parser.add_argument("--data-dir")
    args = rounds.read(parser, argv, SMALLER)
    if args.contestant:
        print(json.dumps(CONTESTANTS[args.contestant](args)))
        return
    rounds.require_torch(args, ["pytorch_loader", "pytorch_memory"])
    found = rounds.alternate(__file__, CONTESTANTS, args, lambda folder: prepare(args, folder))
    rounds.write(
        "training",
        args,
        {
            "contestants": {name: rounds.summaries(own) for name, own in found.items()},
            "ratio": {
                name: rounds.ratio(own, found["tfunlearn"], "epoch_seconds")
                for name, own in found.items()
                if "tfunlearn" in found and name != "tfunlearn"
            },
        },
    )


def prepare(args, folder) -> None:
    """Writes images and labels; the first image is the split's one to forget, for all."""
    import numpy as np

    from tfunlearn.data import datasets

    (x, y), (x_test, y_test) = datasets.load(args.dataset, args.data_dir)
    parts = {"x": x[: args.limit], "y": y[: args.limit], "x_test": x_test, "y_test": y_test}
    for name, part in parts.items():
        part = part.reshape(len(part), -1) if name.startswith("x") else part.astype("int64")
        np.save(folder / f"{name}.npy", part, allow_pickle=False)


def load(args):
    """Returns x, y, x_test, y_test; images as bytes, flat."""
    import numpy as np

    names = ("x", "y", "x_test", "y_test")
    return [np.load(pathlib.Path(args.folder) / f"{name}.npy") for name in names]


def scaled(images):
    """Returns images from -1 to 1, as the notebook's Normalize gives them."""
    return images.astype("float32") / 127.5 - 1


def timed(epoch):
    """Returns the seconds of the first epoch and the median of the others."""
    times = [time.perf_counter()]
    for _ in range(EPOCHS):
        epoch()
        times.append(time.perf_counter())
    return between(times)


def between(times):
    """Returns the seconds of the first epoch and the median of the others."""
    seconds = [after - before for before, after in itertools.pairwise(times)]
    return {
        "first_epoch_seconds": seconds[0],
        "epoch_seconds": statistics.median(seconds[1:]),
    }


def torch_net(size, seed):
    """Returns the notebook's network, optimizer and loss in PyTorch."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    parts = []
    for number, (above, below) in enumerate(itertools.pairwise((size, *LAYERS))):
        parts.append(nn.Linear(above, below))
        parts += [nn.ReLU()] * (number < len(LAYERS) - 1) + [nn.Dropout(DROPOUT)] * (number < 2)
    model = nn.Sequential(*parts)
    return (
        model,
        torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM),
        nn.CrossEntropyLoss(),
    )


def torch_step(model, optimizer, criterion, x, y):
    """Takes the notebook's training step; returns the loss."""
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def torch_accuracy(model, x, y):
    """Returns the share of right predictions."""
    import torch

    model.eval()
    with torch.no_grad():
        return float((model(torch.from_numpy(scaled(x))).argmax(1).numpy() == y).mean())


def pytorch_loader(args):
    """The notebook's loop: a DataLoader whose processes prepare one image after the other."""
    import torch

    x, y, x_test, y_test = load(args)
    images = Images(x[1:], y[1:])
    options = {"batch_size": args.batch_size, "shuffle": True, "num_workers": args.loaders}
    loader = torch.utils.data.DataLoader(images, **options)
    model, optimizer, criterion = torch_net(x.shape[1], args.seed)

    def epoch():
        model.train()
        total = 0.0
        for data, targets in loader:
            data = data.reshape(data.shape[0], -1)
            total += torch_step(model, optimizer, criterion, data, targets)

    return {**timed(epoch), "test_accuracy": torch_accuracy(model, x_test, y_test)}


class Images:
    """Images as torchvision's MNIST gives them with the notebook's ToTensor and Normalize.

    The steps of torchvision for each image, one after the other, so that it need not be installed:
    its builds fit one build of PyTorch each.
    """

    def __init__(self, x, y):
        side = math.isqrt(x.shape[1])
        self._x, self._y = x.reshape(-1, side, side), y

    def __len__(self):
        return len(self._y)

    def __getitem__(self, index):
        import numpy as np
        import torch
        from PIL import Image

        image = Image.fromarray(self._x[index])  # MNIST
        pixels = torch.from_numpy(np.array(image, copy=True)).view(*image.size[::-1], 1)
        image = pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)  # ToTensor
        mean, std = (torch.as_tensor((0.5,), dtype=image.dtype) for _ in range(2))
        if (std == 0).any():
            raise ValueError("std: expected no 0")
        image = image.clone().sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))  # Normalize
        return image, int(self._y[index])


def pytorch_memory(args):
    """The same loop with all images in one tensor."""
    import torch

    x, y, x_test, y_test = load(args)
    images, labels = torch.from_numpy(scaled(x[1:])), torch.from_numpy(y[1:])
    model, optimizer, criterion = torch_net(x.shape[1], args.seed)

    def epoch():
        model.train()
        total = 0.0
        for rows in torch.randperm(len(labels)).split(args.batch_size):
            total += torch_step(model, optimizer, criterion, images[rows], labels[rows])

    return {**timed(epoch), "test_accuracy": torch_accuracy(model, x_test, y_test)}


def keras_net(size, seed):
    """Returns the notebook's network in Keras, compiled."""
    import keras

    from tfunlearn import models

    keras.utils.set_random_seed(seed)
    model = models.mnist_dense(size, LAYERS[-1], dropout=DROPOUT, init="torch", seed=seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE, momentum=MOMENTUM), loss)
    return model


def keras_accuracy(model, x, y):
    """Returns the share of right predictions."""
    scores = model.predict(scaled(x), batch_size=512, verbose=0)
    return float((scores.argmax(1) == y).mean())


def plain_keras(args):
    """`model.fit` on arrays."""
    start()
    x, y, x_test, y_test = load(args)
    images, labels = scaled(x[1:]), y[1:]
    model = keras_net(x.shape[1], args.seed)
    seconds = timed(lambda: model.fit(images, labels, batch_size=args.batch_size, verbose=0))
    return {**seconds, "test_accuracy": keras_accuracy(model, x_test, y_test)}


def tfunlearn(args):
    """What `methods.retrain` does: `training.fit` on the batches of a split."""
    start()
    import keras

    from tfunlearn import data, training

    x, y, x_test, y_test = load(args)
    split = data.by_index(scaled(x), y, forget=[0], test=(scaled(x_test), y_test))
    model = keras_net(x.shape[1], args.seed)
    training.Recipe.of(model).compile(model)
    stream = data.batches(split, "retain", batch_size=args.batch_size, shuffle=True, seed=args.seed)
    times = [time.perf_counter()]
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: times.append(time.perf_counter())
    )
    training.fit(model, stream, epochs=EPOCHS, callbacks=[watch])
    return {**between(times), "test_accuracy": keras_accuracy(model, x_test, y_test)}


def on_jax(contestant):
    """Returns a contestant with Keras on JAX, for a process of its own."""

    def run(args):
        if "keras" in sys.modules:
            raise SystemExit("--here: Keras is imported already. Leave out *_jax.")
        os.environ["KERAS_BACKEND"] = "jax"
        return contestant(args)

    return run


def start():
    """Starts TensorFlow, which is not what is timed."""
    from tfunlearn.experiments import startup

    startup.start()


def arithmetic(args):
    """An epoch's operations at the rate of a large product, in the better of two libraries."""
    start()
    x, y, *_ = load(args)
    weights = sum(above * below for above, below in itertools.pairwise((x.shape[1], *LAYERS)))
    operations = 6 * weights * (len(y) - 1)
    rate = rounds.product_rate(args.product)
    return {
        "operations": operations,
        "operations_a_second": rate,
        "epoch_seconds": operations / rate,
    }


CONTESTANTS = {
    "pytorch_loader": pytorch_loader,
    "pytorch_memory": pytorch_memory,
    "keras": plain_keras,
    "tfunlearn": tfunlearn,
    "keras_jax": on_jax(plain_keras),
    "tfunlearn_jax": on_jax(tfunlearn),
    "arithmetic": arithmetic,
}


if __name__ == "__main__":
    main()
