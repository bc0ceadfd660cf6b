"""Relearn time against a regression that is trained by hand, and on networks that hide a class."""

import json

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from tfunlearn import data, models, probes
from tfunlearn.probes import relearn as module

KERNEL = [[0.5, -1.0, 0.2], [0.1, 0.3, -0.4]]
BIAS = [0.1, 0.0, -0.2]
SGD = {"optimizer": "sgd", "learning_rate": 0.5, "batch_size": 4}


def by_hand(split, steps, seed=0, rate=0.5, momentum=0.0, batch_size=4):
    """Returns (loss, accuracy) before each step of a softmax regression in float64, and after."""
    weights = [np.array(KERNEL), np.array(BIAS)]
    velocity = [np.zeros_like(weight) for weight in weights]
    x, y = split.forget
    x = x.astype("float64")
    order = split.dataset("forget", batch_size=batch_size, shuffle=True, seed=seed)
    found = []

    def measure():
        scores = x @ weights[0] + weights[1]
        losses = -log_softmax(scores, axis=1)[np.arange(len(y)), y]
        found.append((losses.mean(), np.mean(scores.argmax(1) == y)))

    measure()
    while len(found) <= steps:
        for inputs, labels in order.as_numpy_iterator():
            errors = softmax(inputs.astype("float64") @ weights[0] + weights[1], axis=1)
            errors[np.arange(len(labels)), labels] -= 1
            gradients = inputs.T @ errors / len(labels), errors.mean(axis=0)
            for place, gradient in enumerate(gradients):
                velocity[place] = momentum * velocity[place] - rate * gradient
                weights[place] += velocity[place]
            measure()
    return found[: steps + 1]


@pytest.mark.parametrize(("criterion", "activation"), [("loss", None), ("accuracy", "softmax")])
def test_it_equals_a_regression_by_hand(small, linear, activation, criterion):
    expected = by_hand(small, 40)
    column = 0 if criterion == "loss" else 1
    target = float(np.mean([expected[7][column], expected[8][column]]))
    if criterion == "accuracy":
        target = expected[20][1]
        assert target > expected[0][1]
    hits = [row[0] <= target if column == 0 else row[1] >= target for row in expected]
    net = linear(KERNEL, BIAS, activation)
    found = probes.relearn_time(net, small, target=target, criterion=criterion, **SGD)
    assert found.reached
    assert found.steps == hits.index(True)
    assert found.epochs == found.steps / 3
    assert [point.steps for point in found.curve] == list(range(found.steps + 1))
    curve = [(point.loss, point.accuracy) for point in found.curve]
    np.testing.assert_allclose(curve, expected[: found.steps + 1], atol=1e-5)


def test_an_optimizer_is_copied_and_not_used(small, linear):
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    options = {"target": 1e-9, "max_steps": 8, "batch_size": 4, "optimizer": optimizer}
    found = probes.relearn_time(linear(KERNEL, BIAS), small, seed=5, **options)
    expected = by_hand(small, 8, seed=5, rate=0.1, momentum=0.9)
    curve = [(point.loss, point.accuracy) for point in found.curve]
    np.testing.assert_allclose(curve, expected, atol=1e-5)
    assert not optimizer.built
    written = json.loads(found.settings.optimizer)
    assert (written["class_name"], written["momentum"]) == ("SGD", 0.9)


def test_a_target_that_is_not_reached_is_no_number(small, linear):
    found = probes.relearn_time(linear(KERNEL, BIAS), small, target=1e-6, max_steps=5, **SGD)
    assert (found.reached, found.steps, found.epochs) == (False, None, None)
    assert found.curve[-1].steps == 5
    assert str(found).startswith("not reached within 5 steps: loss is ")
    assert str(found).endswith("the target 1e-06")


def test_a_target_that_holds_takes_no_step(small, linear):
    found = probes.relearn_time(linear(KERNEL, BIAS), small, target=100.0, **SGD)
    assert (found.reached, found.steps, found.epochs, len(found.curve)) == (True, 0, 0.0, 1)
    assert str(found) == "reached after 0 steps (0 epochs)"


def test_it_measures_at_the_interval_and_at_the_end(small, linear):
    options = {"target": 1e-6, "every": 3, **SGD}
    found = probes.relearn_time(linear(KERNEL, BIAS), small, max_steps=8, **options)
    assert [point.steps for point in found.curve] == [0, 3, 6, 8]
    each = probes.relearn_time(linear(KERNEL, BIAS), small, **{**options, "every": 1}, max_epochs=3)
    assert found.curve == tuple(each.curve[step] for step in (0, 3, 6, 8))
    assert each.settings.max_steps == 9
    late = probes.relearn_time(
        linear(KERNEL, BIAS), small, **{**options, "target": each.curve[4].loss}
    )
    assert late.steps == 6  # it held at step 4, and the next look is at 6


def test_the_default_gives_up_after_a_hundred_epochs(small, linear):
    net = linear(KERNEL, BIAS)
    settings = probes.relearn_time(net, small, target=100.0, batch_size=4).settings
    assert settings.max_steps == 100 * settings.steps_per_epoch == 300
    written = json.loads(settings.optimizer)
    assert written["class_name"] == "Adam"
    assert written["learning_rate"] == pytest.approx(1e-3)


def test_the_order_follows_the_seed_and_not_the_model(small, linear):
    options = {"target": 1e-6, "max_steps": 6, **SGD}
    net = linear(KERNEL, BIAS)
    first, again, other = (
        probes.relearn_time(net, small, seed=seed, **options).curve for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    net.compile("adam", "mse")  # what a model was compiled with has no part
    assert probes.relearn_time(net, small, **options).curve == first


def test_a_stream_gives_the_same(small, linear, streamed):
    options = {"target": 1e-6, "max_steps": 4, **SGD, "batch_size": 16}  # all in one batch
    nets = linear(KERNEL, BIAS), linear(KERNEL, BIAS)
    curves = [
        probes.relearn_time(net, split, **options).curve
        for net, split in zip(nets, (small, streamed(small)), strict=True)
    ]
    np.testing.assert_allclose(curves[0], curves[1], atol=1e-6)


@pytest.fixture
def students(monkeypatch):
    """A list of the copies that were trained."""
    made, make = [], models.logits_model

    def noted(*args, **options):
        made.append(make(*args, **options))
        return made[-1]

    monkeypatch.setattr(module.models, "logits_model", noted)
    return made


def _normalised(drop):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(6, name="first")(inputs)
    body_input = keras.Input((6,))
    normal = keras.layers.BatchNormalization(name="normal")(body_input)
    body = keras.Model(body_input, keras.layers.Dropout(drop)(normal), name="body")
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(body(hidden)))


def test_statistics_stay_and_dropout_is_off(small, students):
    net, other = _normalised(0.9), _normalised(0.0)
    statistics = [np.linspace(0.5, 2, 6), np.linspace(-1, 1, 6), np.ones(6) / 3, np.full(6, 2.0)]
    net.get_layer("body").get_layer("normal").set_weights(statistics)
    other.set_weights([w for w in net.get_weights() if w.dtype == "float32"])
    options = {"target": 1e-6, "max_steps": 6, **SGD}
    curves = [probes.relearn_time(one, small, **options).curve for one in (net, other)]
    np.testing.assert_allclose(curves[0], curves[1], atol=1e-6)
    after = students[0].get_layer("body").get_layer("normal").get_weights()
    assert np.array_equal(after[2:], np.array(statistics[2:], "float32"))  # mean and variance
    assert not np.allclose(after[:2], statistics[:2])  # scale and shift learn


def test_frozen_layers_stay(small, students):
    net = _normalised(0.0)
    net.get_layer("first").trainable = False
    probes.relearn_time(net, small, target=1e-6, max_steps=3, **SGD)
    kept, moved = (students[0].get_layer(name).get_weights()[0] for name in ("first", "head"))
    assert np.array_equal(kept, net.get_layer("first").get_weights()[0])
    assert not np.array_equal(moved, net.get_layer("head").get_weights()[0])


def test_a_class_hidden_by_low_confidence_comes_back_sooner_than_a_new_one(
    digits, original, masked, retrained
):
    clipped = models.copy(original)
    head = clipped.get_layer("head")
    head.set_weights([0.02 * part for part in head.get_weights()])
    options = {"batch_size": 16, "max_epochs": 60, "learning_rate": 5e-3}
    nets = (clipped, retrained)
    hidden, new = (probes.relearn_time(net, digits, target=0.1, **options) for net in nets)
    assert hidden.curve[0].loss > 2.0
    assert hidden.steps < new.steps
    options |= {"criterion": "accuracy", "target": probes.anamnesis_target(0.98)}
    nets = (original, masked, retrained)
    known, hidden, new = (probes.relearn_time(net, digits, **options) for net in nets)
    assert known.steps == 0
    assert probes.anamnesis_index(known, new).value < 0.01
    assert hidden.steps > new.steps  # what relearning does not see: a head masked by a large number


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"criterion": "error"}, "criterion: expected 'loss' or 'accuracy'. Received: 'error'"),
        ({"target": 0.0}, "target: expected a number above 0"),
        ({"criterion": "accuracy", "target": 1.2}, r"target: expected a number in \(0, 1\]"),
        ({"criterion": "accuracy", "target": 0}, r"target: expected a number in \(0, 1\]"),
        ({"max_steps": 0}, "max_steps: expected a whole number of at least 1. Received: 0"),
        ({"max_epochs": 1.5}, "max_epochs: expected a whole number of at least 1"),
        ({"max_steps": 3, "max_epochs": 1}, "Received both: max_epochs=1, max_steps=3"),
        ({"every": 0}, "every: expected a whole number of at least 1"),
        ({"every": True}, "every: expected a whole number of at least 1"),
        ({"batch_size": 0}, "batch_size: expected a whole number of at least 1"),
        ({"seed": -1}, "seed: expected a whole number"),
        ({"optimizer": None}, "optimizer: every model must relearn with the same one"),
        ({"optimizer": keras.optimizers.SGD(0.1)}, "Received both"),
        ({"learning_rate": -1.0}, "learning_rate: expected a number above 0"),
    ],
    ids=lambda own: ",".join(own) if isinstance(own, dict) else "",
)
def test_bad_options_are_refused(small, linear, own, words):
    options = {"target": 0.1, **SGD, **own}
    with pytest.raises(ValueError, match=words):
        probes.relearn_time(linear(KERNEL, BIAS), small, **options)


def test_a_model_that_cannot_learn_is_refused(small, linear):
    net = linear(KERNEL, BIAS)
    net.trainable = False
    with pytest.raises(ValueError, match="at least one trainable weight"):
        probes.relearn_time(net, small, target=0.1)


def test_a_relearning_that_diverges_is_an_error(small, linear):
    options = {**SGD, "learning_rate": 1e38}
    with pytest.raises(RuntimeError, match="relearning diverged: logits are not finite after"):
        probes.relearn_time(linear(KERNEL, BIAS), small, target=0.1, **options)


def test_a_broken_model_is_refused(small, linear):
    net = linear(KERNEL, [np.nan, 0, 0])
    with pytest.raises(ValueError, match=r"model: its weights must be finite\. .*bias'"):
        probes.relearn_time(net, small, target=0.1)


def test_another_shape_is_refused(linear):
    x, y = np.ones((4, 3), "float32"), np.arange(4) % 3
    split = data.by_index(x, y, forget=[0], test=(x, y))
    with pytest.raises(ValueError, match="inputs must have the shape"):
        probes.relearn_time(linear(KERNEL, BIAS), split, target=0.1)
