"""What every method does with input that does not suit it: an error by name, or its usual work."""

import typing

import keras
import numpy as np
import pytest

from tfunlearn import data, gradients, methods

L = keras.layers
NAMES = methods.names()
LINES = {name: methods.describe(name) for name in NAMES}
X = np.random.default_rng(0).random((12, 4, 4, 1), "float32")
Y = np.arange(12) % 3
HELD = {"test": (X[:6], Y[:6]), "validation": (X[6:], Y[6:])}

ANY_HEAD = {"retrain", "finetune", "rni", "ct", "cf_k", "eu_k", "svd_class"}  # read no logits
CONVOLUTIONS = {"vision_confuser", "ct"}
DENSE_HEAD = {"boundary_expand", "certified_last_layer"}
WHOLE_CLASSES = {"boundary_shrink", "boundary_expand", "unsir", "svd_class"}


def network(*stack, activation="softmax"):
    layers = [*stack, L.Flatten(), L.Dense(3, activation, name="head")]
    return compiled(keras.Sequential([keras.Input((4, 4, 1)), *layers]))


def compiled(model):
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def run(name, model, split, **options):
    short = {"epochs": 1} if "epochs" in LINES[name].options else {}
    return LINES[name].function(model, split, **{**short, **options})


def bytes_of(model):
    return [weight.tobytes() for weight in model.get_weights()]


@pytest.fixture(scope="module")
def cnn():
    """A convolution and a softmax head, without batch normalisation; nothing here may change it."""
    model = network(L.Conv2D(2, 3))
    before = bytes_of(model)
    yield model
    assert bytes_of(model) == before


@pytest.fixture(scope="module")
def dense():
    return network()


@pytest.fixture(scope="module")
def sigmoid():
    return network(L.Conv2D(2, 3), activation="sigmoid")


@pytest.fixture(scope="module")
def split():
    return data.by_class(X, Y, classes=[0], **HELD)


@pytest.fixture
def untrained(monkeypatch):
    """Lets a test fail once a method trains, or takes gradients."""

    def begun(*arguments, **options):
        pytest.fail("it has begun")

    for place, attribute in (
        *((keras.Model, name) for name in ("fit", "train_on_batch")),
        *((gradients, name) for name in ("gradient_sum", "per_example", "input_gradients")),
    ):
        monkeypatch.setattr(place, attribute, begun)


def numbers():
    """Every option of every method that takes a number, but those that the contract tests."""
    for name, line in LINES.items():
        for option, kind in typing.get_type_hints(line.function).items():
            kinds = set(typing.get_args(kind) or (kind,))
            if option in line.options and kinds & {int, float}:
                yield name, option


NUMBERS = [pair for pair in numbers() if pair[1] not in ("seed", "epochs", "batch_size", "verbose")]


@pytest.mark.parametrize(("name", "option"), NUMBERS, ids=map("-".join, NUMBERS))
def test_negative_numbers_are_refused_by_name(name, option, cnn, split, untrained):
    for value in (-1, -0.5, float("nan")):
        with pytest.raises(ValueError, match=rf"^{option}: .*Received: {value}"):
            run(name, cnn, split, **{option: value})


def test_these_are_the_strengths():
    assert len(NUMBERS) > 90
    assert {("scrub", "distillation"), ("ssd", "dampening"), ("prmq", "pruned")} <= set(NUMBERS)
    rates = {name for name, option in NUMBERS if option == "learning_rate"}
    assert rates == {name for name in NAMES if "learning_rate" in LINES[name].options}


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("vision_confuser", "class_weights", (1.0, -1.0, 1.0)),
        ("vision_confuser", "stddev", {0: -1.0}),
        ("negmerge", "learning_rates", [0.1, -0.1]),
        ("negmerge", "learning_rates", []),
        ("negmerge", "learning_rates", 0.1),
        ("scrub", "decay_epochs", (1, -1)),
        ("scrub", "decay_epochs", (0.5,)),
        ("scrub", "decay_epochs", 3),
        ("boundary_shrink", "bounds", (1.0, 0.0)),
        ("unsir", "classes", (-1,)),
    ],
    ids=str,
)
def test_other_lists_of_numbers_are_refused_by_name(name, option, value, cnn, split, untrained):
    with pytest.raises(ValueError, match=f"^{option}: "):
        run(name, cnn, split, **{option: value})


@pytest.mark.parametrize("rate", ["fast", keras.optimizers.schedules.CosineDecay(0.1, 5), [0.1]])
@pytest.mark.parametrize("name", ["finetune", "fcs", "vision_confuser", "mu_mis", "ct"])
def test_a_learning_rate_is_a_number(name, rate, cnn, split, untrained):
    with pytest.raises(TypeError, match=r"^learning_rate: expected a number; .*optimizer=\.\.\."):
        run(name, cnn, split, learning_rate=rate)


@pytest.mark.parametrize("name", [name for name in NAMES if LINES[name].scope == "class"])
def test_a_part_of_a_class(name, cnn):
    """Most methods for classes refuse it; two have a meaning there too, and do their usual work."""
    part = data.by_index(X, Y, forget=[0, 1], **HELD)
    if name in WHOLE_CLASSES:
        with pytest.raises(ValueError, match=r"^split: this method forgets whole classes"):
            run(name, cnn, part)
        return
    own = {"lfssd": {"selection": 1.0}, "mu_mis": {"stop_accuracy": None}}[name]
    assert bytes_of(run(name, cnn, part, **own)) != bytes_of(cnn)


@pytest.mark.parametrize(("name", "options"), [("scrub", {"rewind": True}), ("kde", {})])
def test_a_missing_validation_role(name, options, cnn, split, untrained):
    assert "validation" in LINES[name].roles(**options)
    without = data.by_class(X, Y, classes=[0], test=HELD["test"])
    with pytest.raises(ValueError, match=r"^role: .*'validation'; pass validation=\(x, y\)"):
        run(name, cnn, without, **options)


def test_no_other_method_reads_validation():
    readers = {n for n in NAMES if "validation" in LINES[n].reads | set(LINES[n].also.values())}
    assert readers == {"scrub", "kde"}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        (name, role)
        for name in NAMES
        for role in sorted(LINES[name].reads)
        if (name, role) != ("unsir", "forget")  # whose images it never looks at
    ],
)
def test_nan_in_a_role_that_is_read(name, role, cnn, untrained):
    arrays = {key: (x.copy(), y) for key, (x, y) in {"train": (X, Y), **HELD}.items()}
    place = {"forget": ("train", 3), "retain": ("train", 4)}.get(role, (role, 0))
    arrays[place[0]][0][place[1]] = np.nan
    spoiled = data.by_class(*arrays.pop("train"), classes=[0], **arrays)
    with pytest.raises(ValueError, match=f"^x: the {role} set holds NaN"):
        run(name, cnn, spoiled)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ANY_HEAD])
def test_a_head_that_gives_no_logits(name, sigmoid, split, untrained):
    with pytest.raises(ValueError, match=r"^model: its logits cannot be read.*activation sigmoid"):
        run(name, sigmoid, split)


def test_probabilities_that_a_later_layer_gives_on(split, untrained):
    hidden = network()
    model = compiled(keras.Sequential([hidden, L.Activation("linear")]))
    with pytest.raises(
        ValueError, match=r"^model: its logits cannot be read.*row of probabilities"
    ):
        methods.delete(model, split)


def test_methods_that_read_no_logits_take_any_head(sigmoid, split):
    result = methods.finetune(sigmoid, split, epochs=1)
    assert bytes_of(result) != bytes_of(sigmoid)


@pytest.mark.parametrize("name", sorted(DENSE_HEAD))
def test_a_head_that_is_not_dense(name, split, untrained):
    stack = [L.Conv2D(3, 4), L.Flatten(), L.Softmax()]
    model = compiled(keras.Sequential([keras.Input((4, 4, 1)), *stack]))
    assert LINES[name].needs == "a Dense head"
    with pytest.raises(ValueError, match=r"^model: its head.*Expected: a Dense layer"):
        run(name, model, split)


@pytest.mark.parametrize("name", sorted(CONVOLUTIONS))
def test_no_convolution(name, dense, split):
    assert LINES[name].needs == "convolutions"
    with pytest.raises(ValueError, match=r"(?i)convolution|Conv2D"):
        run(name, dense, split)


@pytest.mark.parametrize("name", NAMES)
def test_more_to_forget_than_stays_and_a_batch_larger_than_both(name, cnn, dense):
    """Two of three classes go, in one batch of a size that no role has, without normalisation."""
    split = data.by_class(X, Y, classes=[0, 2], **HELD)
    assert split.size("forget") == 2 * split.size("retain") == 8
    model = cnn if name in CONVOLUTIONS else dense
    own = {
        "ssd": {"selection": 1.0},
        "lfssd": {"selection": 1.0},
        "negmerge": {"repeats": 1},
        "unsir": {"noise_steps": 1},
    }.get(name, {})
    before = bytes_of(model)
    result = run(name, model, split, batch_size=128, **own)
    assert bytes_of(model) == before
    assert all(np.isfinite(weight).all() for weight in result.get_weights())
    assert bytes_of(result) != before
