"""What an audit ran on."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import sys
from typing import Any

import keras
import numpy as np
import threadpoolctl

from tfunlearn._version import __version__

__all__ = ["environment"]

_SWITCHES = (  # variables that change the last bits, or more
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_CUDNN_USE_AUTOTUNE",
    "TF_CUDNN_USE_FRONTEND",
    "TF_ENABLE_LAYOUT_NHWC",
    "TF_DISABLE_MKL",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDNN_DETERMINISTIC",
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "DNNL_DEFAULT_FPMATH_MODE",
    "OMP_NUM_THREADS",
    "OMP_DYNAMIC",
    "MKL_NUM_THREADS",
    "MKL_DYNAMIC",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
_OF_KERAS = (  # settings of keras.config, the last ones of newer versions
    "floatx",
    "epsilon",
    "image_data_format",
    "max_epochs",
    "max_steps_per_epoch",
)
_OF_JAX = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
    "jax_disable_jit",
)
_CPUINFO = pathlib.Path("/proc/cpuinfo")
_FEATURES = ("amx", "avx", "f16c", "fma", "sse4", "asimd", "bf16", "i8mm", "sve")  # of a processor


def environment() -> dict[str, Any]:
    """Returns versions, backend, machine, and the settings that change the bytes of a result.

    The backend, TensorFlow and scikit-learn are named only where they are loaded already, and so
    are their settings; GPUs where TensorFlow is and sees any; switches of XLA, oneDNN, BLAS and
    threads where the environment sets them.

    Example:
        >>> environment()["keras"] == keras.__version__
        True
    """
    found: dict[str, Any] = {
        "tfunlearn": __version__,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
        "scipy": importlib.metadata.version("scipy"),
    }
    modules = {"tensorflow": "tensorflow", found["backend"]: found["backend"]}
    for name, module in {**modules, "jaxlib": "jaxlib", "scikit-learn": "sklearn"}.items():
        if sys.modules.get(module) is not None:
            found[name] = sys.modules[module].__version__
    machine = {"platform": platform.platform(), **_processor()}
    switches = {name: os.environ[name] for name in _SWITCHES if name in os.environ}
    cpus = {"cpu_count": os.cpu_count(), "cpus_usable": _usable(), "blas": _blas()}
    return {**found, **machine, **cpus, **_gpus(), **_settings(), **switches}


def _settings() -> dict[str, Any]:
    """Returns the settings of Keras, and of those of its backends that are loaded."""
    config = keras.config
    found = {name: getattr(config, name)() for name in _OF_KERAS if hasattr(config, name)}
    found["dtype_policy"] = keras.dtype_policies.get(config.dtype_policy()).name
    found["flash_attention"] = str(config.is_flash_attention_enabled())
    backend = keras.backend.backend()
    readers = {"tensorflow": _of_tensorflow, "torch": _of_torch, "jax": _of_jax}
    module = sys.modules.get(backend)
    return found if module is None or backend not in readers else found | readers[backend](module)


def _of_tensorflow(tf: Any) -> dict[str, Any]:
    """Returns TensorFlow's settings."""
    config = tf.config
    private = sys.modules.get("tensorflow.python.framework.config")  # there is no public one
    optimizer = config.optimizer.get_experimental_options()
    return {
        "deterministic_ops": private is not None and private.is_op_determinism_enabled(),
        "tensor_float_32": config.experimental.tensor_float_32_execution_enabled(),
        "inter_op_threads": config.threading.get_inter_op_parallelism_threads(),
        "intra_op_threads": config.threading.get_intra_op_parallelism_threads(),
        "jit": str(config.optimizer.get_jit()),
        "run_eagerly": config.functions_run_eagerly(),
        "graph_optimizer": ", ".join(f"{name}={optimizer[name]}" for name in sorted(optimizer)),
    }


def _of_torch(torch: Any) -> dict[str, Any]:
    """Returns PyTorch's settings."""
    cudnn = torch.backends.cudnn
    return {
        "deterministic_ops": torch.are_deterministic_algorithms_enabled(),
        "tensor_float_32": torch.backends.cuda.matmul.allow_tf32,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "inter_op_threads": torch.get_num_interop_threads(),
        "intra_op_threads": torch.get_num_threads(),
        "cudnn": f"deterministic={cudnn.deterministic}, benchmark={cudnn.benchmark}, "
        f"tf32={cudnn.allow_tf32}",
        "onednn": str(getattr(torch.backends.mkldnn, "enabled", "unknown")),
        "torch_default_dtype": str(torch.get_default_dtype()),
    }


def _of_jax(jax: Any) -> dict[str, Any]:
    """Returns JAX's settings."""
    found = {name: str(getattr(jax.config, name)) for name in _OF_JAX if hasattr(jax.config, name)}
    return {**found, "jax_devices": jax.default_backend()}


def _usable() -> int | None:
    """Returns how many processors this process may use, from which threads are counted."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _blas() -> str:
    """Returns what NumPy multiplies matrices with, and on how many threads."""
    found = [own for own in threadpoolctl.threadpool_info() if own["user_api"] == "blas"]
    own = next((own for own in found if "numpy" in own["filepath"]), None) or (found or [{}])[0]
    parts = (own.get(key) for key in ("internal_api", "version", "architecture", "num_threads"))
    return " ".join(str(part) for part in parts if part is not None) or "unknown"


def _processor() -> dict[str, str]:
    """Returns the processor's name, and what of its instructions results may depend on."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {"processor": platform.processor()}
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    flags = sorted(set(fields.get("flags", fields.get("Features", "")).split()))
    return {
        "processor": fields.get("model name", platform.processor()),
        "cpu_features": " ".join(flag for flag in flags if flag.startswith(_FEATURES)),
    }


def _gpus() -> dict[str, str]:
    """Returns the names of the GPUs that TensorFlow sees, if it is loaded and sees any."""
    if sys.modules.get("tensorflow") is None:
        return {}
    config = sys.modules["tensorflow"].config
    devices = config.list_physical_devices("GPU")
    details = [config.experimental.get_device_details(device) for device in devices]
    names = [found.get("device_name", "unknown") for found in details]
    return {"gpu": ", ".join(names)} if names else {}
