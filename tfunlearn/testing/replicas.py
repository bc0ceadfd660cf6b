"""Runs methods on one replica and on two, in a process with two logical CPU devices.

``python -m tfunlearn.testing.replicas`` answers each ``[METHOD, OPTIONS, SCOPE]`` with the largest
difference of any weight; see ``workers``. METHOD is a name, or ``module:function``.
"""

import functools
import importlib
from typing import Any

from tfunlearn import methods
from tfunlearn.methods import Method
from tfunlearn.testing.tasks import original, run, weight_gap
from tfunlearn.testing.workers import answer


def replica_gap(
    function: methods.Unlearning, options: dict[str, Any], scope: str = "both"
) -> float:
    """Returns the largest difference that a second replica makes to any weight.

    Args:
        function: the method.
        options: its arguments.
        scope: what it is made for, as in ``methods.Method``.
    """
    method = Method(function, frozenset(), scope, "")
    one = run(method, original("plain"), **options)
    with _two_replicas().scope():
        two = run(method, original("plain"), **options)
    return weight_gap(one, two)


@functools.cache
def _two_replicas() -> Any:
    """Returns the one strategy of this process.

    Each counts its reductions from the same number, and TensorFlow remembers their shapes, so that
    a second strategy could not train another choice of weights.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def gap_of(request: list[Any]) -> float:
    """Returns the gap of one method.

    Args:
        request: the method by name or as ``module:function``, its options and its scope.
    """
    name, options, scope = request
    if ":" in name:
        module, attribute = name.split(":")
        function = getattr(importlib.import_module(module), attribute)
    else:
        function = methods.get(name)
    return replica_gap(function, options, scope)


def main() -> None:
    """Answers requests on two logical CPU devices."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    answer(gap_of)


if __name__ == "__main__":
    main()
