"""Same seed, same bytes: in one process after the other, for every method there is."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import threadpoolctl

from tfunlearn import methods, repro

JOB = """
import json
from tfunlearn import methods, models, repro
from tfunlearn.testing.tasks import run

missing = repro.deterministic(3)
made = {name: run(methods.describe(name), seed=3) for name in methods.names()}
marks = {name: models.fingerprint(model) for name, model in made.items()}
print(json.dumps([missing, marks, repro.fingerprint()]))
"""
NOT_PROMISED = set()  # methods whose bytes may differ from process to process, on the CPU: none


def start(code, **variables):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def reply(process):
    try:
        written, errors = process.communicate(timeout=900)
    finally:
        process.kill()
    assert process.returncode == 0, errors[-2000:]
    return json.loads(written.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's promise")
def test_every_method_gives_the_same_bytes_in_two_processes():
    started = [start(JOB, PYTHONHASHSEED=seed) for seed in ("1", "77")]
    (missing, first, mark), (_, second, other) = map(reply, started)
    assert missing == []
    assert mark == other
    assert list(first) == methods.names()
    assert len(set(first.values())) == len(first)
    assert {name for name in first if first[name] != second[name]} == NOT_PROMISED


def test_ops_are_deterministic_and_keras_leaves_xla_out():
    code = (
        "import json, keras\n"
        "from tfunlearn import repro\n"
        "missing = repro.deterministic(0)\n"
        "from tensorflow.python.framework.config import is_op_determinism_enabled as on\n"
        "model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "print(json.dumps([missing, on(), model.jit_compile]))"
    )
    assert reply(start(code, KERAS_BACKEND="tensorflow")) == [[], True, False]


@pytest.fixture
def switched(monkeypatch):
    """Notes that deterministic ops were turned on, which otherwise outlasts the test."""
    import tensorflow as tf

    seen = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: seen.append("on"))
    return seen


def drawn():
    return random.random(), float(np.random.random()), float(keras.random.uniform(()))


def test_one_seed_for_python_numpy_and_keras(switched):
    seen = []
    for seed in (5, np.int64(5), 6):
        assert repro.deterministic(seed) == ()
        seen.append(drawn())
    assert seen[0] == seen[1]
    assert not set(seen[0]) & set(seen[2])
    assert switched == ["on"] * 3
    random.seed(5)
    np.random.seed(5)
    assert seen[0][:2] == (random.random(), np.random.random())


@pytest.mark.parametrize("seed", [-1, None, 0.5, "0", 2**32])
def test_bad_seeds_change_nothing(seed, switched):
    before = random.getstate()
    with pytest.raises(ValueError, match=rf"^seed: .*Received: {re.escape(repr(seed))}\.$"):
        repro.deterministic(seed)
    assert random.getstate() == before
    assert switched == []


def test_another_backend_is_named(switched, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.warns(UserWarning, match=r"^not deterministic: ops of the jax backend") as caught:
        missing = repro.deterministic(0)
    assert missing == (repro.OTHER_BACKEND.format("jax"),)
    assert switched == []
    assert caught[0].filename == __file__


def one_gpu(monkeypatch, details):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)


def test_xla_on_a_gpu_is_named(switched, monkeypatch):
    one_gpu(monkeypatch, {})
    with pytest.warns(UserWarning, match=r"XLA on a GPU \(jit_compile=True\)"):
        assert repro.deterministic(0) == (repro.XLA_ON_GPU,)
    assert switched == ["on"]


def test_the_fingerprint_is_of_the_environment(monkeypatch):
    found = repro.environment()
    text = json.dumps(dict(sorted(found.items())))
    assert repro.fingerprint() == hashlib.sha256(text.encode()).hexdigest()
    before = repro.fingerprint()
    monkeypatch.setattr(os, "cpu_count", lambda: found["cpu_count"] + 1)
    assert repro.fingerprint() != before


VARIABLES = {
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_DETERMINISTIC_OPS": "1",
    "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
    "OMP_NUM_THREADS": "1",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F",
    "NVIDIA_TF32_OVERRIDE": "0",
    "CUBLAS_WORKSPACE_CONFIG": ":16:8",
}


def test_variables_that_change_bytes_change_the_fingerprint(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    marks = [repro.fingerprint()]
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
        marks.append(repro.fingerprint())
    assert len(set(marks)) == len(marks)
    for name in VARIABLES:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")  # no number rests on it
    assert repro.fingerprint() == marks[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("floatx", "float16"),
        ("epsilon", 1e-6),
        ("image_data_format", "channels_first"),
        ("dtype_policy", "mixed_bfloat16"),
        ("max_epochs", 3),
    ],
)
def test_settings_of_keras_change_the_fingerprint(name, value):
    change = getattr(keras.config, f"set_{name}")
    before, mark = getattr(keras.config, name)(), repro.fingerprint()
    change(value)
    try:
        assert repro.fingerprint() != mark
    finally:
        change(before)
    assert repro.fingerprint() == mark


def test_the_machine_changes_the_fingerprint(monkeypatch, tmp_path):
    from tfunlearn.audit import environment

    marks = []
    for name, flags in (("A", "sse4_2 avx2"), ("A", "sse4_2 avx2 avx512f"), ("B", "sse4_2 avx2")):
        info = f"processor : 0\nmodel name : {name}\nflags : fpu {flags}\nprocessor : 1\n"
        (tmp_path / "cpuinfo").write_text(info)
        monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "cpuinfo")
        found = repro.environment()
        assert (found["processor"], found["cpu_features"]) == (
            name,
            " ".join(sorted(flags.split())),
        )
        marks.append(repro.fingerprint())
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(77), raising=False)
    marks.append(repro.fingerprint())
    with threadpoolctl.threadpool_limits(1, "blas"):
        one = repro.environment()["blas"]
    with threadpoolctl.threadpool_limits(2, "blas"):
        two = repro.environment()["blas"]
    assert one[:-1] == two[:-1]
    assert (one[-1], two[-1]) == ("1", "2")
    assert len(set(marks)) == len(marks)


OF_TENSORFLOW = """
import json
import tensorflow as tf
from tfunlearn import repro

marks = [repro.fingerprint()]
tf.config.threading.set_intra_op_parallelism_threads(1)  # possible after a first look
marks.append(repro.fingerprint())
for change, value in (
    (tf.config.threading.set_inter_op_parallelism_threads, 1),
    (tf.config.experimental.enable_tensor_float_32_execution, False),
    (tf.config.run_functions_eagerly, True),
    (tf.config.optimizer.set_experimental_options, {"remapping": False}),
    (tf.config.optimizer.set_jit, "autoclustering"),
):
    change(value)
    marks.append(repro.fingerprint())
repro.deterministic(0)
print(json.dumps([*marks, repro.fingerprint()]))
"""
OF_JAX = """
import json
import jax
from tfunlearn import repro

marks = [repro.fingerprint()]
for name, value in (
    ("jax_default_matmul_precision", "float32"),
    ("jax_default_prng_impl", "rbg"),
    ("jax_enable_x64", True),
):
    jax.config.update(name, value)
    marks.append(repro.fingerprint())
print(json.dumps(marks))
"""


@pytest.mark.parametrize(("backend", "code"), [("tensorflow", OF_TENSORFLOW), ("jax", OF_JAX)])
def test_settings_of_a_backend_change_the_fingerprint(backend, code):
    pytest.importorskip(backend)
    marks = reply(start(code, KERAS_BACKEND=backend))
    assert len(set(marks)) == len(marks)


def test_the_environment_names_gpus_and_switches(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    plain = repro.environment()
    assert not {"gpu", "XLA_FLAGS"} & set(plain)
    one_gpu(monkeypatch, {"device_name": "A card"})
    monkeypatch.setenv("XLA_FLAGS", "--some")
    assert repro.environment() == {**plain, "gpu": "A card", "XLA_FLAGS": "--some"}
    one_gpu(monkeypatch, {})
    assert repro.environment()["gpu"] == "unknown"


def test_the_environment_loads_nothing(monkeypatch):
    for name in ("tensorflow", "sklearn"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert not {"tensorflow", "gpu", "scikit-learn"} & set(repro.environment())
    assert not {"tensorflow", "sklearn"} & set(sys.modules)
    monkeypatch.setitem(sys.modules, "sklearn", types.SimpleNamespace(__version__="0.1"))
    assert repro.environment()["scikit-learn"] == "0.1"
