"""Times a bank's models against plain trainings of the same network in the same run.

Writes results/bank.json. Plain is what a loop would do: build, compile, `model.fit` on the retain
set, and `predict` on every role. Ways alternate in rounds, so that a busy machine slows all. A bank
is filled in this process, by one process besides it, and by several; their start is counted. The
arithmetic is what a training takes at the rate of a large float32 matrix product on all cores: 6
operations for each weight and example.

    python benchmarks/run_bank.py
"""

import math
import tempfile
import time

import rounds

BATCH_SIZE = 128
SMALLER = ("models", "plain", "limit", "epochs")


def main(argv=None) -> None:
    """Times both and writes the result."""
    parser = rounds.parser(__doc__, "bank", rounds=3)
    parser.add_argument("--models", type=int, default=48, help="of each bank in a round")
    parser.add_argument("--plain", type=int, default=4, help="plain trainings in a round")
    parser.add_argument("--limit", type=int, default=10_000, help="training images")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="processes of the bank's other way")
    parser.add_argument("--product", type=int, default=3000, help="side of the matrices")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data-dir")
    args = rounds.read(parser, argv, SMALLER)

    from tfunlearn.experiments import startup

    startup.start()
    split = make_split(args)
    found = [one_round(args, split, number) for number in range(args.rounds)]
    rounds.write(
        "bank",
        args,
        {
            "seconds_a_model": rounds.summaries(found),
            "ratio": {
                name: rounds.summary([one["plain"] / one[name] for one in found])
                for name in found[0]
                if name not in ("plain", "arithmetic")
            },
            "arithmetic": rounds.summary(
                [one["arithmetic"] / one["this process"] for one in found]
            ),
            "more_processes": rounds.summary(
                [one["1 process"] / one[several(args)] for one in found]
            ),
        },
    )


def make_split(args):
    """Returns a tenth of the training images to forget."""
    from tfunlearn.data import ForgetSplit, Normalizer, datasets

    (x, y), test = datasets.load(args.dataset, args.data_dir)
    normalize = Normalizer.named(args.dataset)

    def flat(images):
        return normalize(images.reshape(len(images), -1))

    x, y = flat(x[: args.limit]), y[: args.limit]
    return ForgetSplit.random(x, y, fraction=0.1, test=(flat(test[0]), test[1]))


def make_model(split, seed):
    """Returns the compiled network."""
    import keras

    from tfunlearn import models

    net = models.mnist_dense(split.input_shape[0], split.num_classes, seed=seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=models.gives_logits(net))
    net.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"])
    return net


def one_round(args, split, number):
    """Returns seconds a model: plain, in this process, and with other processes."""
    first = number * args.models
    found = {
        "plain": plain(args, split, first),
        "this process": of_bank(args, split, first, threads=None),
        "1 process": of_bank(args, split, first, workers=1),
        several(args): of_bank(args, split, first, workers=args.workers),
        "arithmetic": arithmetic(args, split),
    }
    print({name: round(value, 3) for name, value in found.items()}, flush=True)
    return found


def several(args):
    """Returns the name of the way with several processes."""
    return f"{args.workers} processes"


def arithmetic(args, split):
    """Returns seconds a model of a training's operations at the rate of a large product."""
    weights = sum(math.prod(weight.shape) for weight in kernels(split))
    return 6 * weights * split.size("retain") * args.epochs / rounds.product_rate(args.product)


def kernels(split):
    """Returns the network's matrices."""
    return [own for own in make_model(split, 0).trainable_variables if len(own.shape) == 2]


def plain(args, split, first):
    """Returns seconds a model of a loop over seeds."""
    start = time.perf_counter()
    for seed in range(first, first + args.plain):
        net = make_model(split, seed)
        net.fit(*split.retain, epochs=args.epochs, batch_size=BATCH_SIZE, verbose=0)
        for role in split.roles:
            net.predict(getattr(split, role)[0], batch_size=512, verbose=0)
    return (time.perf_counter() - start) / args.plain


def of_bank(args, split, first, *, threads=1, workers=None):
    """Returns seconds a model of a bank, starting its processes included."""
    from tfunlearn.audit import ReferenceBank

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        bank = ReferenceBank(
            folder,
            make_model(split, 0),
            split,
            epochs=args.epochs,
            batch_size=BATCH_SIZE,
            seed=first,
            threads=threads,
        )
        bank.fill(args.models, workers=workers)
        return (time.perf_counter() - start) / args.models


if __name__ == "__main__":
    main()
