import random

import keras
import numpy as np
import pytest

from tfunlearn import models
from tfunlearn.models import copy, iter_layers, reinitialized, weight_distance
from tfunlearn.models.copying import example_batch

L = keras.layers
ROWS = np.random.default_rng(0).normal(size=(12, 6)).astype("float32")
LABELS = np.arange(12) % 3


def bytes_of(model):
    return [weight.tobytes() for weight in model.get_weights()]


def flags(model):
    return [layer.trainable for layer in [model, *iter_layers(model)]]


def compiled(model, jit_compile=False):
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model


@keras.saving.register_keras_serializable("tests")
class Scaled(L.Layer):
    """Registered, with a constant in its config."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


class Unregistered(L.Layer):
    """Not registered with Keras; holds a sub-layer."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = L.Dense(units)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs):
        return self.inner(inputs)

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {"units": self.units}


class Forgetful(L.Layer):
    """Computes with something that neither its config nor its weights describe."""

    factor = 1.0

    def call(self, inputs):
        return inputs * self.factor


class WithConfig(keras.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.body, self.head = L.Dense(5, activation="relu"), L.Dense(units)

    def call(self, inputs):
        return self.head(self.body(inputs))

    def get_config(self):
        return super().get_config() | {"units": self.units}


class WithoutConfig(keras.Model):
    def __init__(self, head):
        super().__init__()
        self.head = head

    def call(self, inputs):
        return self.head(inputs)


class HalfConfig(WithConfig):
    """Forgets its own argument in its config."""

    def get_config(self):
        return {"name": self.name}


def sequential():
    return keras.Sequential(
        [
            keras.Input((6,)),
            L.Dense(5, activation="relu"),
            L.BatchNormalization(),
            L.Dropout(0.5),
            L.Dense(3, name="head"),
        ]
    )


def many_inputs():
    left, right = keras.Input((4,), name="left"), keras.Input((2,), name="right")
    hidden = L.Concatenate()([L.Dense(3)(left), right])
    return keras.Model({"left": left, "right": right}, L.Dense(2)(hidden))


def one_input_in_a_list():
    inputs = keras.Input((4,))
    return keras.Model([inputs], L.Dense(2)(inputs))


def two_inputs_in_a_list():
    one, two = keras.Input((4,)), keras.Input((4,))
    return keras.Model([one, two], L.Dense(2)(L.Add()([one, two])))


def tokens():
    inputs = keras.Input((None,), dtype="int32")
    hidden = L.GlobalAveragePooling1D()(L.Embedding(9, 4)(inputs))
    return keras.Model(inputs, L.Dense(2)(hidden))


def subclassed():
    model = WithConfig(4)
    model(np.zeros((2, 6), "float32"))
    return model


def adapted():
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(1).normal(3, 2, size=(50, 6)).astype("float32"))
    return keras.Sequential([keras.Input((6,)), layer, L.Dense(3)])


MODELS = {
    "small_cnn": lambda: models.small_cnn(seed=0),
    "mnist_dense": lambda: models.mnist_dense(20, seed=0),
    "sequential": sequential,
    "many inputs": many_inputs,
    "listed input": one_input_in_a_list,
    "two inputs": two_inputs_in_a_list,
    "tokens": tokens,
    "subclassed": subclassed,
    "adapted": adapted,
    "registered": lambda: keras.Sequential([keras.Input((3,)), Scaled(2.5), L.Dense(2)]),
    "unregistered": lambda: keras.Sequential([keras.Input((3,)), Unregistered(4), L.Dense(2)]),
    "fixed batch": lambda: keras.Sequential([keras.Input(batch_shape=(4, 3)), L.Dense(2)]),
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


# copy


def test_the_twin_computes_the_same_and_shares_nothing(model):
    before = bytes_of(model)
    twin = copy(model)
    assert type(twin) is type(model)
    assert twin.name == model.name
    assert bytes_of(twin) == bytes_of(model) == before
    assert not {id(v) for v in twin.variables} & {id(v) for v in model.variables}
    assert not {id(v) for v in iter_layers(twin)} & {id(v) for v in iter_layers(model)}
    batch = example_batch(model, batch_size=3, seed=5)
    np.testing.assert_allclose(model(batch).numpy(), twin(batch).numpy(), atol=1e-6)
    assert not twin.compiled
    for weight in twin.weights:
        weight.assign(weight + 1)
    assert bytes_of(model) == before


def test_the_original_is_untouched():
    model = compiled(sequential())
    model.fit(ROWS, LABELS, epochs=1, verbose=0)
    model.layers[0].trainable = False
    optimizer, loss, before = model.optimizer, model.loss, bytes_of(model)
    moments = [v.numpy().tobytes() for v in optimizer.variables]
    kept, config = flags(model), model.get_compile_config()
    twin = copy(model)
    reinitialized(model, seed=3)
    assert bytes_of(model) == before
    assert flags(model) == kept
    assert model.compiled
    assert model.optimizer is optimizer
    assert model.loss is loss
    assert [v.numpy().tobytes() for v in optimizer.variables] == moments
    assert model.get_compile_config() == config
    assert not twin.compiled
    assert getattr(twin, "optimizer", None) is None


def test_training_the_twin_leaves_the_original():
    model = compiled(sequential())
    before = bytes_of(model)
    twin = compiled(copy(model))
    twin.fit(ROWS, LABELS, epochs=1, verbose=0)
    assert bytes_of(model) == before
    assert weight_distance(model, twin) > 0


@pytest.mark.parametrize("make", [copy, lambda model: reinitialized(model, seed=1)])
def test_trainable_flags_are_kept(make):
    model = models.small_cnn(seed=0)
    model.get_layer("body").trainable = False
    model.get_layer("body").layers[1].trainable = True
    model.get_layer("head").trainable = False
    assert flags(make(model)) == flags(model)
    model.trainable = False
    assert flags(make(model)) == flags(model)
    assert make(model).trainable_weights == []


def test_frozen_after_an_unfreezing_of_one_layer():
    model = sequential()
    model.trainable = False
    model.get_layer("head").trainable = True
    twin = copy(model)
    assert flags(twin) == flags(model)
    assert len(twin.trainable_weights) == len(model.trainable_weights)


def test_statistics_of_an_adapted_layer_are_in_the_copy():
    model = adapted()
    batch = np.random.default_rng(2).normal(3, 2, size=(4, 6)).astype("float32")
    hidden = copy(model).layers[0](batch)
    np.testing.assert_array_equal(hidden.numpy(), model.layers[0](batch).numpy())
    assert np.abs(hidden.numpy() - batch).max() > 1


def test_mixed_precision_policy_is_kept():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            L.Dense(8, dtype="mixed_float16"),
            L.Dense(3, dtype="float32"),
        ]
    )
    for twin in (copy(model), reinitialized(model, seed=1)):
        assert [layer.dtype_policy.name for layer in twin.layers] == ["mixed_float16", "float32"]
        assert twin.layers[0].compute_dtype == "float16"


def test_a_seed_decides_the_dropout_masks_of_the_copy():
    model = sequential()
    batch = np.ones((32, 6), "float32")
    masks = [copy(model, seed=seed)(batch, training=True).numpy().tobytes() for seed in (1, 1, 2)]
    assert masks[0] == masks[1]
    assert masks[0] != masks[2]


def test_a_subclassed_model_without_config_is_a_clear_error():
    model = WithoutConfig(L.Dense(2))
    model(np.zeros((2, 3), "float32"))
    for make in (copy, lambda model: reinitialized(model, seed=0)):
        with pytest.raises(ValueError, match="must write get_config") as caught:
            make(model)
        for word in ("WithoutConfig", "Expected", "Received"):
            assert word in str(caught.value)


def test_a_config_that_leaves_weights_out_is_an_error():
    model = HalfConfig(units=7)
    model(np.zeros((2, 6), "float32"))
    for make in (copy, lambda model: reinitialized(model, seed=0)):
        with pytest.raises(ValueError, match="config does not describe all of its weights"):
            make(model)


def test_hidden_state_is_an_error():
    hidden = Forgetful()
    model = keras.Sequential([keras.Input((3,)), hidden, L.Dense(2)])
    copy(model)
    hidden.factor = 2.0
    with pytest.raises(ValueError, match=r"does not compute what the model computes.*state"):
        copy(model)


@pytest.mark.parametrize("make", [copy, lambda model: reinitialized(model, seed=0)])
def test_unbuilt_and_foreign_models(make):
    with pytest.raises(ValueError, match=r"must be built.*Received: an unbuilt model"):
        make(keras.Sequential([L.Dense(3)]))
    for thing in (None, L.Dense(2), "model"):
        with pytest.raises(TypeError, match=r"model: expected a keras\.Model"):
            make(thing)


# reinitialized


def test_same_seed_same_bytes_other_seed_other_bytes(model):
    one, again, other = (reinitialized(model, seed=seed) for seed in (1, 1, 2))
    assert bytes_of(one) == bytes_of(again)
    assert [w.shape for w in one.weights] == [w.shape for w in model.weights]
    kernels = [n for n, w in enumerate(model.weights) if w.path.endswith("kernel")]
    assert kernels
    for number in kernels:
        seen = {bytes_of(net)[number] for net in (model, one, other)}
        assert len(seen) == 3
    assert not one.compiled


def test_weights_and_statistics_start_afresh():
    model = compiled(sequential())
    model.fit(ROWS, LABELS, epochs=1, verbose=0)
    fresh = reinitialized(model, seed=0)
    start = {"gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1, "bias": 0}
    for old, new in zip(model.weights, fresh.weights, strict=True):
        assert (old.numpy() != new.numpy()).any()
        if new.name in start:
            assert (new.numpy() == start[new.name]).all()


def test_frozen_layers_keep_their_weights():
    model = models.small_cnn(seed=0)
    model.get_layer("body").trainable = False
    fresh = reinitialized(model, seed=1)
    assert bytes_of(fresh.get_layer("body")) == bytes_of(model.get_layer("body"))
    for name in ("stem", "head"):
        assert bytes_of(fresh.get_layer(name)) != bytes_of(model.get_layer(name))


def test_normalization_statistics_are_kept_and_used():
    model = adapted()
    fresh = reinitialized(model, seed=1)
    batch = np.full((2, 6), 7, "float32")
    np.testing.assert_array_equal(fresh.layers[0](batch).numpy(), model.layers[0](batch).numpy())
    assert bytes_of(fresh.layers[1]) != bytes_of(model.layers[1])


def test_seeds_written_into_initializers_are_replaced():
    start = keras.initializers.HeNormal(seed=7)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            L.Dense(4, kernel_initializer=start),
            L.Dropout(0.5, seed=11),
            L.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed=9)),
        ]
    )
    one, again, other = (reinitialized(model, seed=seed) for seed in (1, 1, 2))
    for layer in (0, 2):
        kernels = [bytes_of(net.layers[layer])[0] for net in (model, one, other, again)]
        assert len(set(kernels[:3])) == 3
        assert kernels[1] == kernels[3]
    assert type(one.layers[0].kernel_initializer) is keras.initializers.HeNormal
    assert {net.layers[1].seed for net in (one, other)} & {11} == set()
    assert start.seed == 7


def test_pythons_random_state_is_not_disturbed():
    model = models.small_cnn(seed=0)
    random.seed(4)
    expected = random.random()
    random.seed(4)
    reinitialized(model, seed=1)
    copy(model, seed=1)
    assert random.random() == expected


def test_independent_of_global_seeds():
    model = models.small_cnn(seed=0)
    drawn = []
    for number in (1, 2):
        keras.utils.set_random_seed(number)
        drawn.append(bytes_of(reinitialized(model, seed=5)))
    assert drawn[0] == drawn[1]


# example_batch


def test_example_batches():
    assert example_batch(models.small_cnn()).shape == (2, 8, 8, 1)
    assert example_batch(MODELS["fixed batch"](), batch_size=9).shape == (4, 3)
    assert example_batch(subclassed(), batch_size=5).shape == (5, 6)
    batch = example_batch(many_inputs(), batch_size=3)
    assert {name: part.shape for name, part in batch.items()} == {"left": (3, 4), "right": (3, 2)}
    assert [part.shape for part in example_batch(two_inputs_in_a_list())] == [(2, 4), (2, 4)]
    ids = example_batch(tokens())
    assert (ids.dtype, ids.shape) == (np.int32, (2, 32))
    assert set(np.unique(ids)) == {0, 1}


def test_the_seed_reaches_dropout_with_a_seed_of_its_own():
    net = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5, seed=11)])
    x = np.ones((1, 64), "float32")

    def mask(seed):
        return keras.ops.convert_to_numpy(models.copy(net, seed=seed)(x, training=True)).tobytes()

    assert mask(1) == mask(1) != mask(2)


def test_a_copy_keeps_the_seeds_of_initial_weights():
    start = keras.initializers.RandomNormal(seed=5)
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer=start)])
    assert models.copy(net, seed=1).get_config() == net.get_config()


def test_layers_and_operations_of_one_name_are_told_apart():
    inputs = keras.Input((3,))
    outputs = keras.layers.Add()([inputs, inputs + 3.0])  # a layer Add, and an operation Add
    model = keras.Model(inputs, keras.layers.Dense(2)(outputs))
    assert models.weight_distance(model, models.copy(model)) == 0
