"""The vision confuser: seeded noise, then weighted training, both computed by hand."""

import math

import keras
import numpy as np
import pytest

from tfunlearn import losses, methods, models

WEIGHTS = (1.0, 0.25, 2.0)


def _noised(weights, seed, stddev, relative):
    kernel, bias = weights
    noise = np.random.default_rng(seed).standard_normal(kernel.shape, dtype="float32")
    return [kernel + stddev * (kernel.std() if relative else 1) * noise, bias]


@pytest.mark.parametrize(
    ("options", "stddev", "relative"),
    [({}, 0.3, True), ({"stddev": 0.6, "relative": False, "layers": "stem"}, 0.6, False)],
    ids=["default", "as in the competition"],
)
def test_equals_the_formula(net, split, by_hand, options, stddev, relative):
    start = _noised(net.get_weights(), 5, stddev, relative)
    expected = by_hand(start, 0.01, weight_decay=5e-4)
    for _ in range(2):
        expected.step(*split.retain, WEIGHTS)
    options = {**options, "seed": 5, "epochs": 2, "batch_size": 8, "class_weights": WEIGHTS}
    expected.agrees(methods.vision_confuser(net, split, **options))


def test_weight_decay_reaches_every_weight(net, split):
    strong = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=1.0)
    none = keras.optimizers.SGD(0.1, momentum=0.9)
    kwargs = {"seed": 1, "epochs": 1, "batch_size": 8}
    decayed, plain = (
        methods.vision_confuser(net, split, optimizer=optimizer, **kwargs)
        for optimizer in (strong, none)
    )
    start = _noised(net.get_weights(), 1, 0.3, True)
    for before, with_decay, without in zip(
        start, decayed.get_weights(), plain.get_weights(), strict=True
    ):
        np.testing.assert_allclose(without - with_decay, 0.1 * before, atol=1e-6)


def test_default_loss_follows_the_output(dropout_net, net, split):
    seen = []
    look = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: seen.append(look.model.loss))
    kwargs = {"epochs": 1, "callbacks": [look], "layers": keras.layers.Dense}
    methods.vision_confuser(dropout_net, split, **kwargs)
    methods.vision_confuser(net, split, **{**kwargs, "layers": "conv"}, class_weights=WEIGHTS)
    assert [type(loss) for loss in seen] == [
        keras.losses.SparseCategoricalCrossentropy,
        losses.WeightedSparseCategoricalCrossentropy,
    ]
    assert [loss.get_config()["from_logits"] for loss in seen] == [True, False]


def test_an_uncompiled_model_needs_no_loss(net, split):
    result = methods.vision_confuser(models.copy(net), split, epochs=1)
    assert getattr(result, "optimizer", None) is None


def test_cosine_schedule(net, split):
    rates = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: rates.append(float(look.model.optimizer.learning_rate))
    )
    kwargs = {"epochs": 4, "learning_rate": 0.2, "callbacks": [look]}
    methods.vision_confuser(net, split, schedule="cosine", **kwargs)
    expected = [0.2 * 0.5 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
    assert rates == pytest.approx(expected, rel=1e-6)
    methods.vision_confuser(net, split, **kwargs)
    assert rates[4:] == pytest.approx([0.2] * 4)


def test_two_noises_of_the_competition(net, split):
    seen = [net.get_weights()[0]]
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: seen.append(look.model.get_weights()[0])
    )
    methods.vision_confuser(
        net,
        split,
        seed=3,
        epochs=4,
        stddev={0: 0.6, 3: 0.005},
        relative=False,
        learning_rate=0.0,
        callbacks=[look],
    )
    numbers = np.random.default_rng(3)
    first, second = (numbers.standard_normal(seen[0].shape, dtype="float32") for _ in "ab")
    moves = np.diff(np.stack(seen), axis=0)
    np.testing.assert_allclose(moves[0], 0.6 * first, atol=1e-6)
    assert not moves[1:3].any()
    np.testing.assert_allclose(moves[3], 0.005 * second, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weights": WEIGHTS, "loss": "mse"}, "class_weights: .*Received both"),
        ({"class_weights": (1.0, 2.0)}, "class_weights: .*Expected: 3. Received: 2"),
        ({"schedule": "linear"}, "schedule: expected 'constant' or 'cosine'. Received: 'linear'"),
        ({"stddev": 0.0}, "stddev: expected a positive number"),
        ({"stddev": {5: 0.1}, "epochs": 2}, "stddev: noise is asked for before epoch 5"),
        ({"layers": keras.layers.Dense}, "layers: .*matches no layer.*Conv2D"),
        ({"layers": ["head"]}, r"layers: no layer is named \['head'\]"),
    ],
)
def test_other_options_are_refused(net, split, options, message):
    before = [weight.tobytes() for weight in net.get_weights()]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        methods.vision_confuser(net, split, **options)
    assert before == [weight.tobytes() for weight in net.get_weights()]


def test_a_model_without_convolutions_is_refused(dropout_net, split):
    with pytest.raises(ValueError, match=r"Conv2D.*matches no layer.*kinds with weights: Dense"):
        methods.vision_confuser(dropout_net, split)


def test_an_optimizer_and_a_learning_rate_are_one_too_many(net, split):
    with pytest.raises(ValueError, match="learning_rate: expected an optimizer or a learning rate"):
        methods.vision_confuser(net, split, optimizer="adam", learning_rate=0.1)
