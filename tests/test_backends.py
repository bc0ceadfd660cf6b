"""Keras on JAX and on PyTorch, where TensorFlow cannot be imported: all that takes arrays.

Each test asks a process of its backend. Methods are held to the contract there, and set beside the
same method on TensorFlow; audits, banks and reports work; what needs TensorFlow says so.
"""

import functools
import pathlib
import tempfile
import unittest
import warnings
from contextlib import nullcontext
from unittest import mock

import keras
import numpy as np
import pytest

import tfunlearn
from tests.elsewhere import BACKENDS, on
from tfunlearn import audit, data, losses, methods, models, report, repro, testing
from tfunlearn.testing.tasks import not_finite, original, run, tiny_split, weight_bytes

CONTRACT = (  # without what needs TensorFlow, or one original for all backends
    "check_signature",
    "check_original_untouched",
    "check_finite",
    "check_seed",
    "check_reads",
    "check_zero_strength",
    "check_errors",
    "check_plain_result",
)
BESIDE = (  # methods that draw nothing but orders of batches, which NumPy draws on every backend
    "boundary_shrink",
    "influence",
    "salun",
    "scrub",
    "sfr_on",
    "uam",
)
GAP = 1e-4  # of any weight, from one backend to another


def keep_the_contract(name, checks=CONTRACT):
    for check in checks:
        getattr(testing, check)(methods.describe(name))


def keep_the_contract_in_two_runs(name):
    """What two runs can show, for JAX, which takes long over the first of everything."""
    method, model = methods.describe(name), original("rich")
    before = weight_bytes(model)
    closed = {"forget", "retain", "validation", "test"} - method.roles()
    clean, spoiled = (
        run(method, model, tiny_split(method.scope, spoil=roles)) for roles in ((), closed)
    )
    assert weight_bytes(model) == before, "the original changed"
    assert not not_finite(clean)
    assert weight_bytes(clean) != before, "the result is the original"
    assert weight_bytes(clean) == weight_bytes(spoiled), "another result from other roles"


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", methods.names())
def test_methods_keep_the_contract(backend, name):
    jobs = {"jax": keep_the_contract_in_two_runs, "torch": keep_the_contract}
    on(backend, jobs[backend], name)


@pytest.mark.slow
@pytest.mark.xdist_group("jax")
def test_a_method_passes_every_check_on_jax():
    on("jax", keep_the_contract, "scrub", [*CONTRACT, "check_jit_agrees"])


def unlearned(name, config, weights):
    """Returns the weights that a method ends with, from a start that is given."""
    net = keras.models.model_from_json(config)
    net.set_weights([np.asarray(part, "float32") for part in weights])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, jit_compile=False)
    method = methods.describe(name)
    return [part.tolist() for part in run(method, net, tiny_split(method.scope)).get_weights()]


@functools.cache
def _start():
    net = original("plain")
    return net.to_json(), [part.tolist() for part in net.get_weights()]


@functools.cache
def _here(name):
    return unlearned(name, *_start())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", BESIDE)
def test_methods_end_where_they_end_on_tensorflow(backend, name):
    there = on(backend, unlearned, name, *_start())
    moved = 0.0
    for start, left, right in zip(_start()[1], _here(name), there, strict=True):
        np.testing.assert_allclose(left, right, atol=GAP, err_msg=name)
        moved = max(moved, np.abs(np.subtract(left, start)).max())
    assert moved > 20 * GAP


def audited(folder):
    """Audits two methods beside a bank and beside one retrained model, and writes both reports."""
    numbers = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (2 * np.eye(3)[y] + numbers.normal(size=(60, 3))).astype("float32")
    held_out = {"test": (x[48:], y[48:]), "validation": (x[40:48], y[40:48])}
    split = data.random(x[:40], y[:40], fraction=0.2, **held_out)
    net = models.mnist_dense(3, 3, seed=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    net.fit(x[:40], y[:40], epochs=2, batch_size=8, verbose=0)
    options = {"seed": 1, "epochs": 1, "batch_size": 8}
    made = {name: tfunlearn.unlearn(net, split, name, **options) for name in ("finetune", "rni")}
    again = tfunlearn.unlearn(net, split, "finetune", **options)
    assert models.weight_distance(made["finetune"], again) == 0.0
    made["original"] = net
    bank = audit.ReferenceBank(
        folder, net, split, epochs=1, batch_size=8, threads=None, say=None, keep_weights=True
    )
    assert bank.fill(3) == 3
    assert bank.fill(3) == 0
    beside = audit.compare(made, split, bank=bank)
    assert set(beside.evidence) == {"finetune", "rni", "original", "held-out retrain"}
    alone = audit.compare({**made, "again": bank.model(0)}, split, reference="again")
    for found in (beside, alone):
        assert "finetune" in str(found)
        assert found.to_html(pathlib.Path(folder, "report.html")).startswith("<!doctype html>")
        assert report.AuditReport.load(found.save(pathlib.Path(folder, "report.json"))) == found
    return beside.environment


@pytest.mark.parametrize("backend", BACKENDS)
def test_audit_bank_and_report(backend):
    with tempfile.TemporaryDirectory() as folder:
        found = on(backend, audited, folder)
    assert found["backend"] == backend
    assert found[backend]  # its version
    assert "tensorflow" not in found


def parts():
    """Returns numbers of the parts around the methods, each next to what it is to be."""
    split = tiny_split("class")
    inputs, labels = data.pairs(split, batch_size=16)[0]
    normalize = data.Normalizer.named("digits")
    logits, y = np.array([[0.0, 1.0], [2.0, 0.0]], "float32"), np.array([0, 1])
    weighted = losses.WeightedSparseCategoricalCrossentropy([1.0, 2.0], from_logits=True)
    entropy = np.log(1 + np.exp([1.0, 2.0]))
    pairs = [
        (inputs["forget"].shape, (16, 8, 8, 1)),
        (np.unique(labels["forget"]), [0]),
        (normalize.layer()(split.forget[0][:2] * 0), -np.ones((2, 8, 8, 1))),
        (weighted(y, logits), np.mean(entropy * [1.0, 2.0])),
        (losses.soft_cross_entropy(np.eye(2, dtype="float32"), logits), entropy),
        (losses.kl_divergence(logits, logits), [0.0, 0.0]),
    ]
    return [
        np.asarray(keras.ops.convert_to_numpy(part)).tolist() for pair in pairs for part in pair
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_parts_around_the_methods(backend):
    found = on(backend, parts)
    for received, expected in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)


def masks(seed):
    """Returns what a network of the zoo gives in training mode, with the masks of a seed."""
    net = models.mnist_dense(16, dropout=0.5, seed=seed)
    net.set_weights([np.ones(part.shape) for part in net.get_weights()])
    return keras.ops.convert_to_numpy(net(np.ones((2, 16)), training=True)).tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_follows_the_seed(backend):
    first, again, other = (on(backend, masks, seed) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def refusals():
    """Returns what is said to those who ask for TensorFlow's own."""
    split, said = tiny_split(), []
    streams = (lambda: split.dataset("retain"), lambda: data.from_dataset([], forget=[0], test=[]))
    for call in streams:
        with pytest.raises(ImportError) as caught:
            call()
        said.append(str(caught.value))
    for check in (testing.check_arrays_and_streams_agree, testing.check_replicas_agree):
        with pytest.raises(unittest.SkipTest) as caught:
            check(methods.describe("finetune"))
        said.append(str(caught.value))
    return said


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_needs_tensorflow_says_so_and_what_to_do(backend):
    dataset, stream, *skipped = on(backend, refusals)
    assert dataset.startswith("split.dataset('retain') needs TensorFlow, on any backend of Keras. ")
    assert "pip install tensorflow), or data.batches(split, role)" in dataset
    assert "or arrays (data.by_index" in stream
    assert all(f"with KERAS_BACKEND {backend}." in text for text in (dataset, stream))
    for text in skipped:
        assert f"needs TensorFlow; KERAS_BACKEND is {backend}" in text


def promised(gpu=False):
    """Returns what cannot be promised of two runs with one seed, and whether two draws agree."""
    drawn, on_torch = [], keras.backend.backend() == "torch"
    seen = nullcontext()
    if on_torch:
        seen = mock.patch("torch.cuda.is_available", return_value=gpu)
    with seen, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            missing = repro.deterministic(3)
            drawn.append(keras.ops.convert_to_numpy(keras.random.uniform((3,))).tolist())
    if on_torch:
        import torch

        assert torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)  # the process goes on to other tests
    return list(missing), drawn[0] == drawn[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_seed_for_all(backend):
    missing, same = on(backend, promised)
    assert same
    assert missing == {"torch": [], "jax": [repro.OTHER_BACKEND.format("jax")]}[backend]


@pytest.mark.xdist_group("torch")
def test_cublas_is_named_where_it_is_open(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert on("torch", promised, True) == [[repro.CUBLAS], True]


def test_a_backend_that_is_not_there_skips_by_name():
    with pytest.raises(pytest.skip.Exception, match="no_such is not installed"):
        on("no_such", parts)
