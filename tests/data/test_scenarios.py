import keras
import numpy as np
import pytest

from tfunlearn import methods, models
from tfunlearn.data import datasets, scenarios
from tfunlearn.data.normalizer import Normalizer

ROLES = ("forget", "retain", "validation", "test")


def raw_digits(limit):
    (x, y), (x_test, y_test) = datasets.load("digits")
    return (x[:limit], y[:limit]), (x_test[:limit], y_test[:limit])


def flat(pixels):
    return Normalizer.named("digits")(pixels.reshape(len(pixels), -1))


@pytest.mark.parametrize("task", scenarios.TASKS)
def test_split_has_all_roles_and_follows_the_seed(task):
    make = scenarios.get(task)
    one, again, other = (make(seed=seed, limit=200).split for seed in (1, 1, 2))
    assert one.roles == ROLES
    assert one.size("forget") + one.size("retain") == 200
    assert (one.size("validation"), one.size("test")) == (40, 160)
    assert one.fingerprint() == again.fingerprint()
    if task != "whole_class":  # that one draws nothing
        assert one.fingerprint() != other.fingerprint()


def test_held_out_images_are_parted_between_validation_and_test():
    split = scenarios.random(limit=100).split
    _, (x, y) = raw_digits(100)
    both = np.empty((100, 64), "float32")
    of_test = np.arange(100) % 5 != 0
    both[of_test], both[~of_test] = split.test[0], split.validation[0]
    np.testing.assert_array_equal(both, flat(x))
    np.testing.assert_array_equal(split.test[1], y[of_test])


def test_random_forgets_a_tenth_with_true_labels():
    scenario = scenarios.random(limit=200, seed=3)
    (x, y), _ = raw_digits(200)
    assert scenario.split.size("forget") == 20
    np.testing.assert_array_equal(scenario.split.source("retain").y, y)
    np.testing.assert_array_equal(scenario.split.source("retain").x, flat(x))
    assert (scenario.true_labels, scenario.triggered, scenario.probes) == (None, None, {})


def test_whole_class_forgets_one_class_and_holds_it_out_still():
    split = scenarios.whole_class(limit=200, forget_class=7).split
    assert set(split.labels("forget")) == {7}
    assert 7 not in split.labels("retain")
    assert 7 in split.labels("test")
    with pytest.raises(ValueError, match="classes: expected classes that occur"):
        scenarios.whole_class(limit=200, forget_class=10)


def test_mislabelled_forgets_what_has_a_wrong_label_and_knows_the_true_one():
    scenario = scenarios.mislabelled(limit=400, seed=5)
    (x, y), (_, y_test) = raw_digits(400)
    split, ids = scenario.split, scenario.split.ids["forget"]
    assert len(ids) == 20
    np.testing.assert_array_equal(scenario.true_labels, y[ids])
    assert (split.labels("forget") != scenario.true_labels).all()
    assert split.labels("forget").max() < 10
    np.testing.assert_array_equal(split.labels("retain"), np.delete(y, ids))
    np.testing.assert_array_equal(split.labels("test"), y_test[np.arange(len(y_test)) % 5 != 0])
    inputs, labels = scenario.probes["true_label_accuracy"]
    np.testing.assert_array_equal(inputs, flat(x[ids]))
    np.testing.assert_array_equal(labels, y[ids])


def test_every_other_label_is_drawn():
    scenario = scenarios.mislabelled(limit=1400, seed=0, fraction=0.5)
    steps = (scenario.split.labels("forget") - scenario.true_labels) % 10
    assert set(steps) == set(range(1, 10))


def test_backdoor_poisons_other_classes_and_knows_how_to_measure_success():
    scenario = scenarios.backdoor(limit=400, seed=5, target=4)
    (x, y), (x_test, y_test) = raw_digits(400)
    split, ids = scenario.split, scenario.split.ids["forget"]
    assert len(ids) == 20
    assert set(split.labels("forget")) == {4}
    np.testing.assert_array_equal(scenario.true_labels, y[ids])
    assert 4 not in scenario.true_labels
    marked = x[ids].copy()
    marked[:, 6:, 6:] = 255
    np.testing.assert_array_equal(split.forget[0], flat(marked))
    np.testing.assert_array_equal(split.retain[0], flat(np.delete(x, ids, axis=0)))
    chosen = (np.arange(len(y_test)) % 5 != 0) & (y_test != 4)
    marked = x_test[chosen].copy()
    marked[:, 6:, 6:] = 255
    inputs, labels = scenario.probes["backdoor_success"]
    np.testing.assert_array_equal(inputs, flat(marked))
    np.testing.assert_array_equal(labels, np.full(chosen.sum(), 4))
    assert scenario.triggered[1] is labels


def test_the_data_set_itself_is_left_as_it_is():
    before = raw_digits(100)[0][0].copy()
    scenarios.backdoor(limit=100)
    np.testing.assert_array_equal(raw_digits(100)[0][0], before)
    pixels = np.zeros((1, 32, 32, 3), "uint8")
    assert scenarios.add_trigger(pixels).sum() == 4 * 4 * 3 * 255
    assert pixels.sum() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dataset": "letters"}, "dataset: expected one of digits, mnist"),
        ({"limit": 0}, "limit: expected a whole number of at least 1. Received: 0"),
        ({"limit": 5000}, "limit: digits has 1437 training images"),
        ({"epochs": 1.5}, "epochs: expected a whole number"),
        ({"seed": -1}, "seed: expected a whole number"),
        ({"fraction": 0.0}, r"fraction: expected a share inside \(0, 1\)"),
        ({"fraction": 1e-6}, "fraction: expected a share that comes to 1 to"),
        ({"fraction": 0.99}, "fraction: expected a share that comes to 1 to"),
        ({"target": 10}, "target: expected a class below 10. Received: 10"),
    ],
)
def test_bad_settings_are_errors(options, words):
    with pytest.raises(ValueError, match=words):
        scenarios.backdoor(**{"limit": 100, **options})


def test_unknown_task_is_an_error():
    assert scenarios.get("backdoor") is scenarios.backdoor
    with pytest.raises(ValueError, match="task: expected one of random, whole_class"):
        scenarios.get("get")


def test_nothing_is_trained_before_the_model_is_read(monkeypatch):
    monkeypatch.setattr(keras.Model, "fit", None)
    scenario = scenarios.random(limit=100)
    with pytest.raises(TypeError):
        _ = scenario.model


def test_original_is_trained_once_and_follows_its_seed():
    one, again, other = (scenarios.random(limit=100, epochs=1, seed=s) for s in (0, 0, 1))
    assert one.model is one.model
    assert [w.tobytes() for w in one.model.get_weights()] == [
        w.tobytes() for w in again.model.get_weights()
    ]
    assert models.weight_distance(one.model, other.model) > 0
    assert one.fit_options == {"epochs": 1, "batch_size": 16}


def test_original_learns_wrong_labels_by_heart_and_its_reference_does_not():
    scenario = scenarios.mislabelled(limit=300, epochs=25)
    reference = methods.retrain(scenario.model, scenario.split, seed=9, **scenario.fit_options)

    def accuracy(model, x, y):
        return float((model.predict(x, verbose=0).argmax(1) == y).mean())

    forget, truth = scenario.split.forget, scenario.probes["true_label_accuracy"]
    assert accuracy(scenario.model, *forget) > 0.8
    assert accuracy(reference, *forget) < 0.2
    assert accuracy(reference, *truth) > 0.8
    assert accuracy(reference, *scenario.split.retain) > 0.98


def test_network_of_colour_images_has_batch_normalisation():
    net = scenarios._network("cnn", (32, 32, 3), seed=0)
    kinds = [type(layer) for layer in models.iter_layers(net)]
    assert kinds.count(keras.layers.BatchNormalization) == 3
    assert net.output_shape == (None, 10)


@pytest.mark.data
def test_colour_images_are_read_and_marked(data_file):
    folder = data_file("cifar10.npz").parent
    scenario = scenarios.backdoor("cifar10", limit=60, data_dir=folder)
    assert scenario.split.input_shape == (32, 32, 3)
    corner = scenario.triggered[0][:, -4:, -4:]
    white = Normalizer.named("cifar10")(np.full((1, 1, 1, 3), 255, "uint8"))
    np.testing.assert_array_equal(corner, np.broadcast_to(white, corner.shape))
