"""Steps of gradient sums, kept for models of one architecture."""

import functools
import gc
import sys
import threading
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

from tfunlearn import gradients, methods, models
from tfunlearn.gradients import step_cache
from tfunlearn.testing.tasks import original, tiny_split

traces = []


def entropy(y, logits):
    """Cross-entropy, which notes that it is traced."""
    traces.append(len(traces))
    return ops.sparse_categorical_crossentropy(y, logits, from_logits=True)


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    traces.clear()
    monkeypatch.setattr(step_cache, "_steps", type(step_cache._steps)())
    monkeypatch.setattr(step_cache, "_OWN", (*step_cache._OWN, "tests"))


def net(seed=0, activation="relu", middle=None):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="inputs")
    hidden = layers.Dense(5, activation=activation, name="hidden")(inputs)
    hidden = hidden if middle is None else middle(hidden)
    return keras.Model(inputs, layers.Dense(3, name="head")(hidden), name="net")


def data(size=12, seed=0):
    numbers = np.random.default_rng(seed)
    return numbers.normal(size=(size, 4)).astype("float32"), np.arange(size) % 3


def squares(model, loss=entropy, **options):
    return gradients.gradient_sum(model, [data()], loss, of="square", per="example", **options)[0]


def by_hand(model):
    """The same sums, from gradients of single examples without any step that is kept."""
    x, y = data()
    total = [np.zeros(weight.shape) for weight in model.trainable_variables]
    for row in range(len(y)):
        values = [weight.value for weight in model.trainable_variables]
        others = [weight.value for weight in model.non_trainable_variables]

        def loss(values, row=row, others=others):
            outputs, _ = model.stateless_call(values, others, x[row : row + 1], training=False)
            terms = ops.sparse_categorical_crossentropy(y[row : row + 1], outputs, from_logits=True)
            return ops.sum(terms)

        for part, slope in zip(total, step_gradient(loss, values), strict=True):
            part += np.square(ops.convert_to_numpy(slope))
    return total


def step_gradient(loss, values):
    return gradients.autodiff.gradient(loss, values)


def close(received, expected):
    for got, want in zip(received, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_a_model_of_the_same_architecture_is_not_traced_again():
    first, second = net(0), net(1)
    close(squares(first), by_hand(first))
    made = len(traces)
    assert made > 0
    close(squares(second), by_hand(second))
    assert len(traces) == made
    assert len(step_cache._steps) == 1
    assert not np.allclose(squares(first)[0], squares(second)[0])


def test_another_size_of_batch_is_traced_with_the_model_at_hand():
    first, second = net(0), net(1)
    squares(first)
    del first
    gc.collect()
    made = len(traces)
    close(squares(second, chunk=5), by_hand(second))
    assert len(traces) > made


def frozen(model):
    model.layers[1].trainable = False
    return model


def changed(model):
    model.layers[1].activation = keras.activations.tanh
    return model


OTHERS = {
    "another activation": lambda: net(activation="tanh"),
    "an activation set later": lambda: changed(net()),
    "a frozen layer": lambda: frozen(net()),
    "one more layer": lambda: net(middle=layers.ReLU(max_value=0.1)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_computes_something_else_has_a_step_of_its_own(name):
    squares(net())
    made = len(traces)
    other = OTHERS[name]()
    close(squares(other), by_hand(other))
    assert len(traces) > made


def test_one_model_that_is_changed_between_calls():
    model = net()
    close(squares(model), by_hand(model))
    close(squares(changed(model)), by_hand(model))
    close(squares(frozen(model)), by_hand(model))
    assert len(squares(model)) == 2


def test_options_have_steps_of_their_own():
    model = net()
    sums = {
        (of, per): gradients.gradient_sum(model, [data()], entropy, of=of, per=per)[0]
        for of in ("identity", "square", "abs")
        for per in ("batch", "example")
    }
    assert len(step_cache._steps) == 6
    assert len({part[0].tobytes() for part in sums.values()}) == 6


@keras.saving.register_keras_serializable("tests")
class Twice(layers.Layer):
    """A layer of the user's own."""

    def call(self, inputs):
        return 2.0 * inputs


def normalization():
    layer = layers.Normalization(mean=np.arange(5.0), variance=np.ones(5))
    layer.build((None, 5))
    return layer


def halved(values):
    return values / 2


def relu(values):
    """No relu, for all its name."""
    return values / 3


def some_relu():
    return functools.partial(keras.activations.relu, max_value=0.5)


UNKNOWN = {
    "a layer of one's own": lambda: net(middle=Twice()),
    "a function of one's own": lambda: net(activation=halved),
    "one with the name of one of Keras": lambda: net(activation=relu),
    "one that Keras cannot describe": lambda: net(activation=some_relu()),
    "statistics that are no weights": lambda: net(middle=normalization()),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_is_kept_where_config_and_weights_do_not_tell_all(name):
    squares(net())
    model = UNKNOWN[name]()
    close(squares(model), by_hand(model))
    assert len(step_cache._steps) == 1


def test_nothing_is_kept_for_a_function_made_inside_another():
    def sharp(factor):
        def loss(y, logits):
            return entropy(y, factor * logits)

        return loss

    model = net()
    one, two = (squares(model, sharp(factor))[0] for factor in (1.0, 2.0))
    assert not step_cache._steps
    assert not np.allclose(one, two)
    assert not np.allclose(squares(model, lambda y, logits: entropy(y, 3 * logits))[0], one)
    assert not step_cache._steps


def test_nothing_is_kept_for_a_function_that_may_read_what_changes(monkeypatch):
    monkeypatch.setattr(step_cache, "_OWN", ("keras", "tfunlearn"))
    model = net()
    for temperature in (1.0, 4.0):
        monkeypatch.setattr(sys.modules[__name__], "temperature", temperature)
        x, y = data()
        expected = gradients.gradient_sum(
            model, [(x, y)], lambda y, z, by=temperature: entropy(y, z / by)
        )
        received = gradients.gradient_sum(model, [(x, y)], cooled)
        close(received[0], expected[0])
    assert not step_cache._steps


temperature = 1.0


def cooled(y, logits):
    return entropy(y, logits / temperature)


def test_names_do_not_matter():
    def build():
        hidden = layers.Dense(5, activation="relu")
        return keras.Sequential([keras.Input((4,)), hidden, layers.Dense(3)])

    first, second = build(), build()
    assert first.layers[0].name != second.layers[0].name
    for model in (first, second):
        close(squares(model), by_hand(model))
    assert len(step_cache._steps) == 1


def test_where_an_input_goes_does_matter():
    def build(order):
        inputs = keras.Input((4,))
        parts = [layers.Dense(5)(inputs), layers.Dense(5, activation="relu")(inputs)]
        left, right = (parts[place] for place in order)
        return keras.Model(inputs, layers.Dense(3)(left - 2.0 * layers.ReLU()(right)))

    for model in (build((0, 1)), build((1, 0))):
        close(squares(model), by_hand(model))


def test_no_model_is_kept():
    model = net(middle=layers.BatchNormalization())
    squares(model)
    list(gradients.per_example(model, [data()], entropy))
    assert len(step_cache._steps) == 2
    gone = [weakref.ref(part) for part in (model, *model.layers, *model.weights)]
    del model
    gc.collect()
    assert [part() for part in gone] == [None] * len(gone)


def test_a_step_that_has_seen_many_shapes_is_made_anew(monkeypatch):
    monkeypatch.setattr(step_cache, "_SHAPES", 3)
    model = net()
    for size in (3, 4, 5, 3, 6, 7):
        x, y = data(size)
        _, terms = gradients.gradient_sum(model, [(x, y)], entropy, of="abs", per="example")
        assert terms == size
        (step,) = step_cache._steps.values()
        assert len(step._shapes) <= 3
    made = len(traces)
    gradients.gradient_sum(model, [(x, y)], entropy, of="abs", per="example")
    assert len(traces) == made


def test_steps_can_be_dropped():
    squares(net())
    step_cache.clear()
    assert not step_cache._steps


def test_the_steps_are_few():
    for width in range(step_cache._KEPT + 3):
        squares(net(middle=layers.Dense(width + 1)))
    assert len(step_cache._steps) == step_cache._KEPT


def test_threads_do_not_mix_their_models():
    nets = [net(seed) for seed in range(4)]
    expected = [by_hand(model) for model in nets]
    received = [None] * 4

    def work(place):
        received[place] = squares(nets[place], chunk=3 + place)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, want in zip(received, expected, strict=True):
        close(got, want)


def test_rows_of_single_examples_are_kept_too():
    for seed in range(2):
        model = net(seed)
        rows = np.stack(list(gradients.per_example(model, [data()], entropy)))
        wanted = np.concatenate([part.ravel() for part in by_hand(model)])
        np.testing.assert_allclose(np.square(rows).sum(0), wanted, rtol=1e-4, atol=1e-6)
    assert len(step_cache._steps) == 1


def test_methods_of_one_kind_share_a_step():
    split = tiny_split()
    model = original("dense")
    for method in (methods.ssd, methods.assd):
        method(models.copy(model), split)
    kept = {key[1:3] for key in step_cache._steps}
    assert len(step_cache._steps) == len(kept) == 1
