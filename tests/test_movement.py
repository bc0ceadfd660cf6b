"""By how much a training moved the weights, and the error where a tiny rate moved next to none."""

import keras
import numpy as np
import pytest

from tfunlearn import data, methods, models, training, unlearn
from tfunlearn.audit import ReferenceBank
from tfunlearn.training import Recipe, moved_share
from tfunlearn.training.movement import LEAST, origin_of

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = (X[:, 0] > 0).astype(int)
SCHEDULE = keras.optimizers.schedules.CosineDecay(1e-7, 100)


def _net(optimizer, policy=None):
    layers = [keras.layers.Dense(6, "tanh", dtype=policy), keras.layers.Dense(2, "softmax")]
    net = keras.Sequential([keras.Input((4,)), *layers])
    net.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
    return net


def _left_by_a_plateau(kind=keras.optimizers.Adam, rate=1e-7):
    """A trained model whose optimizer was left at a tiny rate by a schedule."""
    net = _net(kind(1e-2))
    net.fit(X, Y, epochs=2, verbose=0)
    net.optimizer.learning_rate = rate
    return net


def _split():
    return data.by_index(X, Y, forget=range(8), test=(X, Y))


@pytest.mark.parametrize("kind", [keras.optimizers.Adam, keras.optimizers.SGD])
@pytest.mark.parametrize("method", ["finetune", "scrub", "salun", "retrain"])
def test_a_tiny_rate_in_the_saved_optimizer_is_an_error(method, kind, tmp_path):
    net = _left_by_a_plateau(kind)
    net.save(tmp_path / "model.keras")
    net = keras.saving.load_model(tmp_path / "model.keras")
    rate = {"scrub": "1e-08", "salun": "3e-08"}.get(method, "1e-07")
    words = f"constant learning rate of {rate}, from the model's saved optimizer"
    with pytest.raises(RuntimeError, match=f"^learning_rate: training moved .*{words}"):
        unlearn(net, _split(), method, batch_size=8)


@pytest.mark.parametrize("method", ["finetune", "cf_k", "salun", "retrain"])
@pytest.mark.parametrize("rate", [0.0, 1e-12])
def test_a_rate_at_which_float32_stays_as_it_is_is_named(method, rate):
    net = _left_by_a_plateau(keras.optimizers.SGD, rate)
    with pytest.raises(RuntimeError, match=r"^learning_rate: .*, from the model's saved optimizer"):
        unlearn(
            net, _split(), method, epochs=1, batch_size=8, **({"k": 1} if method == "cf_k" else {})
        )


def test_a_bank_at_a_tiny_rate_is_an_error(tmp_path):
    net = _left_by_a_plateau()
    bank = ReferenceBank(tmp_path, net, _split(), epochs=1, threads=None, say=None)
    with pytest.raises(RuntimeError, match=r"learning rate of 1e-07, from the model's saved"):
        bank.fill(1)
    assert bank.rate == "learning rate 1e-07 from the model's saved optimizer"
    options = {"epochs": 1, "threads": None, "optimizer": keras.optimizers.Adam(1e-2), "say": None}
    other = ReferenceBank(tmp_path, net, _split(), **options)
    assert other.fill(1) == 1
    assert other.rate == "learning rate 0.01 from optimizer=..."


def test_the_way_out_is_taken():
    net = _left_by_a_plateau()
    for option in ({"learning_rate": 1e-2}, {"optimizer": keras.optimizers.Adam(1e-2)}):
        result = unlearn(net, _split(), "finetune", epochs=1, **option)
        assert moved_share(net, result) > LEAST
    with pytest.raises(RuntimeError, match=r"of 1e-08, from learning_rate=\.\.\."):
        unlearn(net, _split(), "finetune", epochs=1, learning_rate=1e-8)
    with pytest.raises(RuntimeError, match=r"of 1e-08, from optimizer=\.\.\."):
        unlearn(net, _split(), "finetune", epochs=1, optimizer=keras.optimizers.SGD(1e-8))


def test_a_converged_model_may_stay_where_it_is():
    """Its gradients are next to nothing, at a rate that is not."""
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False)
    ends = 6 * np.array([[-1, 1], [0, 0], [0, 0], [0, 0]])
    net.set_weights([ends, np.zeros(2)])
    x = np.where(X > 0, 1, -1).astype("float32")
    split = data.by_index(x, Y, forget=range(8), test=(x, Y), duplicates="keep")
    assert 0 < moved_share(net, unlearn(net, split, "finetune", epochs=1)) < LEAST


def test_a_tiny_rate_that_moves_the_weights_is_none():
    """Raw pixels have gradients to match."""
    net = _net(keras.optimizers.SGD(1e-5))
    large = 1e4 * X
    split = data.by_index(large, Y, forget=range(8), test=(large, Y))
    assert moved_share(net, unlearn(net, split, "finetune", epochs=2, batch_size=8)) > LEAST


def test_a_schedule_or_a_warmup_from_a_tiny_rate_is_not_suspected():
    unlearn(_net(keras.optimizers.Adam(SCHEDULE)), _split(), "finetune", epochs=1)
    warmup = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 1e-2 if epoch else 1e-8)
    net = _net(keras.optimizers.Adam(1e-2))
    unlearn(net, _split(), "finetune", epochs=2, callbacks=[warmup])


def test_the_share_is_of_the_distance_to_a_fresh_draw():
    net = _net("sgd")
    fresh = models.reinitialized(net, seed=987_654_321)
    halfway = models.copy(net)
    pairs = zip(net.get_weights(), fresh.get_weights(), strict=True)
    halfway.set_weights([(a + b) / 2 for a, b in pairs])
    assert moved_share(net, halfway) == pytest.approx(0.5)
    assert moved_share(net, net) == 0
    assert moved_share(net, models.mnist_dense(4)) is None
    assert 0.3 < moved_share(net, models.reinitialized(net, seed=5)) < 3


def test_a_recipe_says_its_rate_and_where_it_came_from():
    net = _net(keras.optimizers.Adam(1e-3))
    assert Recipe.of(net).rate == "learning rate 0.001 from the model's saved optimizer"
    scaled = Recipe.of(net, scale=0.1).rate
    assert scaled == "learning rate 0.0001 from the model's saved optimizer, times 0.1"
    assert Recipe.of(net, learning_rate=0.5).rate == "learning rate 0.5 from learning_rate=..."
    decayed = Recipe.of(_net(keras.optimizers.Adam(SCHEDULE)))
    assert decayed.rate == (
        "learning rate schedule CosineDecay, started again, from the model's saved optimizer"
    )
    wrapped = _net(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5)))
    assert Recipe.of(wrapped).rate == "learning rate 0.5 from the model's saved optimizer"
    made = training.optimizer_like(wrapped)
    assert origin_of(made) == "from the model's saved optimizer"


def test_a_rate_that_a_method_takes_from_the_model_is_the_models():
    rate = methods.rates.constant_rate(_net(keras.optimizers.SGD(0.5)), scale=0.1)
    assert rate == pytest.approx(0.05)
    assert Recipe.of(_net("sgd"), learning_rate=rate).origin == "from the model's saved optimizer"
