"""Methods on models that compute in half precision: weights, losses and metrics stay float32."""

import keras
import numpy as np
import pytest

from tfunlearn import data, gradients, losses, methods, models
from tfunlearn.gradients.kept import KeptGradients
from tfunlearn.methods import Unlearner
from tfunlearn.models.seeding import seeded
from tfunlearn.testing.tasks import run, tiny_split

L = keras.layers
FLOAT16, BFLOAT16 = "mixed_float16", "mixed_bfloat16"

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the policies are those of one backend"
)


def network():
    """Builds a nested part, batch normalisation, dropout and a head, all under the policy."""
    inner = keras.Input((8, 8, 4))
    hidden = L.BatchNormalization(momentum=0.9)(L.Conv2D(4, 3, strides=2, name="inner")(inner))
    body = keras.Model(inner, L.ReLU()(hidden), name="body")
    inputs = keras.Input((8, 8, 1))
    stem = L.Conv2D(4, 3, padding="same", activation="relu", name="stem")(inputs)
    hidden = L.Dropout(0.2)(L.Flatten()(body(stem)))
    return keras.Model(inputs, L.Dense(10, name="head")(hidden))


@pytest.fixture(scope="module")
def trained():
    """Policy to the weights of a network that was trained under it."""
    kept = {}
    for policy in (FLOAT16, BFLOAT16):
        with under(policy):
            model = compiled()
            model.fit(*tiny_split().retain, epochs=5, batch_size=16, shuffle=False, verbose=0)
            kept[policy] = model.get_weights()
    return kept


class under:
    """Sets a policy for the time of a block."""

    def __init__(self, policy):
        self.policy = policy

    def __enter__(self):
        self.before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.policy)

    def __exit__(self, *_):
        keras.config.set_dtype_policy(self.before)


def compiled(weights=None):
    with seeded(0):
        model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"], jit_compile=False
    )
    if weights is not None:
        model.set_weights(weights)
    return model


@pytest.fixture
def seen(monkeypatch):
    """The types of all that is given to running means and of all losses of a step."""
    kinds = {"means": set(), "losses": set()}
    update, compute = keras.metrics.Mean.update_state, keras.Model._compute_loss

    def watched(self, values, sample_weight=None):
        kinds["means"].add(
            keras.backend.standardize_dtype(keras.ops.convert_to_tensor(values).dtype)
        )
        return update(self, values, sample_weight)

    def computed(self, *arguments, **options):
        loss = compute(self, *arguments, **options)
        kinds["losses"].add(keras.backend.standardize_dtype(loss.dtype))
        return loss

    monkeypatch.setattr(keras.metrics.Mean, "update_state", watched)
    monkeypatch.setattr(keras.Model, "_compute_loss", computed)
    return kinds


def cases():
    for name in methods.names():
        yield pytest.param(name, FLOAT16, id=f"{name}-float16")
        yield pytest.param(name, BFLOAT16, id=f"{name}-bfloat16", marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "policy"), list(cases()))
def test_every_method_works_in_half_precision(name, policy, trained, seen):
    line, history = methods.describe(name), keras.callbacks.History()
    watch = {"callbacks": [history]} if "callbacks" in line.options else {}
    with under(policy):
        model = compiled(trained[policy])
        before = models.fingerprint(model)
        result = run(line, model, **watch)
        assert models.fingerprint(model) == before != models.fingerprint(result)
    assert all(np.isfinite(weight).all() for weight in result.get_weights())
    assert {weight.dtype for weight in result.weights} <= {"float32", "uint32"}
    assert {layer.dtype_policy.name for layer in models.iter_layers(result)} == {policy}
    assert type(result.optimizer) is type(model.optimizer)
    assert seen["losses"] | seen["means"] <= {"float32"}
    assert all(np.isfinite(values).all() for values in history.history.values())
    if watch:
        assert seen["losses"]


class Looking(Unlearner):
    """Notes the types that its terms are given."""

    def terms(self, x, y, logits):
        kinds = (logits["retain"], self.teach("old", x["retain"]))
        self.kinds = [keras.backend.standardize_dtype(kind.dtype) for kind in kinds]
        return {"retain": losses.cross_entropy(y["retain"], logits["retain"])}


@pytest.mark.parametrize("policy", [FLOAT16, BFLOAT16])
def test_terms_are_given_float32_and_the_students_policy_holds(policy):
    """Also where the policy of the process is another one by then."""
    with under(policy):
        net = keras.Sequential([keras.Input((8, 8, 1)), L.Flatten(), L.Dense(10)])
    looking = Looking(models.copy(net), {"old": models.copy(net)})
    assert looking.dtype_policy.name == looking.student.dtype_policy.name
    looking.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    looking.fit(data.batches(tiny_split(), "retain", named=True), shuffle=False, verbose=0)
    assert looking.kinds == ["float32", "float32"]


def test_a_float16_student_has_its_loss_scaled():
    with under(FLOAT16):
        student = keras.Sequential([keras.Input((8, 8, 1)), L.Flatten(), L.Dense(10)])
    looking = Looking(student, {"old": models.copy(student)})
    looking.compile(keras.optimizers.SGD(0.1))
    assert isinstance(looking.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize("name", ["finetune", "neggrad_plus", "uam", "negmerge", "rni"])
def test_a_model_whose_layers_alone_have_the_policy(name, trained):
    """So it is after loading one in a process with another policy."""
    with under(FLOAT16):
        config = network().get_config()
    model = keras.Model.from_config(config)
    assert model.get_layer("head").dtype_policy.name == FLOAT16
    model.set_weights(trained[FLOAT16])
    inner = keras.optimizers.SGD(0.05, momentum=0.9)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), loss, jit_compile=False)
    result = run(methods.describe(name), model)
    assert models.fingerprint(result) != models.fingerprint(model)
    assert isinstance(result.optimizer, keras.optimizers.LossScaleOptimizer)
    assert len(result.optimizer.variables) == len({id(v) for v in result.optimizer.variables})


def test_gradients_of_a_loss_on_half_precision_outputs(trained):
    """They are near those of the same weights in float32, which a loss in bfloat16 is not."""
    split, sums = tiny_split(), []
    for policy in ("float32", BFLOAT16):
        with under(policy):
            model = compiled(trained[BFLOAT16])
            stream = data.batches(split, "forget", batch_size=16)
            sums.append(gradients.gradient_sum(model, stream, losses.cross_entropy)[0])
    exact, half = (np.concatenate([part.ravel() for part in parts]) for parts in sums)
    assert half.any()
    assert np.linalg.norm(half - exact) < 0.05 * np.linalg.norm(exact)


def test_a_step_that_overflows_leaves_no_older_gradients():
    """Keras skips it; what was kept of the step before would otherwise be taken for its own."""
    kept = KeptGradients()
    with under(FLOAT16):
        net = keras.Sequential([keras.Input((2,)), L.Dense(1, use_bias=False)])
        net.compile(kept, "mse", jit_compile=False)
        x = np.ones((1, 2), "float32")
        net.train_on_batch(x, np.asarray(net(x), "float32") - 0.5)
        assert np.allclose(kept.values(), 1.0, atol=1e-2)
        kept.clear()
        net.train_on_batch(x, np.full((1, 1), 1e30, "float32"))
    assert not np.any(kept.values())


@pytest.mark.parametrize("policy", [FLOAT16, BFLOAT16])
def test_probabilities_in_half_precision_are_known_for_what_they_are(policy):
    with under(policy):
        stack = [keras.Input((8, 8, 1)), L.Flatten(), L.Dense(10, "softmax")]
        net = keras.Sequential(stack)
        hidden = keras.Sequential([net, L.Activation("linear")])
        assert not models.gives_logits(net)
        assert not models.gives_logits(hidden)
        with pytest.raises(ValueError, match="still a row of probabilities"):
            models.logits_model(hidden)


def test_a_training_whose_steps_all_overflow_says_so(trained):
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1e30)
    with under(FLOAT16):
        model = compiled(trained[FLOAT16])
        with pytest.raises(RuntimeError, match=r"changed none.*float16.*overflow.*initial_scale"):
            methods.finetune(model, tiny_split(), epochs=1, batch_size=32, optimizer=scaled)
