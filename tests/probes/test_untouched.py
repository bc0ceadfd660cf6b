"""No probe changes the models that it is given: bytes, flags, compile state, compiled functions."""

import keras
import numpy as np
import pytest

from tfunlearn import data, models, probes


@pytest.fixture(scope="module")
def split():
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(24, 8, 8, 1)).astype("float32")
    return data.by_index(x, np.arange(24) % 3, forget=range(8), test=(x, np.arange(24) % 3))


def compiled(seed):
    """Returns a model with a nested body, normalisation, a frozen layer and a used optimizer."""
    net = models.small_cnn(num_classes=3, filters=2, seed=seed)
    net.get_layer("stem").trainable = False
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
    net.fit(np.ones((4, 8, 8, 1)), np.arange(4) % 3, verbose=0)
    return net


def state(net):
    """Returns all that a probe could have changed, and the objects that must be the same."""
    layers = [net, *models.iter_layers(net)]
    return {
        "weights": [weight.tobytes() for weight in net.get_weights()],
        "optimizer": [np.asarray(v).tobytes() for v in net.optimizer.variables],
        "flags": [layer.trainable for layer in layers],
        "attributes": [sorted(vars(layer)) for layer in layers],
        "compiled": net.get_compile_config(),
        "objects": [id(net.optimizer), id(net.loss), id(net.train_function)],
        "functions": (net.predict_function, net.test_function),
        "random": np.random.get_state()[1].tobytes(),
    }


PROBES = {
    "relearn_time": lambda net, other, split: probes.relearn_time(
        net, split, target=1e-6, max_steps=2
    ),
    "linear_probe": lambda net, other, split: probes.linear_probe(net, split),
    "linear_probe of a nested layer": lambda net, other, split: probes.linear_probe(
        net, split, layer="body"
    ),
    "residual_knowledge": lambda net, other, split: probes.residual_knowledge(
        net, other, split, radius=0.5, samples=3
    ),
    "backdoor_success": lambda net, other, split: probes.backdoor_success(net, split.test[0], 1),
    "float16": lambda net, other, split: probes.quantized(net),
    "int8": lambda net, other, split: probes.quantized(net, "int8"),
}


@pytest.fixture(scope="module")
def nets():
    return compiled(0), compiled(1)


@pytest.mark.parametrize("name", PROBES)
def test_models_are_left_as_they_were(name, nets, split):
    before = [state(net) for net in nets]
    inputs = split.forget[0].tobytes()
    found = PROBES[name](*nets, split)
    assert [state(net) for net in nets] == before
    assert split.forget[0].tobytes() == inputs
    if isinstance(found, keras.Model):
        assert found not in nets
    else:
        assert isinstance(hash(found), int)
        with pytest.raises(AttributeError, match="cannot assign"):
            found.size = 1


def test_a_failed_probe_leaves_them_too(nets, split):
    before = state(nets[0])
    with pytest.raises(RuntimeError, match="diverged"):
        probes.relearn_time(nets[0], split, target=1e-6, optimizer="sgd", learning_rate=1e38)
    with pytest.raises(ValueError, match="occurs 0 times"):
        probes.linear_probe(nets[0], split, layer="none")
    assert state(nets[0]) == before
