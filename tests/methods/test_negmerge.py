"""NegMerge: fine-tunings, their agreement and the way back, computed by hand."""

import importlib

import keras
import numpy as np
import pytest

from tfunlearn import methods

module = importlib.import_module("tfunlearn.methods.negmerge")


def _changes(net, split, by_hand, rates, repeats, epochs, batch_size, seed):
    """The change that each fine-tuning makes, from the original with a fresh momentum."""
    found = []
    for place, rate in enumerate(np.repeat(rates, repeats)):
        order = int(np.random.SeedSequence([seed, place]).generate_state(1)[0])
        stream = split.dataset("forget", batch_size=batch_size, shuffle=True, seed=order)
        hand = by_hand(net.get_weights(), rate, weight_decay=0.01)
        start = [weight.copy() for weight in hand.weights]
        for _ in range(epochs):
            for x, y in stream.as_numpy_iterator():
                hand.step(x, y)
        found.append([a - b for a, b in zip(hand.weights, start, strict=True)])
    return found


@pytest.mark.parametrize("strength", [1.0, 0.25])
def test_equals_the_formula(net, split, by_hand, strength):
    kernel = np.random.default_rng(0).normal(size=(2, 2, 1, 3))
    net.set_weights([kernel, np.ones(3)])
    options = {"repeats": 2, "epochs": 3, "batch_size": 2, "seed": 4}
    changes = _changes(net, split, by_hand, [0.1, 1.0], **options)
    hand = by_hand(net.get_weights(), 0)
    for place in (0, 1):
        parts = np.stack([change[place] for change in changes])
        agreed = (parts > 0).all(0) | (parts < 0).all(0)
        assert place == 1 or 0 < agreed.sum() < agreed.size  # some agree, some do not
        hand.weights[place] -= strength * np.where(agreed, parts.mean(0), 0.0)
    result = methods.negmerge(net, split, learning_rates=[0.1, 1.0], strength=strength, **options)
    hand.agrees(result)


def test_agreement():
    changes = np.array([[1.0, 1.0, 0.0, -1.0, 0.0], [3.0, -1.0, 2.0, -2.0, 0.0]], "float32")
    agreed = module._agreed(list(changes))
    np.testing.assert_array_equal(agreed, [2.0, 0.0, 0.0, -1.5, 0.0])
    assert agreed.dtype == np.float32


def test_default_rates_are_parts_of_the_own(net, split):
    options = {"epochs": 1, "repeats": 1, "strength": 1.0, "batch_size": 8}
    rates = [0.1 * part for part in (0.1, 0.3, 1.0)]
    own = methods.negmerge(net, split, **options)
    given = methods.negmerge(net, split, learning_rates=rates, **options)
    for left, right in zip(own.get_weights(), given.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-7)


@pytest.mark.parametrize("limit", [0.01, 0.7, 3.0, 90.0])
def test_the_strongest_that_keeps_the_accuracy(limit):
    state = {}
    found = module._strongest(
        lambda far: state.update(far=far), lambda: 0.8 if state["far"] <= limit else 0.5, 0.9
    )
    assert 0.9 * limit < found <= limit


def test_the_search_keeps_a_share_of_retain_accuracy(net, split):
    net.fit(*split.retain, epochs=40, verbose=0)

    def accuracy(model):
        x, y = split.retain
        return float(np.mean(model.predict(x, verbose=0).argmax(-1) == y))

    options = {"batch_size": 8, "epochs": 1, "repeats": 1}
    kept = methods.negmerge(net, split, **options)
    gone = methods.negmerge(net, split, strength=100.0, **options)
    assert accuracy(gone) < 0.95 * accuracy(net) <= accuracy(kept)


def test_no_strength_that_keeps_the_accuracy_is_an_error():
    state = {}
    with pytest.raises(ValueError, match=r"keep: no strength keeps.*at least 1\.000"):
        module._strongest(lambda far: state.update(far=far), lambda: float(state["far"] == 0), 1.0)


def test_fine_tunings_that_agree_on_nothing_are_an_error(net, split, monkeypatch):
    monkeypatch.setattr(module, "_agreed", lambda changes: np.zeros_like(changes[0]))
    with pytest.raises(ValueError, match=r"changed no weight.*Received: 3 fine-tunings"):
        methods.negmerge(net, split, epochs=1, repeats=1)


def test_statistics_and_dropout_have_no_part(split):
    layers = keras.layers
    stack = [layers.Flatten(), layers.BatchNormalization(), layers.Dropout(0.9), layers.Dense(3)]
    model = keras.Sequential([keras.Input((2, 2, 1)), *stack])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    one, two = (
        methods.negmerge(model, split, seed=seed, batch_size=8, epochs=1, repeats=1, strength=1.0)
        for seed in (0, 1)
    )
    for left, right, old in zip(one.weights, two.weights, model.weights, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)  # one batch: no dropout, no order
        assert "moving" not in old.name or np.array_equal(left, old)


def test_callbacks_see_each_fine_tuning(net, split):
    starts = []
    look = keras.callbacks.LambdaCallback(
        on_train_begin=lambda _: starts.append(float(look.model.optimizer.learning_rate))
    )
    options = {"epochs": 1, "repeats": 2, "strength": 1.0, "callbacks": [look]}
    methods.negmerge(net, split, learning_rates=[0.1, 0.2], **options)
    assert starts == pytest.approx([0.1, 0.1, 0.2, 0.2])


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rates": []},
        {"learning_rates": [0.1, -0.1]},
        {"repeats": 0},
        {"repeats": 1.5},
        {"strength": 0.0},
        {"strength": -1.0},
        {"keep": 0.0},
        {"keep": 1.5},
    ],
    ids=str,
)
def test_other_numbers_are_refused(net, split, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        methods.negmerge(net, split, epochs=1, **options)
