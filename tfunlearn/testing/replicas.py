"""Runs a method on one replica and on two, in a process with two logical CPU devices.

``python -m tfunlearn.testing.replicas METHOD [OPTIONS]`` prints ``{"gap": ...}``, the largest
difference of any weight. METHOD is a name, or ``module:function``; OPTIONS is JSON.
"""

import importlib
import json
import sys
from typing import Any

from tfunlearn import methods
from tfunlearn.methods import Method
from tfunlearn.testing.tasks import original, run, weight_gap


def replica_gap(function: methods.Unlearning, options: dict[str, Any]) -> float:
    """Returns the largest difference that a second replica makes to any weight.

    Args:
        function: the method.
        options: its arguments.
    """
    import tensorflow as tf

    method = Method(function, frozenset(), "both", "")
    one = run(method, original("plain"), **options)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        two = run(method, original("plain"), **options)
    return weight_gap(one, two)


def main(arguments: list[str]) -> int:
    """Prints the gap of one method.

    Args:
        arguments: the method, and its options as JSON.
    """
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    name, options = arguments[0], json.loads((arguments[1:] or ["{}"])[0])
    if ":" in name:
        module, attribute = name.split(":")
        function = getattr(importlib.import_module(module), attribute)
    else:
        function = methods.get(name)
    print(json.dumps({"gap": replica_gap(function, options)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
