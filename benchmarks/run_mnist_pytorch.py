"""The MNIST notebook's steps in PyTorch, as a peer for ``run_mnist_retrain.py``.

    pip install torch
    python benchmarks/run_mnist_pytorch.py

The network, optimizer, batch size, epochs, normalisation and split sizes are the notebook's; the
images stay in memory, so no loader workers are needed. Keys and their meaning are those of
``tfunlearn run mnist-retrain``.
"""

import argparse
import itertools
import json
import os
import pathlib
import platform
import statistics
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional

EPOCHS, BATCH, FORGET = 5, 32, 0.9


class Net(nn.Module):
    """784-256-128-64-10, ReLU, dropout after the first two layers."""

    def __init__(self):
        super().__init__()
        sizes = [784, 256, 128, 64, 10]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.dropout = nn.Dropout(0.3)

    def forward(self, x):
        """Returns logits."""
        for number, layer in enumerate(self.layers[:-1]):
            x = functional.relu(layer(x))
            x = self.dropout(x) if number < 2 else x
        return self.layers[-1](x)


def train(model, x, y, shuffle):
    """Trains in place; returns the mean of the batch losses of all epochs."""
    optimizer = torch.optim.SGD(model.parameters(), lr=5e-3, momentum=0.9)
    total, batches = 0.0, 0
    model.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(y)) if shuffle else torch.arange(len(y))
        for rows in order.split(BATCH):
            loss = functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            batches += 1
    return total / batches


@torch.no_grad()
def accuracy(model, x, y):
    """Returns the share of right predictions."""
    model.eval()
    return float((model(x).argmax(1) == y).double().mean())


def one_seed(seed, x, y, x_test, y_test):
    """Runs the notebook's steps under one seed."""
    torch.manual_seed(seed)
    model = Net()
    row = {"untrained_test_accuracy": accuracy(model, x_test, y_test)}
    row["trained_average_loss"] = train(model, x, y, shuffle=False)
    row["trained_test_accuracy"] = accuracy(model, x_test, y_test)
    order = torch.randperm(len(y))
    forget, retain = order[: int(FORGET * len(y))], order[int(FORGET * len(y)) :]
    model = Net()
    row["erased_test_accuracy"] = accuracy(model, x_test, y_test)
    row["retrained_average_loss"] = train(model, x[retain], y[retain], shuffle=True)
    row["unlearned_test_accuracy"] = accuracy(model, x_test, y_test)
    row["unlearned_forget_accuracy"] = accuracy(model, x[forget], y[forget])
    row["performance_drop"] = row["trained_test_accuracy"] - row["unlearned_test_accuracy"]
    row["forgetting_effectiveness"] = row["unlearned_forget_accuracy"]
    row["utility_preservation"] = row["unlearned_test_accuracy"] / row["trained_test_accuracy"]
    return row


def main():
    """Runs all seeds and writes one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default=os.environ.get("TFUNLEARN_DATA_DIR", "."))
    parser.add_argument("--seeds", type=int, default=5)
    default = pathlib.Path(__file__).resolve().parent / "results" / "mnist_pytorch.json"
    parser.add_argument("--out", type=pathlib.Path, default=default)
    args = parser.parse_args()
    with np.load(pathlib.Path(args.data_dir) / "mnist.npz", allow_pickle=False) as file:
        parts = [file[key] for key in ("x_train", "y_train", "x_test", "y_test")]
    x, x_test = (torch.from_numpy(parts[k].reshape(-1, 784)).float() / 127.5 - 1 for k in (0, 2))
    y, y_test = (torch.from_numpy(parts[k].astype("int64")) for k in (1, 3))
    rows = []
    for seed in range(args.seeds):
        rows.append({"seed": seed, **one_seed(seed, x, y, x_test, y_test)})
        print(json.dumps(rows[-1]), flush=True)
    keys = [key for key in rows[0] if key != "seed"]
    result = {
        "command": f"python benchmarks/run_mnist_pytorch.py --seeds {args.seeds}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "hardware": {"cores": os.cpu_count(), "machine": platform.machine()},
        "seeds": rows,
        "summary": {key: summary([row[key] for row in rows]) for key in keys},
    }
    part = args.out.with_suffix(".part")
    part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(part, args.out)
    return 0


def summary(values):
    """Returns mean, spread and range of some values."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "std": spread, "min": min(values), "max": max(values)}


if __name__ == "__main__":
    sys.exit(main())
