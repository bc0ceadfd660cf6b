"""Banks of tiny networks, made in this process and held against `methods.retrain`."""

import hashlib
import re

import keras
import numpy as np
import pytest

from tfunlearn import methods, metrics, models
from tfunlearn.audit import ReferenceBank, outputs
from tfunlearn.audit.bank import IN_SEED_STEP
from tfunlearn.audit.bank_job import whole
from tfunlearn.audit.bank_training import TRAININGS
from tfunlearn.data import ForgetSplit
from tfunlearn.training import in_graph, xla

from . import bank_parts as parts

FAST = {"epochs": 2, "batch_size": 12, "threads": None, "say": None}  # 50 examples: 5 steps


def make_bank(folder, net=None, split=None, **options):
    net = parts.make_net() if net is None else net
    return ReferenceBank(folder, net, split or parts.make_split(), **{**FAST, **options})


def retrained(net, split, seed):
    return methods.retrain(net, split, seed=seed, epochs=2, batch_size=12)


def assert_same(left, right):
    """Every weight has the same bytes."""
    for a, b in zip(left.get_weights(), right.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A bank of three models, for tests that only read; with its network and its split."""
    net, split = parts.make_noisy_net(), parts.make_split()
    bank = make_bank(tmp_path_factory.mktemp("bank"), net, split, keep_weights=True, seed=5)
    assert bank.fill(3) == 3
    assert bank.fill(2, include_forget=True) == 2
    return bank, net, split


def test_models_are_those_of_retrain_to_the_byte(full):
    bank, net, split = full
    assert bank.seeds == [5, 6, 7]
    for seed in (5, 7):
        reference = retrained(net, split, seed)
        assert_same(bank.model(seed), reference)
    for role in split.roles:
        expected = outputs.logits(reference, split, role)
        np.testing.assert_array_equal(bank.logits(role)[2], expected)


def test_models_with_the_forget_set_are_retrained_on_everything(full):
    bank, net, split = full
    seeds = [5 + IN_SEED_STEP, 6 + IN_SEED_STEP]
    assert bank.finished(include_forget=True) == seeds
    x, y = split.source("retain").x, split.source("retain").y
    everything = ForgetSplit.by_index(x, y, forget=[0], test=(x, y))
    everything = everything.replaced("retain", x, y)
    reference = retrained(net, everything, seeds[1])
    assert_same(bank.model(seeds[1], include_forget=True), reference)
    expected = outputs.logits(reference, split, "forget")
    np.testing.assert_array_equal(bank.logits("forget", include_forget=True)[1], expected)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.Nadam(0.01, use_ema=True, gradient_accumulation_steps=2),
        *(  # there in newer versions of Keras
            [keras.optimizers.ScheduleFreeAdamW(0.01)]
            if hasattr(keras.optimizers, "ScheduleFreeAdamW")
            else []
        ),
        keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 5), momentum=0.9)
        ),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_every_state_of_an_optimizer_starts_anew(tmp_path, optimizer):
    net, split = parts.make_net(optimizer=optimizer), parts.make_split()
    bank = make_bank(tmp_path, net, split, keep_weights=True)
    bank.fill(2)
    assert_same(bank.model(1), retrained(net, split, 1))


def test_a_layer_with_a_seed_that_is_no_variable_is_as_in_retrain(tmp_path):
    net, split = parts.make_net(parts.Masked()), parts.make_split()
    bank = make_bank(tmp_path, net, split)
    bank.fill(2)
    expected = outputs.logits(retrained(net, split, 1), split, "test")
    np.testing.assert_array_equal(bank.logits("test")[1], expected)


def test_convolutions_a_frozen_layer_and_a_softmax_head_are_as_in_retrain(tmp_path):
    layers = keras.layers
    inner = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten()]
    frozen, head = layers.Dense(5, trainable=False), layers.Dense(3, "softmax")
    loss = "sparse_categorical_crossentropy"
    net = parts.make_net(*inner, frozen, shape=(8, 8, 1), head=head, loss=loss)
    split = parts.make_split(shape=(8, 8, 1))
    bank = make_bank(tmp_path, net, split, keep_weights=True)
    bank.fill(2)
    assert_same(bank.model(1), retrained(net, split, 1))
    assert bank.logits("test").min() < 0  # logits, not probabilities


def test_the_training_is_traced_once_not_once_a_model(tmp_path):
    net, split = parts.make_net(parts.Scale(), loss=parts.counted), parts.make_split()
    bank = make_bank(tmp_path, net, split)
    counts = []
    for models_in_all in (1, 4):
        parts.TRACES.clear()
        bank.fill(models_in_all)
        counts.append(len(parts.TRACES))
    assert 0 < counts[0] == counts[1]
    expected = outputs.logits(retrained(net, split, 3), split, "test")
    np.testing.assert_array_equal(bank.logits("test")[3], expected)


def test_whole_epochs_are_compiled_once_for_all_models_and_for_any_number(tmp_path, monkeypatch):
    monkeypatch.setattr(xla, "STEPS", TRAININGS * 2 * 5)  # of two epochs of five steps
    traced, hashed = [], xla.hashed_dropout
    monkeypatch.setattr(in_graph, "hashed_dropout", lambda net: traced.append(1) or hashed(net))
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.3)]
    net, split = parts.make_net(*layers, optimizer="adam"), parts.make_split()
    three, one = (
        make_bank(tmp_path / name, net, split, keep_weights=True) for name in ("three", "one")
    )
    three.fill(3)
    assert len(traced) == 1
    one.fill(1)
    assert len(traced) == 2  # by a process, or a fill, of its own
    assert_same(three.model(0), one.model(0))
    monkeypatch.setattr(xla, "STEPS", 1)  # now a single training is compiled too
    assert_same(three.model(2), retrained(net, split, 2))


def test_what_a_bank_holds(full):
    bank, _, split = full
    assert len(bank) == 3
    assert bank.roles == ("forget", "retain", "test")
    assert bank.missing(5) == [8, 9]
    assert bank.missing(3, include_forget=True) == [7 + IN_SEED_STEP]
    logits = bank.logits("forget")
    assert logits.dtype == np.float32
    assert logits.shape == (3, split.size("forget"), 3)
    labels = split.labels("forget")
    expected = [
        [row[k] - np.log(sum(np.exp(z) for j, z in enumerate(row) if j != k)) for row, k in pairs]
        for pairs in (list(zip(one.astype("float64"), labels, strict=True)) for one in logits)
    ]
    margins = bank.margins("forget")
    assert margins.dtype == np.float64
    np.testing.assert_allclose(margins, expected, rtol=1e-9)
    hits = (bank.logits("test").argmax(axis=-1) == split.labels("test")).mean(axis=1)
    np.testing.assert_array_equal(bank.accuracy("test"), hits)
    assert bank.seconds.shape == (3,)
    assert (bank.seconds > 0).all()
    assert "3 models without the forget set, 2 with it" in repr(bank)


def test_some_of_the_models_in_any_order(full):
    bank, _, _ = full
    np.testing.assert_array_equal(bank.logits("test", seeds=[7, 5]), bank.logits("test")[[2, 0]])
    np.testing.assert_array_equal(bank.margins("test", seeds=[6])[0], bank.margins("test")[1])
    np.testing.assert_array_equal(bank.accuracy("test", seeds=[6])[0], bank.accuracy("test")[1])
    with pytest.raises(ValueError, match="Received: seed 9, without the forget set"):
        bank.logits("test", seeds=[9])


def test_notes_say_how_each_model_was_made(full):
    bank, _, _ = full
    note = bank.notes()[1]
    assert note["seed"] == 6
    assert note["include_forget"] is False
    assert note["environment"]["keras"] == keras.__version__
    content = (bank.folder / "out-6" / "logits-test.npy").read_bytes()
    assert note["files"]["logits-test.npy"] == hashlib.sha256(content).hexdigest()
    assert set(note["files"]) >= {"logits-forget.npy", "logits-retain.npy", "model.weights.h5"}


def test_a_full_bank_is_read_not_made(full, monkeypatch):
    bank, net, split = full
    again = make_bank(bank.folder.parent, net, split, keep_weights=True, seed=5)
    monkeypatch.setattr(keras.Model, "fit", None)
    assert again.fill(3) == 0
    np.testing.assert_array_equal(again.logits("test"), bank.logits("test"))


def test_a_bank_grows_and_tells_how_far_it_is(tmp_path):
    told = []
    bank = make_bank(tmp_path)
    assert bank.fill(1) == 1
    first = (bank.folder / "out-0" / "note.json").read_bytes()
    assert bank.fill(3, progress=lambda *row: told.append(row)) == 2
    assert [row[:2] for row in told] == [(1, 2), (2, 2)]
    assert told[0][2].startswith("seed 1, without the forget set: made in ")
    assert bank.seeds == [0, 1, 2]
    assert (bank.folder / "out-0" / "note.json").read_bytes() == first


def test_float16_takes_half_the_space_and_keeps_three_digits(full, tmp_path):
    bank, net, split = full
    half = make_bank(tmp_path, net, split, keep_weights=True, seed=5, dtype="float16")
    assert half.folder.name != bank.folder.name
    half.fill(3)
    assert half.logits("retain").dtype == np.float16
    assert half.logits("retain").nbytes * 2 == bank.logits("retain").nbytes
    np.testing.assert_array_equal(half.accuracy("test"), bank.accuracy("test"))
    np.testing.assert_allclose(half.margins("test"), bank.margins("test"), atol=5e-3)
    means = [
        [metrics.cross_entropy(split.labels("test"), one).mean() for one in which.logits("test")]
        for which in (half, bank)
    ]
    np.testing.assert_allclose(*means, rtol=1e-3)


def test_a_logit_that_float16_cannot_hold_is_an_error(tmp_path):
    net = parts.make_net(keras.layers.Rescaling(1e6))
    bank = make_bank(tmp_path, net, dtype="float16")
    with pytest.raises(RuntimeError, match=r"seed 0.*at most 65504 for float16; take float32"):
        bank.fill(1)
    assert len(bank) == 0


def test_a_training_that_fails_names_the_seed_and_keeps_the_finished(tmp_path, monkeypatch):
    bank, fit = make_bank(tmp_path), keras.Model.fit

    def failing(self, *args, **options):
        if len(bank) == 1:
            raise RuntimeError("training diverged")
        return fit(self, *args, **options)

    monkeypatch.setattr(keras.Model, "fit", failing)
    with pytest.raises(RuntimeError, match="seed 1, without the forget set: training diverged"):
        bank.fill(3)
    assert bank.seeds == [0]
    monkeypatch.undo()
    assert bank.fill(3) == 2


def test_some_roles_alone(tmp_path):
    bank = make_bank(tmp_path, roles=("test", "forget"))
    bank.fill(1)
    assert bank.roles == ("forget", "test")
    names = sorted(path.name for path in (bank.folder / "out-0").iterdir())
    assert names == ["logits-forget.npy", "logits-test.npy", "note.json"]
    with pytest.raises(ValueError, match="expected one of forget, test, which this bank keeps"):
        bank.logits("retain")


def test_a_stream_is_trained_in_this_process(tmp_path):
    tf = pytest.importorskip("tensorflow")
    arrays, net = parts.make_split(), parts.make_net()
    x, y = arrays.source("retain").x, arrays.source("retain").y
    stream = tf.data.Dataset.from_tensor_slices((x, y))
    split = ForgetSplit.from_dataset(stream, forget=arrays.ids["forget"], test=arrays.test)
    bank = make_bank(tmp_path, net, split)
    bank.fill(1)
    expected = outputs.logits(retrained(net, split, 0), split, "forget")
    np.testing.assert_array_equal(bank.logits("forget")[0], expected)
    assert whole(split).size("retain") == len(y)
    assert make_bank(tmp_path, net, split).seeds == [0]
    with pytest.raises(ValueError, match="a stream cannot be handed to other processes"):
        make_bank(tmp_path, net, split, threads=1).fill(1)


def test_the_model_may_change_afterwards_and_is_not_changed(tmp_path):
    net, split = parts.make_net(), parts.make_split()
    optimizer, before = net.optimizer, models.fingerprint(net)
    bank = make_bank(tmp_path, net, split)
    expected = outputs.logits(retrained(net, split, 0), split, "test")
    net.layers[0].trainable = False
    bank.fill(1)
    np.testing.assert_array_equal(bank.logits("test")[0], expected)
    assert net.optimizer is optimizer
    assert models.fingerprint(net) == before


def test_data_that_changes_under_a_bank_is_seen(tmp_path):
    split = parts.make_split()
    bank = make_bank(tmp_path, split=split)
    split.source("retain").x[0, 0] += 1
    with pytest.raises(RuntimeError, match="its arrays were changed in place"):
        bank.fill(1)


def test_an_empty_bank_has_no_numbers(tmp_path):
    bank = make_bank(tmp_path)
    assert (len(bank), bank.seeds, bank.missing(2)) == (0, [], [0, 1])
    assert bank.seconds.shape == (0,)
    for read in (bank.logits, bank.margins, bank.accuracy):
        with pytest.raises(ValueError, match="the bank is empty"):
            read("test")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs: expected a whole number of at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size: expected a whole number of at least 1"),
        ({"dtype": "float64"}, ValueError, "dtype: expected 'float32' or 'float16'"),
        ({"threads": 0}, ValueError, "threads: expected a whole number of at least 1, or None"),
        ({"seed": -1}, ValueError, "seed: expected a whole number of at least 0"),
        ({"roles": ["validation"]}, ValueError, r"roles: .* Received: \['validation'\]"),
        ({"roles": []}, ValueError, r"roles: .* Received: \[\]"),
        ({"split": "data"}, TypeError, "split: expected a ForgetSplit. Received: str"),
        (
            {"loss": lambda y, z: np.mean((y - z) ** 2)},
            ValueError,
            "loss: .* functions made on the spot",
        ),
        ({"loss": parts.made_by(2)}, ValueError, "loss: .* Received: made_by"),
        ({"loss": parts.Weighted(2.0, told=False)}, TypeError, "a get_config that describes all"),
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", str(value))[:40],
)
def test_arguments_that_no_bank_can_be_made_with(tmp_path, options, kind, words):
    with pytest.raises(kind, match=words):
        make_bank(tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, "count: expected a whole number of 1 to 500000"),
        ({"count": 2, "workers": 0}, "workers: expected a whole number of at least 1"),
        ({"count": 2, "workers": 2}, "a bank with threads=None trains in this process"),
        ({"count": 2, "ray_address": "auto"}, "threads=None .* Received: auto"),
        ({"count": 2, "retries": -1}, "retries: expected a whole number of at least 0"),
    ],
    ids=str,
)
def test_arguments_that_no_bank_can_be_filled_with(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        make_bank(tmp_path).fill(**options)


def test_no_weights_where_none_are_kept(tmp_path):
    bank = make_bank(tmp_path)
    with pytest.raises(ValueError, match="keep_weights=True"):
        bank.model(0)


def test_a_split_whose_retain_set_was_replaced_has_no_whole(tmp_path):
    split = parts.make_split()
    split = split.replaced("retain", *split.retain)
    with pytest.raises(ValueError, match="both from the same training data"):
        make_bank(tmp_path, split=split).fill(1, include_forget=True)


def test_kept_weights_are_the_same_bytes_whatever_the_layers_are_called(tmp_path):
    split = parts.make_split(shape=(8, 8, 1))
    found = []
    for place in range(2):  # the second network's layers get other names from Keras
        own = {**FAST, "keep_weights": True}
        bank = ReferenceBank(tmp_path / str(place), parts.make_cnn(), split, **own)
        bank.fill(1)
        found.append(bank.notes()[0]["files"])
        own_weights = bank.model(0).get_weights()
    assert found[0] == found[1]
    assert "model.weights.h5" in found[0]
    assert any(np.ptp(weight) > 0 for weight in own_weights)


def test_a_fill_removes_copies_of_data_that_died_in_any_bank_of_the_directory(tmp_path):
    bank = make_bank(tmp_path)
    bank.fill(1)
    other = tmp_path / "another"
    (other / ".scratch-0123456789abcdef.tmp").mkdir(parents=True)
    (other / "bank.json").write_text("{}")
    assert bank.fill(1) == 0
    assert list(other.glob(".*")) == []
