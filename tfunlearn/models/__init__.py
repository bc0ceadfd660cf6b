"""Keras models to unlearn, and safe ways to copy, walk and compare them."""

from tfunlearn.models.copying import copy, reinitialized
from tfunlearn.models.distance import LayerDistance, layer_distances, weight_distance
from tfunlearn.models.fingerprint import fingerprint
from tfunlearn.models.logits import gives_logits, logits_model, logits_reader, num_classes
from tfunlearn.models.starting import Start
from tfunlearn.models.walk import iter_layers
from tfunlearn.models.zoo import mnist_dense, resnet50_classifier, small_cnn

__all__ = [
    "LayerDistance",
    "Start",
    "copy",
    "fingerprint",
    "gives_logits",
    "iter_layers",
    "layer_distances",
    "logits_model",
    "logits_reader",
    "mnist_dense",
    "num_classes",
    "reinitialized",
    "resnet50_classifier",
    "small_cnn",
    "weight_distance",
]
