"""Times the exact diagonal Fisher, a square for each example, against loops with batches of one.

Writes results/fisher.json. The loop is what the definition says: for each example a GradientTape,
and the squares added up; once in a compiled step, and once as public Keras code has it, where
nothing is compiled (stijani/elastic-weight-consolidation-tf2, seculayer/AutoAPE-EWC). That one is
timed on fewer examples, and its time multiplied. tfunlearn's is `gradients.gradient_sum`, which the
dampening methods use. All make their step anew in each round. The difference is taken to the same
network in float64, by a loop that is not timed: of each weight as a whole, and of the one entry
where it is largest, which is one of the smallest (float32 rounds a ReLU near 0 on instead of off).
tfunlearn's sums in float64 are compared with that too.

    python benchmarks/run_fisher.py
"""

import time

import rounds

CNN = {"filters": 24, "strides": 2, "dense": 128}
BATCH_SIZE = 128
FLOOR = 1e-6  # of a weight's largest sum, below which entries are not compared
SMALLER = ("examples", "eager")


def main(argv=None) -> None:
    """Times both and writes the result."""
    parser = rounds.parser(__doc__, "fisher")
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--eager", type=int, default=500, help="examples of the loop as it stands")
    parser.add_argument("--dense", default="mnist", help="data set of the dense network")
    parser.add_argument("--cnn", default="cifar10", help="data set of the convolutional one")
    parser.add_argument("--data-dir")
    args = rounds.read(parser, argv, SMALLER)

    from tfunlearn.experiments import startup

    startup.start()
    found = {name: compared(args, name) for name in ("dense", "cnn")}
    rounds.write("fisher", args, {"networks": found})


def compared(args, kind):
    """Returns the seconds of both on one network, their ratio and the differences."""
    model, x, y = network(args, kind)
    ways = {"eager loop": eager_loop, "loop": loop, "tfunlearn": tfunlearn}
    seconds, sums = {name: [] for name in ways}, {}
    for number in range(args.rounds):
        for name, function in ways.items():
            count = min(args.eager, len(y)) if function is eager_loop else len(y)
            start = time.perf_counter()
            sums[name] = function(model, x[:count], y[:count])
            seconds[name].append((time.perf_counter() - start) * len(y) / count)
        print(kind, number, {name: round(own[-1], 3) for name, own in seconds.items()}, flush=True)
    twin = network(args, kind, "float64")[0]
    twin.set_weights(model.get_weights())
    exact, wide = in_float64(twin, x, y), tfunlearn(twin, x, y)
    times = {name: [{"seconds": one} for one in own] for name, own in seconds.items()}
    ours = times.pop("tfunlearn")
    del sums["eager loop"]  # of fewer examples
    return {
        "parameters": int(sum(part.size for part in exact)),
        "seconds": {name: rounds.summary(own) for name, own in seconds.items()},
        "ratio": {name: rounds.ratio(own, ours, "seconds") for name, own in times.items()},
        "relative_difference": {name: distance(own, exact) for name, own in sums.items()},
        "largest_relative_difference": {name: difference(own, exact) for name, own in sums.items()},
        "relative_difference_in_float64": distance(wide, exact),
    }


def network(args, kind, dtype="float32"):
    """Returns an untrained network of a type and the first examples of its data set."""
    import keras

    from tfunlearn import models
    from tfunlearn.data import Normalizer, datasets

    name = getattr(args, kind)
    (x, y), _ = datasets.load(name, args.data_dir)
    x, y = Normalizer.named(name)(x[: args.examples]), y[: args.examples]
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        if kind == "dense":
            x = x.reshape(len(x), -1)
            return models.mnist_dense(x.shape[1], seed=0), x, y
        x = x if x.ndim == 4 else x[..., None]
        return models.small_cnn(x.shape[1:], seed=0, **CNN), x, y
    finally:
        keras.config.set_dtype_policy(policy)


def tape_step(model):
    """Returns a compiled function of one example: the gradients of its cross-entropy."""
    import tensorflow as tf

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=False))
        return tape.gradient(loss, model.trainable_variables)

    return step


def eager_loop(model, x, y):
    """Returns the sums of squares by a loop over single images, with nothing compiled."""
    import numpy as np
    import tensorflow as tf

    sums = [np.zeros(weight.shape) for weight in model.trainable_variables]
    for place in range(len(y)):
        with tf.GradientTape() as tape:
            logits = model(x[place : place + 1], training=False)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y[place : place + 1], logits)
        slopes = tape.gradient(loss, model.trainable_variables)
        for total, part in zip(sums, slopes, strict=True):
            total += np.square(part)
    return sums


def loop(model, x, y):
    """Returns the sums of squares by a loop over batches of one."""
    import tensorflow as tf

    gradients = tape_step(model)
    sums = [tf.Variable(tf.zeros_like(weight)) for weight in model.trainable_variables]

    @tf.function
    def step(x, y):
        for total, part in zip(sums, gradients(x, y), strict=True):
            total.assign_add(tf.square(part))

    for row in tf.data.Dataset.from_tensor_slices((x, y)).batch(1):
        step(*row)
    return [total.numpy() for total in sums]


def tfunlearn(model, x, y):
    """Returns the sums of squares by `gradients.gradient_sum`."""
    from tfunlearn import gradients, losses
    from tfunlearn.gradients import step_cache

    step_cache.clear()
    batches = [
        (x[start : start + BATCH_SIZE], y[start : start + BATCH_SIZE])
        for start in range(0, len(y), BATCH_SIZE)
    ]
    found, _ = gradients.gradient_sum(
        model, batches, losses.cross_entropy, of="square", per="example"
    )
    return found


def in_float64(model, x, y):
    """Returns the sums of squares of single gradients of a network in float64."""
    import numpy as np

    step = tape_step(model)
    sums = [np.zeros(weight.shape) for weight in model.trainable_variables]
    for place in range(len(y)):
        for total, part in zip(sums, step(x[place : place + 1], y[place : place + 1]), strict=True):
            total += np.square(part.numpy())
    return sums


def distance(found, exact):
    """Returns the norm of the difference over the norm, of the weight where it is largest."""
    import numpy as np

    pairs = zip(found, exact, strict=True)
    return max(float(np.linalg.norm(own - other) / np.linalg.norm(other)) for own, other in pairs)


def difference(found, exact):
    """Returns the largest relative difference of entries that are not next to nothing."""
    largest = 0.0
    for own, other in zip(found, exact, strict=True):
        counts = other > FLOOR * other.max()
        if counts.any():
            gaps = abs(own[counts] - other[counts]) / other[counts]
            largest = max(largest, float(gaps.max()))
    return largest


if __name__ == "__main__":
    main()
