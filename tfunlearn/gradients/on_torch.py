"""What ``autodiff`` offers, in the words of PyTorch, which runs functions as they are."""

from collections.abc import Callable
from typing import Any

import keras


def gradient(function: Callable[[list[Any]], Any], inputs: list[Any]) -> list[Any]:
    """Returns the gradient of a scalar function of a list of tensors, zero where it has none.

    It can be differentiated once more where PyTorch records what is computed, as it does inside
    a training step; under ``torch.no_grad()`` nothing is kept.

    Args:
        function: takes the list, returns a scalar tensor.
        inputs: where the gradient is taken.
    """
    import torch

    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        taken = [
            part if recorded and part.requires_grad else part.detach().requires_grad_()
            for part in inputs
        ]
        value = function(taken)
        if not value.requires_grad:
            return [torch.zeros_like(part) for part in inputs]
        return list(
            torch.autograd.grad(value, taken, create_graph=recorded, materialize_grads=True)
        )


def stacked(function: Callable[..., Any], rows: tuple[Any, ...]) -> Any:
    """Returns a function's results for every row of some tensors, stacked along a first axis.

    Row after row: PyTorch cannot vectorise a gradient that is taken by ``torch.autograd``.

    Args:
        function: takes one row of each tensor.
        rows: tensors with one first axis in common.
    """
    import torch

    tensors = [keras.ops.convert_to_tensor(part) for part in rows]
    results = [function(*row) for row in zip(*tensors, strict=True)]
    return keras.tree.map_structure(lambda *parts: torch.stack(parts), *results)


def without_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function whose results hold on to nothing that they were computed from.

    Args:
        function: takes and returns tensors.
    """
    import torch

    return torch.no_grad()(function)
