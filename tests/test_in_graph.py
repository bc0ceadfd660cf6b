"""Training inside one graph gives what `model.fit` gives on the same batches."""

import gc
import weakref

import keras
import numpy as np
import pytest

from tfunlearn import data, losses, methods, models, training
from tfunlearn.data.rows import SINGLE, rows_of
from tfunlearn.training import in_graph
from tfunlearn.training.in_graph import resident_rows

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="graphs are TensorFlow's"
)


@pytest.fixture
def split():
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(53, 6)).astype("float32")
    y = numbers.integers(0, 3, 53)
    return data.by_index(x, y, forget=np.arange(0, 50, 5), test=(x[:8], y[:8]))


def network(dropout=0.3, norm=True):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((6,)), keras.layers.Dense(8, activation="relu")]
    layers += [keras.layers.BatchNormalization()] if norm else []
    layers += [keras.layers.Dropout(dropout, seed=3)] if dropout else []
    return keras.Sequential([*layers, keras.layers.Dense(3)])


def compiled(model, optimizer=None, **options):
    model.compile(
        optimizer or keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top")],
        **options,
    )
    return model


def retain(split, batch_size=8):
    return data.batches(split, "retain", batch_size=batch_size, shuffle=True, seed=5)


def assert_same(left, right, tolerance=1e-6):
    for a, b in zip(left.variables, right.variables, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b), atol=tolerance
        )
    assert int(left.optimizer.iterations) == int(right.optimizer.iterations)


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "schedule": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(0.05, 20), clipnorm=1.0, use_ema=True
    ),
}


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_weights_and_history_are_those_of_fit(split, optimizer, jit_compile):
    plain, fast = (
        compiled(network(), OPTIMIZERS[optimizer](), jit_compile=jit_compile) for _ in range(2)
    )
    expected = plain.fit(retain(split), epochs=3, shuffle=False, verbose=0)
    assert resident_rows(fast, retain(split), []) is not None
    history = training.fit(fast, retain(split), epochs=3)
    assert_same(plain, fast, 1e-5)
    assert history.epoch == expected.epoch
    assert set(history.history) == set(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(history.history[name], values, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 43, 50, 10])
def test_batches_of_every_size(split, batch_size):
    """43 examples: batches of one, the whole at once, fewer than a batch, a smaller last one."""
    plain, fast = (compiled(network(norm=batch_size > 1)) for _ in range(2))
    plain.fit(retain(split, batch_size), epochs=2, shuffle=False, verbose=0)
    training.fit(fast, retain(split, batch_size), epochs=2)
    assert_same(plain, fast, 1e-5)


class Both(methods.Unlearner):
    def terms(self, x, y, logits):
        return {role: losses.cross_entropy(y[role], logits[role]) for role in logits}


def test_an_unlearner_on_pairs_and_on_one_role(split):
    def run(fit):
        unlearner = Both(network())
        unlearner.compile(keras.optimizers.SGD(0.1))
        pairs = fit(unlearner, data.pairs(split, 8, "retain", seed=2))
        one = fit(unlearner, data.batches(split, "forget", batch_size=4, named=True))
        return unlearner, pairs.history, one.history

    plain, *expected = run(lambda model, stream: model.fit(stream, shuffle=False, verbose=0))
    fast, *found = run(lambda model, stream: training.fit(model, stream, epochs=1))
    assert_same(plain, fast, 1e-5)
    for left, right in zip(expected, found, strict=True):
        assert left.keys() == right.keys()
        for name, values in left.items():
            np.testing.assert_allclose(right[name], values, atol=1e-5)
    assert set(found[1]) == {"loss", "forget_loss", "forget_accuracy"}


def test_a_stream_goes_on_where_the_last_training_ended(split):
    """Two trainings of one epoch on one stream are one training of two, on whichever path."""
    plain, fast, mixed = (compiled(network()) for _ in range(3))
    plain.fit(retain(split), epochs=3, shuffle=False, verbose=0)
    stream = retain(split)
    for epochs in (1, 2):
        training.fit(fast, stream, epochs=epochs)
    assert_same(plain, fast, 1e-5)
    stream = retain(split)
    mixed.fit(stream, epochs=1, shuffle=False, verbose=0)
    training.fit(mixed, stream, epochs=2)
    assert_same(plain, mixed, 1e-5)


def test_callbacks_at_epochs(split):
    class Watch(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append((epoch, sorted(logs), float(self.model.optimizer.learning_rate)))
            self.model.stop_training = epoch == 2

    def run(fit):
        model, watch = compiled(network()), Watch()
        rate = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
        fit(model, [rate, watch])
        return model, watch.seen

    plain, expected = run(
        lambda model, own: model.fit(
            retain(split), epochs=9, callbacks=own, shuffle=False, verbose=0
        )
    )
    fast, found = run(
        lambda model, own: training.fit(model, retain(split), epochs=9, callbacks=own)
    )
    assert found == expected
    assert len(found) == 3
    assert_same(plain, fast, 1e-5)


def test_a_callback_that_evaluates_sees_all_of_the_data(split):
    model, found = compiled(network()), []
    stream = data.batches(split, "retain", batch_size=4)
    expected = model.evaluate(stream, verbose=0)
    watch = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: found.append(model.evaluate(stream, verbose=0))
    )
    training.fit(model, retain(split), epochs=1, callbacks=[watch])
    assert found == [pytest.approx(expected)]


class Noisy(methods.Unlearner):
    def __init__(self, student):
        super().__init__(student)
        self.seed_generator = keras.random.SeedGenerator(7)

    def terms(self, x, y, logits):
        noise = keras.random.normal((), seed=self.seed_generator)
        return {role: noise * losses.cross_entropy(y[role], logits[role]) for role in logits}


def test_the_first_random_number_is_that_of_fit(split):
    """What is run once to make variables draws nothing from the training's numbers."""
    plain, fast = Noisy(network(0)), Noisy(network(0))
    for model in (plain, fast):
        model.compile(keras.optimizers.SGD(0.01))
    stream = data.batches(split, "forget", batch_size=4, named=True)
    plain.fit(stream, shuffle=False, verbose=0)
    training.fit(fast, stream, epochs=1)
    assert_same(plain, fast, 1e-5)


def test_a_callback_at_batches_sees_every_batch(split):
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    model = compiled(network())
    assert resident_rows(model, retain(split), [watch]) is None
    training.fit(model, retain(split), epochs=1, callbacks=[watch])
    assert seen == list(range(6))


def test_a_progress_bar_counts_batches(split, capsys):
    model = compiled(network())
    training.fit(model, retain(split, 1), epochs=1, verbose=1)
    assert "43/43" in capsys.readouterr().out


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


def test_what_is_left_to_fit(split):
    model, stream = compiled(network()), retain(split)
    assert resident_rows(model, stream, []) is not None
    assert resident_rows(model, stream.map(lambda x, y: (x, y)), []) is None
    assert resident_rows(model, (split.retain[0], split.retain[1]), []) is None
    assert resident_rows(compiled(network(), run_eagerly=True), stream, []) is None
    assert resident_rows(compiled(OwnStep(network().layers)), stream, []) is None
    assert resident_rows(compiled(network(), steps_per_execution=2), stream, []) is None


def test_the_model_is_left_as_keras_has_it(split):
    model = compiled(network())
    training.fit(model, retain(split), epochs=1)
    assert model.train_function is None
    assert model.steps_per_execution == 1
    model.fit(*split.retain, epochs=1, batch_size=8, verbose=0)  # Keras' own, afterwards


def test_a_graph_is_traced_once(split):
    class Counting(keras.layers.Layer):
        calls = 0

        def call(self, x):
            Counting.calls += 1
            return x

    model = compiled(keras.Sequential([keras.Input((6,)), Counting(), keras.layers.Dense(3)]))
    training.fit(model, retain(split), epochs=2)
    traced = Counting.calls
    for size in (8, 16):
        training.fit(model, retain(split, size), epochs=1)
    assert Counting.calls == traced
    model.layers[0].trainable = True
    compiled(model)  # a fresh optimizer: an old graph would move the old one
    training.fit(model, retain(split), epochs=1)
    assert Counting.calls > traced
    assert int(model.optimizer.iterations) == 6


@pytest.mark.parametrize("verbose", [0, 1])
def test_an_epoch_draws_one_order(split, verbose, capsys):
    stream = retain(split, 1)
    training.fit(compiled(network(norm=False)), stream, epochs=3, verbose=verbose)
    assert next(rows_of(stream)[SINGLE].passes) == 3


def test_models_are_not_kept_alive(split):
    model = compiled(network())
    training.fit(model, retain(split), epochs=1)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_the_data_is_not_kept_alive(split):
    model = compiled(network())
    training.fit(model, retain(split), epochs=1)
    assert in_graph._MADE[model]
    assert not any(made.arrays for made in in_graph._MADE[model].values())


def test_the_zoo_learns_there(split):
    net = compiled(models.mnist_dense(6, 3, seed=0))
    before = net.evaluate(*split.retain, verbose=0)[0]
    training.fit(net, retain(split), epochs=5)
    assert net.evaluate(*split.retain, verbose=0)[0] < before
