"""Times SCRUB, SalUn and SSD on the small CNN: PyTorch loops after the official code, tfunlearn.

Writes results/methods.json. Both sides have the same layers, images, batch sizes and optimizer, and
take the steps of the official code; options give tfunlearn's methods the published form. PyTorch
has its images in memory, where the official code reads them through a DataLoader.

    pip install torch
    python benchmarks/run_methods.py

Official code: meghdadk/SCRUB at 98ffb11, OPTML-Group/Unlearn-Saliency at a6e89fd (with masked
weights held), if-loops/selective-synaptic-dampening at cdfdc0e.
"""

import copy
import json
import pathlib
import statistics
import time

import rounds

FILTERS, DENSE, CLASSES = 24, 128, 10
RATE, MOMENTUM = 0.01, 0.9
SCRUB_RATE, SALUN_RATE, TEMPERATURE, DISTILLATION = 2e-4, 3e-3, 4.0, 0.5
SELECTION = 1.0  # as a tenth is forgotten, the official 10 may select no weight; time is the same
SMALLER = ("limit", "epochs", "before")


def main(argv=None) -> None:
    """Times both sides and writes the result, or one side in a process of its own."""
    parser = rounds.parser(__doc__, "methods")
    rounds.add_contestants(parser, list(CONTESTANTS))
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--limit", type=int, default=10_000, help="training images")
    parser.add_argument("--before", type=int, default=2, help="epochs of the original")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of SCRUB and SalUn")
    parser.add_argument("--batch-size", type=int, default=64, help="of every pass")
    parser.add_argument("--data-dir")
    args = rounds.read(parser, argv, SMALLER)
    if args.contestant:
        print(json.dumps(CONTESTANTS[args.contestant](args)))
        return
    rounds.require_torch(args, ["pytorch"])
    found = rounds.alternate(__file__, CONTESTANTS, args, lambda folder: prepare(args, folder))
    content = {name: rounds.summaries(own) for name, own in found.items()}
    rounds.write("methods", args, {"contestants": content, "ratio": ratios(found)})


def ratios(found):
    """Returns PyTorch's seconds over tfunlearn's, inside each round."""
    if len(found) < len(CONTESTANTS):
        return {}
    pair = found["pytorch"], found["tfunlearn"]
    keys = [key for key in pair[1][0] if key.endswith("_seconds") and key in pair[0][0]]
    return {key.removesuffix("_seconds"): rounds.ratio(*pair, key) for key in keys}


def prepare(args, folder) -> None:
    """Writes the images, normalised, and which of them are to be forgotten: class 3."""
    import numpy as np

    from tfunlearn.data import Normalizer, datasets

    (x, y), _ = datasets.load(args.dataset, args.data_dir)
    x, y = Normalizer.named(args.dataset)(x[: args.limit]), y[: args.limit].astype("int64")
    x = x if x.ndim == 4 else x[..., None]
    for name, part in (("x", x), ("y", y), ("forget", np.flatnonzero(y == 3))):
        np.save(folder / f"{name}.npy", part, allow_pickle=False)


def load(args):
    """Returns images (N, height, width, channels), labels, and the ids to forget."""
    import numpy as np

    return [np.load(pathlib.Path(args.folder) / f"{name}.npy") for name in ("x", "y", "forget")]


def in_epochs(name, call, seconds):
    """Returns figures of a method: its first epoch, the median of the others, and all of it."""
    later = seconds[1:] or seconds
    return {
        f"{name}_first_epoch_seconds": seconds[0],
        f"{name}_epoch_seconds": statistics.median(later),
        f"{name}_call_seconds": call,
    }


def clock(function):
    """Returns what a function returns, and the seconds it took."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def pytorch(args):
    """The three methods as loops in PyTorch."""
    import numpy as np
    import torch

    torch.manual_seed(args.seed)
    x, y, forget = load(args)
    images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    labels = torch.from_numpy(y)
    retain = np.setdiff1d(np.arange(len(y)), forget)
    parts = {name: (images[ids], labels[ids]) for name, ids in (("f", forget), ("r", retain))}
    original = torch_cnn(images.shape[1:])
    step = torch_descent(original, RATE)
    for _ in range(args.before):
        for batch in torch_batches(images, labels, args.batch_size):
            step(*batch)
    figures = {"parameters": sum(own.numel() for own in original.parameters())}
    for name, method in (("scrub", torch_scrub), ("salun", torch_salun)):
        epochs = []
        model, call = clock(lambda: method(original, parts, args, epochs))  # noqa: B023
        figures |= in_epochs(name, call, epochs)
        figures |= torch_accuracies(name, model, parts)
    everything = (images, labels)
    _, figures["ssd_first_seconds"] = clock(lambda: torch_ssd(original, parts, everything, args))
    model, figures["ssd_seconds"] = clock(lambda: torch_ssd(original, parts, everything, args))
    return {**figures, **torch_accuracies("ssd", model, parts)}


def torch_cnn(shape):
    """Returns the layers of `models.small_cnn` with 24 filters and a hidden layer."""
    from torch import nn

    channels, height, width = shape
    parts = []
    for above, below, stride in (
        (channels, FILTERS, 2),
        (FILTERS, 2 * FILTERS, 2),
        (2 * FILTERS, 2 * FILTERS, 1),
    ):
        parts.append(nn.Conv2d(above, below, 3, stride=stride, padding=1, bias=False))
        parts += [nn.BatchNorm2d(below, eps=1e-3), nn.ReLU()]
        height, width = -(-height // stride), -(-width // stride)
    parts += [nn.Flatten(), nn.Linear(2 * FILTERS * height * width, DENSE), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(DENSE, CLASSES))


def torch_batches(x, y, size):
    """Yields the batches of one pass in a new order."""
    import torch

    for rows in torch.randperm(len(y)).split(size):
        yield x[rows], y[rows]


def torch_descent(model, rate, before=None, after=None):
    """Returns a step of SGD on the cross-entropy, with something to do around the update."""
    import torch

    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=MOMENTUM)
    criterion = torch.nn.CrossEntropyLoss()
    model.train()

    def step(x, y):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        if before is not None:
            before()
        optimizer.step()
        if after is not None:
            after(optimizer)

    return step


def torch_scrub(original, parts, args, epochs):
    """SCRUB: each epoch away from the teacher on forget, then close to it on retain."""
    import torch
    from torch.nn import functional

    teacher, student = copy.deepcopy(original).eval(), copy.deepcopy(original).train()
    optimizer = torch.optim.SGD(student.parameters(), SCRUB_RATE, momentum=MOMENTUM)
    criterion = torch.nn.CrossEntropyLoss()

    def distance(scores, taught):
        own = functional.log_softmax(scores / TEMPERATURE, dim=1)
        wanted = functional.softmax(taught / TEMPERATURE, dim=1)
        return functional.kl_div(own, wanted, reduction="sum") * TEMPERATURE**2 / len(scores)

    def one_pass(part):
        for x, y in torch_batches(*parts[part], args.batch_size):
            scores = student(x)
            with torch.no_grad():
                taught = teacher(x)
            loss = criterion(scores, y) + DISTILLATION * distance(scores, taught)
            if part == "f":
                loss = -distance(scores, taught)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    for _ in range(args.epochs):
        epochs.append(clock(lambda: [one_pass(part) for part in ("f", "r")])[1])
    return student


def torch_salun(original, parts, args, epochs):
    """SalUn: random labels on forget, then retain, with the weights outside a mask held."""
    import torch

    model = copy.deepcopy(original)
    masks = torch_masks(model, parts["f"], args.batch_size)
    start = [own.detach().clone() for own in model.parameters()]

    def mask_gradients():
        for own, mask in zip(model.parameters(), masks, strict=True):
            own.grad *= mask

    def hold(optimizer):
        with torch.no_grad():
            for own, mask, first in zip(model.parameters(), masks, start, strict=True):
                own.mul_(mask).add_(first * (1 - mask))
                optimizer.state[own]["momentum_buffer"].mul_(mask)

    step = torch_descent(model, SALUN_RATE, mask_gradients, hold)

    def epoch():
        for x, y in torch_batches(*parts["f"], args.batch_size):
            step(x, torch.randint(0, CLASSES, y.shape))
        for batch in torch_batches(*parts["r"], args.batch_size):
            step(*batch)

    for _ in range(args.epochs):
        epochs.append(clock(epoch)[1])
    return model


def torch_masks(model, part, size):
    """Returns 1 for the half of all weights with the largest summed gradients, 0 for the others."""
    import torch

    model.eval()
    criterion = torch.nn.CrossEntropyLoss()
    sums = [torch.zeros_like(own) for own in model.parameters()]
    for x, y in torch_batches(*part, size):
        model.zero_grad()
        criterion(model(x), y).backward()
        for total, own in zip(sums, model.parameters(), strict=True):
            total += own.grad
    found = torch.cat([total.abs().flatten() for total in sums])
    ranks = torch.argsort(torch.argsort(-found))
    chosen = (ranks < len(found) // 2).float().split([total.numel() for total in sums])
    return [mask.reshape(total.shape) for mask, total in zip(chosen, sums, strict=True)]


def torch_ssd(original, parts, everything, args):
    """SSD: importances of all data and of forget by squared batch gradients, then dampening."""
    import torch

    model = copy.deepcopy(original).eval()
    criterion = torch.nn.CrossEntropyLoss()

    def importances(x, y):
        sums, count = [torch.zeros_like(own) for own in model.parameters()], 0
        for images, labels in torch_batches(x, y, args.batch_size):
            model.zero_grad()
            criterion(model(images), labels).backward()
            for total, own in zip(sums, model.parameters(), strict=True):
                total += own.grad.pow(2)
            count += 1
        return [total / count for total in sums]

    whole, own = importances(*everything), importances(*parts["f"])
    with torch.no_grad():
        for weight, common, ours in zip(model.parameters(), whole, own, strict=True):
            chosen = torch.where(ours > SELECTION * common)
            factor = (common[chosen] / ours[chosen]).clamp(max=1.0)
            weight[chosen] = weight[chosen].mul(factor)
    return model


def torch_accuracies(name, model, parts):
    """Returns the accuracy on forget and retain."""
    import torch

    model.eval()
    figures = {}
    with torch.no_grad():
        for part, role in (("f", "forget"), ("r", "retain")):
            x, y = parts[part]
            guesses = torch.cat([model(rows).argmax(1) for rows in x.split(512)])
            figures[f"{name}_{role}_accuracy"] = float((guesses == y).double().mean())
    return figures


def tfunlearn(args):
    """The three methods of tfunlearn in the form that was published, and SSD with its defaults."""
    from tfunlearn.experiments import startup

    startup.start()
    from tfunlearn import data, methods

    x, y, forget = load(args)
    split = data.by_index(x, y, forget=forget, test=(x[:1], y[:1]), num_classes=CLASSES)
    original = keras_original(args, x, y)
    figures = {"parameters": sum(int(w.numpy().size) for w in original.trainable_variables)}
    own = {
        "scrub": {"learning_rate": SCRUB_RATE, "bounded": False, "decay_epochs": ()},
        "salun": {"learning_rate": SALUN_RATE, "frozen_statistics": False},
    }
    own["scrub"] |= {"forget_epochs": args.epochs, "forget_batch_size": args.batch_size}
    common = {"seed": args.seed, "batch_size": args.batch_size}
    for name, options in own.items():
        method, epochs = getattr(methods, name), []
        options |= {**common, "epochs": args.epochs, "callbacks": [epoch_times(epochs)]}
        model, call = clock(lambda: method(original, split, **options))  # noqa: B023
        figures |= in_epochs(name, call, epochs) | keras_accuracies(name, model, split)
    published = {"per": "batch", "against": "full", "relative": False, "selection": SELECTION}
    for name, options in (("ssd", published), ("ssd_by_example", {"selection": SELECTION})):
        for key in (f"{name}_first_seconds", f"{name}_seconds"):
            model, figures[key] = clock(lambda: methods.ssd(original, split, **common, **options))  # noqa: B023
        figures |= keras_accuracies(name, model, split)
    return figures


def keras_original(args, x, y):
    """Returns the small CNN, trained for some epochs."""
    import keras

    from tfunlearn import models

    keras.utils.set_random_seed(args.seed)
    options = {"filters": FILTERS, "strides": 2, "dense": DENSE, "seed": args.seed}
    model = models.small_cnn(x.shape[1:], CLASSES, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE, momentum=MOMENTUM), loss)
    model.fit(x, y, batch_size=args.batch_size, epochs=args.before, verbose=0)
    return model


def epoch_times(seconds):
    """Returns a callback that notes how long each epoch takes."""
    import keras

    class Times(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self._start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.perf_counter() - self._start)

    return Times()


def keras_accuracies(name, model, split):
    """Returns the accuracy on forget and retain."""
    figures = {}
    for role in ("forget", "retain"):
        x, y = getattr(split, role)
        guesses = model.predict(x, batch_size=512, verbose=0).argmax(1)
        figures[f"{name}_{role}_accuracy"] = float((guesses == y).mean())
    return figures


CONTESTANTS = {"pytorch": pytorch, "tfunlearn": tfunlearn}


if __name__ == "__main__":
    main()
