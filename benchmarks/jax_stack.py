"""Many small dense networks in one JAX program: their weights are stacked, each has its own seed.

The network, its start, its dropout and the steps are those of the MNIST notebook; the order of the
images is drawn for each model, and the last batch of an epoch is a smaller one.
"""

import itertools

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from run_training import DROPOUT, LAYERS, MOMENTUM, RATE


def maker(parts, epochs, batch_size, dropout=DROPOUT):
    """Returns a function of seeds that trains a model of each and returns their logits.

    Args:
        parts: role to images (N, pixels) and labels; those of "retain" are trained on.
        epochs: passes over them.
        batch_size: images a step.
        dropout: rate of both dropout layers.

    Returns:
        A function of an array of seeds that gives role to logits (models, N, classes) in NumPy.
    """
    inputs = {role: jnp.asarray(x) for role, (x, _) in parts.items()}
    labels = jnp.asarray(parts["retain"][1], "int32")

    def one(seed, inputs, labels):
        key = jax.random.key(seed)
        weights = trained(key, inputs["retain"], labels, epochs, batch_size, dropout)
        return {role: forward(weights, x) for role, x in inputs.items()}

    stack = jax.jit(jax.vmap(one, in_axes=(0, None, None)))
    return lambda seeds: jax.tree.map(np.asarray, stack(jnp.asarray(seeds), inputs, labels))


def trained(key, x, y, epochs, batch_size, dropout):
    """Returns the weights of one model after its training."""
    weights = start(jax.random.fold_in(key, 0), x.shape[1])
    speed = jax.tree.map(jnp.zeros_like, weights)

    def epoch(state, key):
        order = jax.random.permutation(key, len(y))
        full = len(y) // batch_size

        def step(state, number_and_rows):
            number, rows = number_and_rows
            own = jax.random.fold_in(key, number)
            return stepped(*state, x[rows], y[rows], own, dropout), None

        rows = order[: full * batch_size].reshape(full, batch_size)
        state, _ = lax.scan(step, state, (jnp.arange(1, full + 1), rows))
        if full * batch_size < len(y):
            state, _ = step(state, (full + 1, order[full * batch_size :]))
        return state, None

    keys = jax.random.split(jax.random.fold_in(key, 1), epochs)
    return lax.scan(epoch, (weights, speed), keys)[0][0]


def start(key, size):
    """Returns weights as PyTorch draws them: uniform within 1 / sqrt(inputs)."""
    pairs = list(itertools.pairwise((size, *LAYERS)))
    counts = [(above + 1) * below for above, below in pairs]
    drawn = jax.random.uniform(key, (sum(counts),), minval=-1)
    parts = jnp.split(drawn, np.cumsum(counts)[:-1])
    weights = []
    for part, (above, below) in zip(parts, pairs, strict=True):
        rows = above**-0.5 * part.reshape(above + 1, below)
        weights.append((rows[:-1], rows[-1]))
    return weights


def stepped(weights, speed, x, y, key, dropout):
    """Returns weights and momenta after one step of SGD."""

    def loss(weights):
        scores = jax.nn.log_softmax(forward(weights, x, key, dropout))
        return -jnp.take_along_axis(scores, y[:, None], 1).mean()

    gradients = jax.grad(loss)(weights)
    speed = jax.tree.map(lambda v, g: MOMENTUM * v - RATE * g, speed, gradients)
    return jax.tree.map(jnp.add, weights, speed), speed


def forward(weights, x, key=None, dropout=0.0):
    """Returns logits; with a key, dropout after the first two layers."""
    for number, (kernel, bias) in enumerate(weights):
        x = x @ kernel + bias
        if number == len(weights) - 1:
            return x
        x = jax.nn.relu(x)
        if key is not None and dropout and number < 2:
            kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - dropout, x.shape)
            x = jnp.where(kept, x / (1 - dropout), 0)
    return x
