"""Times a forget/retain split of a tf.data pipeline and its passes: tfunlearn, and Keras' own way.

Writes results/split.json. Two pipelines of batches: the second notebook's, of arrays in memory,
normalised image by image, and one of records in a file, decoded batch by batch, as data that is too
large for memory is. Keras users call `keras.utils.split_dataset(ds.unbatch(), ...)`, which collects
all examples; tfunlearn's `ForgetSplit.from_dataset` keeps a label and a flag of each, and reads the
pipeline again at each pass. So a pass over the bare pipeline and the second pass over retain are
timed as well. Each way has its peak of resident memory, all of it, and what it added to what the
process held before.

    python benchmarks/run_split.py
"""

import json
import pathlib
import resource
import time

import rounds

FRACTION, BATCH_SIZE = 0.1, 128
SMALLER = ()


def main(argv=None) -> None:
    """Times both and writes the result, or one of them in a process of its own."""
    parser = rounds.parser(__doc__, "split")
    rounds.add_contestants(parser, list(CONTESTANTS))
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--pipelines", nargs="+", default=list(PIPELINES), choices=list(PIPELINES))
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[10_000, 50_000], help="the notebook's: the last"
    )
    parser.add_argument("--data-dir")
    args = rounds.read(parser, argv, SMALLER)
    if args.contestant:
        print(json.dumps(CONTESTANTS[args.contestant](args)))
        return
    for name in ("sizes", "pipelines") if args.out == parser.get_default("out") else ():
        if getattr(args, name) != parser.get_default(name):
            parser.error(f"--{name}: --out FILE is wanted too: no committed result")
    sizes, kinds = args.sizes, args.pipelines
    found = {
        kind: {
            size: of_size(args, kind, size) for size in (sizes if kind == "records" else sizes[-1:])
        }
        for kind in kinds
    }
    args.sizes, args.pipelines = sizes, kinds
    content = {
        kind: {
            str(size): {
                **{name: rounds.summaries(own) for name, own in both.items()},
                "ratio": ratios(both),
            }
            for size, both in by_size.items()
        }
        for kind, by_size in found.items()
    }
    rounds.write("split", args, {"pipelines": content})


def of_size(args, kind, size):
    """Returns what the contestants find on so many images."""
    args.pipelines, args.sizes = [kind], [size]
    return rounds.alternate(__file__, CONTESTANTS, args, lambda folder: prepare(args, folder))


def ratios(both):
    """Returns Keras' figures over tfunlearn's, inside each round."""
    if len(both) < len(CONTESTANTS):
        return {}
    keys = ("split_seconds", "first_pass_seconds", "second_pass_seconds")
    keys += ("split_and_first_pass_seconds", "peak_mib")
    return {key: rounds.ratio(both["keras"], both["tfunlearn"], key) for key in keys}


def prepare(args, folder) -> None:
    """Writes the images as records of one label byte and the image's bytes, and as arrays."""
    import numpy as np

    from tfunlearn.data import datasets

    (x, y), _ = datasets.load(args.dataset, args.data_dir)
    count = args.sizes[0]
    if count > len(y):
        raise SystemExit(f"--sizes: {args.dataset} has {len(y)} images. Received: {count}.")
    x, y = x[:count], y[:count]
    x = x if x.ndim == 4 else x[..., None]
    for name, part in (("x", x), ("y", y.astype("int64"))):
        np.save(folder / f"{name}.npy", part, allow_pickle=False)
    rows = np.concatenate([y[:, None].astype("uint8"), x.reshape(count, -1)], axis=1)
    rows.tofile(folder / "records.bin")


def notebook(args):
    """Returns batches of arrays in memory, each image normalised by itself."""
    import numpy as np
    import tensorflow as tf

    x, y = (np.load(pathlib.Path(args.folder) / f"{name}.npy") for name in ("x", "y"))

    def normalize(image, label):
        return (tf.cast(image, tf.float32) / 255.0 - 0.5) / 0.25, label

    images = tf.data.Dataset.from_tensor_slices((x, y)).map(normalize)
    return images.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)


def records(args):
    """Returns batches of records that are read from a file, decoded batch by batch."""
    import numpy as np
    import tensorflow as tf

    folder = pathlib.Path(args.folder)
    shape = np.load(folder / "x.npy", mmap_mode="r").shape[1:]

    def decode(rows):
        values = tf.io.decode_raw(rows, tf.uint8)
        images = tf.reshape(values[:, 1:], (-1, *shape))
        return tf.cast(images, tf.float32) / 127.5 - 1, tf.cast(values[:, 0], tf.int64)

    length = 1 + int(np.prod(shape))
    rows = tf.data.FixedLengthRecordDataset(str(folder / "records.bin"), length).batch(BATCH_SIZE)
    return rows.map(decode, num_parallel_calls=tf.data.AUTOTUNE)


PIPELINES = {"notebook": notebook, "records": records}


def timed(args, make):
    """Returns the seconds of the split and of two passes over retain, and the peak of memory.

    Args:
        args: the arguments.
        make: function of the batches that splits, and returns the shuffled batches of retain.
    """
    from tfunlearn.experiments import startup

    startup.start()
    batches = PIPELINES[args.pipelines[0]](args)
    start = time.perf_counter()
    for _ in batches:
        pass
    figures, before = {"reading_seconds": time.perf_counter() - start}, peak_mib()
    start = time.perf_counter()
    retain = make(batches)
    figures["split_seconds"] = time.perf_counter() - start
    for name in ("first", "second"):
        start = time.perf_counter()
        seen = sum(int(y.shape[0]) for _, y in retain)
        figures[f"{name}_pass_seconds"] = time.perf_counter() - start
    whole = figures["split_seconds"] + figures["first_pass_seconds"]
    peak = max(before, peak_mib())  # the system's count lags by some pages
    memory = {"peak_mib": peak, "added_mib": peak - before}
    return {**figures, "split_and_first_pass_seconds": whole, "retain": seen, **memory}


def peak_mib():
    """Returns the most memory that this process has held so far."""
    status = pathlib.Path("/proc/self/status")
    if status.is_file():  # what the system counts for getrusage includes the parent's
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def plain_keras(args):
    """`keras.utils.split_dataset` on single examples, a random tenth to forget."""

    def make(batches):
        import keras

        _, retain = keras.utils.split_dataset(
            batches.unbatch(), left_size=FRACTION, shuffle=True, seed=args.seed
        )
        return retain.shuffle(1024).batch(BATCH_SIZE).prefetch(2)

    return timed(args, make)


def tfunlearn(args):
    """`ForgetSplit.from_dataset`, a random tenth to forget."""

    def make(batches):
        import numpy as np

        from tfunlearn import ForgetSplit

        count = args.sizes[0]
        numbers = np.random.default_rng(args.seed)
        forget = np.sort(numbers.permutation(count)[: round(FRACTION * count)])
        split = ForgetSplit.from_dataset(batches, forget=forget, test=batches.take(1))
        return split.dataset("retain", batch_size=BATCH_SIZE, shuffle=True, seed=args.seed)

    return timed(args, make)


CONTESTANTS = {"keras": plain_keras, "tfunlearn": tfunlearn}


if __name__ == "__main__":
    main()
