"""The ResNet50 classifier of `models.resnet50_classifier` in PyTorch, with Keras' layer names.

Strides sit in the first convolution of a block and convolutions have biases, as in Keras. It gives
logits, where the Keras model ends in probabilities.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

STACKS = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # filters, blocks, stride
NAMES = {  # of Keras' variables, in PyTorch
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
AXES = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # from Keras' order of a weight's axes to PyTorch's


class Block(nn.Module):
    """A residual block."""

    def __init__(self, name, channels, filters, stride, project):
        super().__init__()
        self.main = nn.Sequential(
            OrderedDict(
                [
                    *layers(f"{name}_1", channels, filters, 1, stride),
                    (f"{name}_1_relu", nn.ReLU()),
                    *layers(f"{name}_2", filters, filters, 3),
                    (f"{name}_2_relu", nn.ReLU()),
                    *layers(f"{name}_3", filters, 4 * filters, 1),
                ]
            )
        )
        side = layers(f"{name}_0", channels, 4 * filters, 1, stride) if project else []
        self.shortcut = nn.Sequential(OrderedDict(side))  # empty: what comes in

    def forward(self, x):
        """Returns the block's output."""
        return torch.relu(self.shortcut(x) + self.main(x))


def layers(name, channels, filters, size, stride=1):
    """Returns a convolution and its batch normalisation, with their names."""
    conv = nn.Conv2d(channels, filters, size, stride=stride, padding=size // 2)
    return [(f"{name}_conv", conv), (f"{name}_bn", normalisation(filters))]


def normalisation(filters):
    """Returns a batch normalisation with the numbers of Keras' ResNet50."""
    return nn.BatchNorm2d(filters, eps=1.001e-5, momentum=0.01)


def resnet50_classifier(classes=10, dense=128):
    """Returns backbone, average pooling, a hidden layer named ``hidden`` and one ``logits``."""
    stem = nn.Conv2d(3, 64, 7, stride=2, padding=3)
    parts = [("conv1_conv", stem), ("conv1_bn", normalisation(64)), ("conv1_relu", nn.ReLU())]
    parts.append(("pool1", nn.MaxPool2d(3, stride=2, padding=1)))
    channels = 64
    for number, (filters, blocks, stride) in enumerate(STACKS, start=2):
        for block in range(1, blocks + 1):
            first, name = block == 1, f"conv{number}_block{block}"
            parts.append((name, Block(name, channels, filters, stride if first else 1, first)))
            channels = 4 * filters
    parts += [("pool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten())]
    parts += [("hidden", nn.Linear(channels, dense)), ("hidden_relu", nn.ReLU())]
    return nn.Sequential(OrderedDict([*parts, ("logits", nn.Linear(dense, classes))]))


def adopt(model, weights):
    """Puts Keras' weights into a network whose layers have Keras' names.

    Args:
        model: the network.
        weights: ``layer/variable`` to its array, all of them.
    """
    modules = {path.rpartition(".")[2]: module for path, module in model.named_modules()}
    left = {id(value) for value in model.parameters()}
    with torch.no_grad():
        for name, value in weights.items():
            layer, variable = name.split("/")
            target = getattr(modules[layer], NAMES[variable])
            array = np.ascontiguousarray(value.transpose(AXES[value.ndim]))
            target.copy_(torch.from_numpy(array))
            left.discard(id(target))
    if left:
        raise ValueError(f"weights: expected all parameters. Received: {len(left)} too few.")
